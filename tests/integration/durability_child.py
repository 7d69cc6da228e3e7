"""A program that writes until it is killed, and says on its standard output what was acknowledged.

Each of its threads owns one tree node and puts 1, 2, 3, ... there. Every value differs from the
one before, so the payload version counts how often a put was applied: value and version are equal
exactly as long as nothing was lost and nothing was applied twice.

Lines: ``opened THREAD VALUE VERSION`` for what was found, then ``ack THREAD VALUE``.
"""

from __future__ import annotations

import os
import sys
import threading

import khepri

THREADS = 4


def write_for_ever(store: khepri.Store, thread: int, value: int) -> None:
    while True:
        value += 1
        store.put(f"/durable/{thread}", value)
        # One small write to a pipe is atomic, and nothing is buffered when the kill comes.
        os.write(1, f"ack {thread} {value}\n".encode())


def main(data_dir: str) -> None:
    khepri.start(data_dir, "durable")
    store = khepri.Store("durable")
    writers: list[threading.Thread] = []
    for thread in range(THREADS):
        found = khepri.adv.get_many(f"/durable/{thread}", store_id="durable")
        value, version = 0, 0
        for properties in found.values():
            value, version = properties["data"], properties["payload_version"]
        os.write(1, f"opened {thread} {value} {version}\n".encode())
        writers.append(threading.Thread(target=write_for_ever, args=(store, thread, value)))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


if __name__ == "__main__":
    main(sys.argv[1])
