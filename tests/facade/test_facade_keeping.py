"""The thread that keeps things alive: one for all, undisturbed by any, and not for ever."""

from __future__ import annotations

import logging
import threading
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import kept as kept_module
from khepri.actors.future import KhepriFuture
from khepri.errors import NodeNotFoundError, NoSuchServerError, ServerStoppedError
from khepri.keeping import Keeper, keeper
from khepri.kept import LOOK_SECONDS, Kept
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

TTL = 30.0


class Clock:
    """One that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept_module, "server_clock", clock)
    return clock


class One(Kept):
    """What is kept alive by futures of the test."""

    def __init__(self, began: float) -> None:
        super().__init__(TTL, began)
        self.sent: list[KhepriFuture[None]] = []
        self.error: Exception | None = None

    def _send(self) -> KhepriFuture[Any]:
        if self.error is not None:
            raise self.error
        self.sent.append(KhepriFuture())
        return self.sent[-1]

    def _lose(self, reason: str) -> None:
        self.lost_because = reason
        self.is_over = True

    def _refused(self, now: float) -> None:  # noqa: ARG002
        self._lose("refused")


def step(one: One) -> float:
    return one.step(lambda: None)


def test_it_is_renewed_after_a_third_of_its_time_to_live(clock: Clock) -> None:
    one = One(clock.now)
    assert step(one) == 1010.0
    assert one.sent == []
    clock.now = 1010.0
    assert step(one) == 1010.0 + LOOK_SECONDS
    clock.now = 1012.0
    one.sent[0].set()
    assert step(one) == 1020.0  # counted from before it was sent
    assert one.valid_until == pytest.approx(1010.0 + 0.98 * TTL)
    assert one.is_valid


def test_it_is_not_valid_any_more_when_the_time_is_over_whoever_looks(clock: Clock) -> None:
    one = One(clock.now)
    clock.now = 1029.3
    assert one.is_valid
    clock.now = 1029.4
    assert not one.is_valid
    assert one.lost_because is None  # nobody has stepped


def test_an_answer_that_comes_too_late_does_not_make_up_for_it(clock: Clock) -> None:
    one = One(clock.now)
    clock.now = 1020.0
    step(one)
    clock.now = 1035.0
    one.sent[0].set()
    assert step(one) == inf
    assert not one.is_valid
    assert "30 seconds" in str(one.lost_because)


def test_what_the_tree_refuses_is_lost_at_once(clock: Clock) -> None:
    one = One(clock.now)
    clock.now = 1010.0
    step(one)
    one.sent[0].fail(NodeNotFoundError("it is gone"))
    assert step(one) == inf
    assert one.lost_because == "refused"


@pytest.mark.parametrize("error", [NoSuchServerError("none"), ServerStoppedError("it crashed")])
def test_a_renewal_that_fails_is_tried_again_until_the_time_is_over(
    clock: Clock, error: Exception
) -> None:
    one = One(clock.now)
    clock.now = 1010.0
    step(one)
    one.sent[0].fail(error)
    one.error = NoSuchServerError("it does not run here")
    while one.is_valid:
        look = step(one)
        assert clock.now < look <= one.valid_until
        clock.now = look
    assert clock.now == one.valid_until
    assert step(one) == inf
    assert len(one.sent) == 1

    other = One(clock.now)
    clock.now += 10
    step(other)
    other.sent[0].fail(error)
    clock.now = step(other)
    step(other)
    other.sent[1].set()
    step(other)
    assert other.is_valid


def test_after_the_end_nothing_is_sent_and_nobody_waits_for_what_was(clock: Clock) -> None:
    one = One(clock.now)
    clock.now = 1010.0
    step(one)
    one.end()
    assert isinstance(one.sent[0].failure, ServerStoppedError)
    assert step(one) == inf
    assert len(one.sent) == 1
    assert not one.is_valid


# --- the thread ----------------------------------------------------------------------------


class Counted(Kept):
    """Counts its steps."""

    def __init__(self, function: Callable[[], float]) -> None:
        super().__init__(TTL, 0)
        self.function = function
        self.threads: list[str] = []

    def step(self, answered: Callable[[], object]) -> float:  # noqa: ARG002
        self.threads.append(threading.current_thread().name)
        return self.function()

    def has_stepped(self) -> bool:
        return bool(self.threads)

    def _send(self) -> KhepriFuture[Any]:
        raise NotImplementedError

    def _lose(self, reason: str) -> None:
        raise NotImplementedError

    def _refused(self, now: float) -> None:
        raise NotImplementedError


def test_what_raises_is_logged_and_tried_again_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("khepri.keeping.AFTER_ERROR_SECONDS", 0.01)
    monkeypatch.setattr("khepri.keeping.LINGER_SECONDS", 0.01)

    def fails() -> float:
        if len(bad.threads) < 3:
            raise ZeroDivisionError
        return inf

    bad, good, one = (
        Counted(fails),
        Counted(lambda: inf if len(good.threads) > 50 else 0),
        Keeper(),
    )
    with caplog.at_level(logging.ERROR, "khepri.keeping"):
        one.add(bad)
        one.add(good)
        eventually(lambda: not one.is_running, "the end of the thread")
    assert len(bad.threads) == 3
    assert len(good.threads) == 51
    assert {*bad.threads, *good.threads} == {"khepri-keeper"}
    assert len(caplog.records) == 2


def test_it_begins_again_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("khepri.keeping.LINGER_SECONDS", 0.0)
    one = Keeper()
    for _ in range(50):  # also when it ends just now
        counted = Counted(lambda: inf)
        one.add(counted)
        eventually(counted.has_stepped, "a step")
    eventually(lambda: not one.is_running, "the end of the thread")


def test_all_locks_and_tree_nodes_of_all_stores_share_one_thread() -> None:
    with memory_store() as first, memory_store() as second:
        locks = [
            khepri.Lock(f"/locks/{number}", store=store, ttl=2)
            for store in (first, second)
            for number in range(5)
        ]
        for lock in locks:
            lock.acquire()
        with khepri.EphemeralNode("/a", 1, store=first):
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("khepri-keeper") == 1
            first.put("/time/passes", 1, ttl=2.5)
            eventually(lambda: not first.exists("/time/passes"), "some renewals")
            assert all(lock.held for lock in locks)
        for lock in locks:
            lock.release()
        eventually(lambda: not keeper.is_running, "the end of the thread")
