"""The notice of what is durable, by which a server is woken only when it waits for it."""

from __future__ import annotations

import threading

from khepri.actors.written_notice import WrittenNotice
from khepri.raft.events import LogWritten
from khepri.raft.types import Index, Term

ROUNDS = 2_000


def _written(sequence: int) -> LogWritten:
    return LogWritten(Index(sequence), Term(1), sequence)


def test_a_notice_is_taken_once_and_the_newest_stands_for_all() -> None:
    notice = WrittenNotice()
    assert not notice.is_there
    assert notice.take() is None
    notice.leave(_written(1))
    notice.leave(_written(2))
    assert notice.is_there
    assert notice.take() == _written(2)
    assert not notice.is_there
    assert notice.take() is None


def test_whoever_awaits_it_is_to_be_woken_and_nobody_else() -> None:
    notice = WrittenNotice()
    assert notice.leave(_written(1)), "at first nothing is known"
    notice.is_awaited = False
    assert not notice.leave(_written(2))
    notice.is_awaited = True
    assert notice.leave(_written(3))


def test_no_notice_is_missed_when_leaving_it_races_awaiting_it() -> None:
    """Each round the server ends a turn while the disk ends a write: one of them must see it."""
    notice = WrittenNotice()
    start, end = threading.Barrier(2), threading.Barrier(2)
    woken = [False] * (ROUNDS + 1)

    def write() -> None:
        for sequence in range(1, ROUNDS + 1):
            start.wait()
            woken[sequence] = notice.leave(_written(sequence))
            end.wait()

    disk = threading.Thread(target=write)
    disk.start()
    seen = [False] * (ROUNDS + 1)
    for sequence in range(1, ROUNDS + 1):
        notice.is_awaited = False
        start.wait()
        notice.is_awaited = True
        seen[sequence] = notice.is_there
        end.wait()
        notice.take()
    disk.join()
    assert all(map(max, seen[1:], woken[1:]))
