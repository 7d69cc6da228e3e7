"""Who waits for a place in the log, and gives up."""

from __future__ import annotations

from typing import Any
from unittest import mock

from khepri.actors.future import KhepriFuture
from khepri.actors.readers_of_a_place import ReadersOfAPlace
from khepri.actors.server_messages import WaitUntilApplied
from khepri.actors.server_waiters import ServerWaiters


def test_a_reader_without_a_deadline_that_was_cancelled_is_forgotten() -> None:
    waiters = ServerWaiters()
    gone: KhepriFuture[object] = KhepriFuture()
    patient: KhepriFuture[object] = KhepriFuture()
    for future in (gone, patient):
        waiters.wait_for_place(WaitUntilApplied(1_000, 1, None), future)
    gone.fail(RuntimeError("the task was cancelled"))
    waiters.forget_abandoned(1e9)
    assert list(waiters.futures()) == [patient]


def a_view(index: int, term: int) -> Any:
    view = mock.Mock(index=index, term=term)

    def covers(at: int, of: int) -> bool:
        return (term, index) >= (of, at)

    view.covers.side_effect = covers
    return view


def test_many_who_wait_for_a_later_place_are_not_looked_at_in_each_turn() -> None:
    readers = ReadersOfAPlace()
    for number in range(100):
        readers.add(WaitUntilApplied(1_000 + number, 1, None), KhepriFuture())
    early = a_view(999, 1)
    assert readers.take_answerable(early) == []
    assert not early.covers.called
    assert len(readers.take_answerable(a_view(1_000, 1))) == 1
    again = a_view(1_000, 1)
    assert readers.take_answerable(again) == []
    assert not again.covers.called
    assert len(readers.take_answerable(a_view(2, 2))) == 99


def test_who_comes_later_may_wait_for_an_earlier_place() -> None:
    readers = ReadersOfAPlace()
    readers.add(WaitUntilApplied(9, 2, None), KhepriFuture())
    assert readers.take_answerable(a_view(5, 1)) == []
    first: KhepriFuture[Any] = KhepriFuture()
    readers.add(WaitUntilApplied(6, 1, None), first)
    assert readers.take_answerable(a_view(6, 1)) == [(first, None)]
    assert len(readers) == 1
