"""A life: it writes until it is killed, and says on its standard output what was acknowledged.

Each of its threads owns one tree node, where it puts 1, 2, 3, ... Every command puts the negative
value first and then the value. So each application of a command raises the payload version by
two, also when it follows itself at once (to put what is there already would change nothing): the
version is twice the value exactly as long as nothing was lost and nothing was applied twice.

Lines: ``opened THREAD VALUE VERSION`` for what was found, then ``ack THREAD VALUE``; ``failed`` if
it could not go on.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, NoReturn

import khepri

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4
SNAPSHOT_ENTRIES = 20
"""So few that snapshots are written all the time."""
FILLING_BYTES = 1000
FILLING_TREE_NODES = 50
"""Beside each thread's tree node: they fill log files, and snapshots of several chunks."""


def say(line: str) -> None:
    """Say a line at once.

    One small write to a pipe is atomic, and nothing is buffered when the kill comes.
    """
    os.write(1, f"{line}\n".encode())


def write_for_ever(store: khepri.Store, thread: int, value: int) -> None:
    """Go on from a value."""
    while True:
        value += 1
        put(store, thread, value)
        say(f"ack {thread} {value}")


def put(store: khepri.Store, thread: int, value: int) -> None:
    """Send one command; see the top."""
    with store.batch() as batch:
        batch.put(f"/durable/{thread}", -value)
        batch.put(f"/durable/{thread}", value)
        batch.put(f"/filling/{thread}/{value % FILLING_TREE_NODES}", bytes(FILLING_BYTES))


def live(data_dir: str, start: Callable[..., object]) -> NoReturn:
    """Live until killed.

    Args:
        data_dir: where.
        start: `khepri.start`, or what a nursery makes of it.
    """
    threading.excepthook = lambda failure: fail(failure.exc_value)
    try:
        start(data_dir, {"cluster_name": "durable", **often()})
        store = khepri.Store("durable")
        writers: list[threading.Thread] = []
        for thread in range(THREADS):
            found = khepri.adv.get_many(f"/durable/{thread}", store_id="durable")
            value, version = 0, 0
            for properties in found.values():
                value, version = properties["data"], properties["payload_version"]
            say(f"opened {thread} {value} {version}")
            writers.append(threading.Thread(target=write_for_ever, args=(store, thread, value)))
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to know
        fail(error)
    fail(AssertionError("the writers have ended"))


def often() -> dict[str, object]:
    """Give settings with which snapshots are taken all the time."""
    return {"snapshot_entries": SNAPSHOT_ENTRIES, "snapshot_interval_seconds": 0}


def fail(error: BaseException | None) -> NoReturn:
    """Say that this life cannot go on, and end it."""
    traceback.print_exception(error)
    sys.stderr.flush()
    say("failed")
    os._exit(1)
