"""A program that has imported khepri and started nothing, and forks one life after the other.

A life is a process of its own, killed by whoever asked for it. To start an interpreter and to
import khepri takes twenty times as long as khepri takes to start a store: this is paid once.

Asked on standard input: ``live``, then, after the kill, ``bury``. Said on standard output:
``born PID``; what the life says; ``died EXIT_CODE PHASE ...``. Nobody else waits for the life, so
its process id is its own until it is buried. When standard input ends, the life is ended too.

Flaws can be planted in it, for the checker to find.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import khepri
from khepri.log.write_ahead_log import WriteAheadLog
from tests.integration import durability_child
from tests.integration.death_phases import Board, Phase, make_eventful

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.log.interface import Append, Gap


class Nursery:
    """One life at a time."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        self._board = Board()
        self._board.watch()
        self._start = self._board.within(Phase.START, khepri.start)
        self._process_id: int | None = None

    def bear(self) -> None:
        """Begin a life."""
        assert threading.active_count() == 1, "importing khepri has started a thread"
        self._board.clear()
        process_id = os.fork()
        if process_id == 0:
            durability_child.live(self._data_dir, self._start)
        self._process_id = process_id
        durability_child.say(f"born {process_id}")

    def bury(self) -> None:
        """Wait for the end of a life that was killed."""
        assert self._process_id is not None
        _, status = os.waitpid(self._process_id, 0)
        self._process_id = None
        # Behind everything the life has said: it is the same pipe.
        phases = " ".join(phase.name for phase in self._board.under_way())
        durability_child.say(f"died {os.waitstatus_to_exitcode(status)} {phases}")

    def close(self) -> None:
        """End a life nobody has ended."""
        if self._process_id is not None:
            os.kill(self._process_id, signal.SIGKILL)
            os.waitpid(self._process_id, 0)


def acknowledge_before_the_write() -> None:
    """Plant a flaw: what the log is to make durable waits for what comes next."""
    write = WriteAheadLog.write
    waiting: list[Sequence[Append]] = []

    def write_what_waited(
        log: WriteAheadLog, appends: Sequence[Append], *, confirm: bool = True
    ) -> list[Gap]:
        gaps = [gap for one in waiting for gap in write(log, one, confirm=confirm)]
        waiting[:] = [appends]
        return gaps

    setattr(WriteAheadLog, "write", write_what_waited)  # noqa: B010 - a planted flaw


def acknowledge_before_the_command() -> None:
    """Plant a flaw: an acknowledgement is said before anything is done."""
    put = durability_child.put

    def say_first(store: khepri.Store, thread: int, value: int) -> None:
        durability_child.say(f"ack {thread} {value}")
        put(store, thread, value)

    setattr(durability_child, "put", say_first)  # noqa: B010 - a planted flaw


def apply_twice() -> None:
    """Plant a flaw: now and then a command is sent again, as if nobody knew that it was done."""
    put = durability_child.put

    def put_again(store: khepri.Store, thread: int, value: int) -> None:
        put(store, thread, value)
        if value % 10 == 0:
            put(store, thread, value)

    setattr(durability_child, "put", put_again)  # noqa: B010 - a planted flaw


FLAWS = {
    flaw.__name__: flaw
    for flaw in (acknowledge_before_the_write, acknowledge_before_the_command, apply_twice)
}


def main(data_dir: str, *flaws: str) -> None:
    """Do what standard input asks for."""
    for name in flaws:
        FLAWS[name]()
    make_eventful()
    nursery = Nursery(data_dir)
    try:
        for line in sys.stdin:
            if line == "live\n":
                nursery.bear()
            else:
                nursery.bury()
    finally:
        nursery.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
