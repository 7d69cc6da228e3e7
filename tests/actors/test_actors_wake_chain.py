"""Many threads that were answered at once: half are woken, and each of these wakes one more."""

from __future__ import annotations

import random
import threading
from _thread import LockType, allocate_lock
from contextlib import suppress

import pytest

from khepri.actors import future as future_module
from khepri.actors import wake_chain
from khepri.actors.actor_errors import ReplyTimeoutError
from khepri.actors.future import KhepriFuture, resolve_all

SECONDS = 20.0


def held(count: int) -> list[LockType]:
    locks = [allocate_lock() for _ in range(count)]
    for lock in locks:
        lock.acquire()
    return locks


def test_a_few_are_all_woken() -> None:
    locks = held(wake_chain.AT_ONCE)
    wake_chain.wake(locks)
    assert not any(lock.locked() for lock in locks)


def test_of_many_half_are_woken_first_and_each_wakes_one_more() -> None:
    locks = held(100)
    wake_chain.wake(locks)
    assert [lock.locked() for lock in locks] == [False] * 50 + [True] * 50
    for _ in range(50):
        wake_chain.wake_next()
    assert not any(lock.locked() for lock in locks)
    wake_chain.wake_next()  # nobody is left: nothing to do


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who is not woken sleep on, instead of looking every now and then."""
    monkeypatch.setattr(future_module, "LIVENESS_CHECK_SECONDS", 1_000.0)


def wait_in_threads(waits: list[tuple[KhepriFuture[int], float]]) -> list[threading.Thread]:
    def wait(future: KhepriFuture[int], seconds: float) -> None:
        with suppress(ReplyTimeoutError):
            future.get(timeout=seconds)

    threads = [threading.Thread(target=wait, args=each, daemon=True) for each in waits]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.usefixtures("nobody_looks")
def test_all_threads_that_wait_come_back() -> None:
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(200)]
    threads = wait_in_threads([(future, 1_000.0) for future in futures])
    resolve_all((future, 1) for future in futures)
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("seed", range(5))
def test_who_gives_up_meanwhile_leaves_nobody_asleep(seed: int) -> None:
    """Their locks are in the chain, and nobody is there any more who would wake the next one."""
    chance = random.Random(seed)
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(150)]
    patience = (0.02, 0.03, 1_000.0)
    threads = wait_in_threads([(future, chance.choice(patience)) for future in futures])
    threading.Event().wait(0.02)  # the moment at which some of them give up
    resolve_all((future, 1) for future in futures)
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert not wake_chain._asleep


@pytest.mark.usefixtures("nobody_looks")
def test_who_need_not_sleep_any_more_leaves_nobody_asleep() -> None:
    """They have sent and are answered before they begin to wait; their locks are in the chain."""
    locks = held(100)
    futures: list[KhepriFuture[int]] = [KhepriFuture(None, None, [lock]) for lock in locks]
    begin = threading.Event()

    def wait(position: int) -> None:
        if position < 60:
            begin.wait()
        futures[position].get_with(locks[position], timeout=1_000.0)

    threads = [
        threading.Thread(target=wait, args=(position,), daemon=True) for position in range(100)
    ]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.1)  # the others sleep by then
    resolve_all((future, 1) for future in futures)
    begin.set()
    for thread in threads:
        thread.join(SECONDS / 4)
        assert not thread.is_alive()
