"""The future: set once, read by anybody, never waited for in vain, never blocking a loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import operator
import sys
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from unittest import mock

import pykka
import pytest

from khepri.actors.actor_errors import StoppedNotice
from khepri.actors.exit_reason import SHUTDOWN
from khepri.actors.future import KhepriFuture, resolve_all
from khepri.actors.label import ActorLabel
from khepri.actors.mailbox import Mailbox
from khepri.errors import (
    KhepriTimeoutError,
    MisuseError,
    NodeNotFoundError,
    ServerStoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WAIT_SECONDS = 10.0


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def await_waiters(future: KhepriFuture[Any], count: int) -> None:
    """Wait until so many threads or tasks observe the future."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(future._observers or ()) < count:
        assert time.monotonic() < deadline


# --- values


def test_a_value_set_before_the_wait_is_there_at_once() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    future.set(5)
    assert future.done()
    assert future.get(timeout=0) == 5
    assert future.get() == 5


def test_a_value_set_during_the_wait_wakes_all_waiters() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    got: list[int] = []
    threads = [in_thread(lambda: got.append(future.get())) for _ in range(5)]
    await_waiters(future, 5)
    future.set(7)
    for thread in threads:
        thread.join()
    assert got == [7] * 5


def test_nothing_set_is_none_as_in_pykka() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    future.set()
    assert future.get() is None


def test_an_exception_is_raised_in_the_caller_s_thread() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    future.fail(NodeNotFoundError("no such tree node", node_path="/a"))
    with pytest.raises(NodeNotFoundError):
        future.get()
    assert isinstance(future.failure, NodeNotFoundError)


def test_the_exception_being_handled_is_taken_as_in_pykka() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    try:
        [].pop()
    except LookupError:
        future.set_exception()
    with pytest.raises(LookupError):
        future.get()


def test_the_reply_is_decoded_in_the_thread_that_asks_for_it() -> None:
    decoded_in: list[threading.Thread] = []

    def decode(reply: int) -> str:
        decoded_in.append(threading.current_thread())
        return str(reply)

    future = KhepriFuture(decode)
    in_thread(lambda: future.set(5)).join()
    assert future.get() == "5"
    assert decoded_in == [threading.current_thread()]


def test_a_decode_step_raises_expected_outcomes() -> None:
    def decode(_reply: object) -> NoReturn:
        raise NodeNotFoundError("no such tree node", node_path="/a")

    future = KhepriFuture(decode)
    future.set(["node_not_found", "/a"])
    assert future.failure is None
    with pytest.raises(NodeNotFoundError):
        future.get()


# --- set once


def test_a_second_set_is_an_error() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    future.set(1)
    with pytest.raises(RuntimeError):
        future.set(2)
    with pytest.raises(RuntimeError):
        future.set_exception((ValueError, ValueError(), None))
    assert future.get() == 1


def test_the_first_to_resolve_wins_and_the_second_is_told() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    assert future.resolve(1)
    assert not future.resolve(2)
    assert not future.fail(ValueError())
    assert future.get() == 1


def test_of_many_threads_exactly_one_resolves() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(3_000)]
    wins: list[list[bool]] = [[], [], []]

    def resolve_each(own: list[bool]) -> None:
        own.extend([future.resolve(1) for future in futures])

    try:
        threads = [in_thread(partial(resolve_each, own)) for own in wins]
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(sum(results) == 1 for results in zip(*wins, strict=True))


def test_no_waiter_is_missed_when_waiting_races_resolving() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(5_000)]
    late: list[float] = []

    def wait() -> None:
        for future in futures:
            started_at = time.monotonic()
            future.get(timeout=WAIT_SECONDS)
            # The liveness check after a second would hide a lost wake-up.
            late.append(time.monotonic() - started_at)

    try:
        waiter = in_thread(wait)
        for future in futures:
            future.resolve(1)
        waiter.join()
    finally:
        sys.setswitchinterval(interval)
    assert max(late) < 0.9


# --- deadlines and dead actors


def test_a_wait_past_its_deadline_raises() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    with pytest.raises(KhepriTimeoutError) as caught:
        future.get(timeout=0.01)
    assert caught.value.facts["outcome"] == "unknown"
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True])
def test_what_is_no_timeout_is_refused_whether_there_is_a_reply_or_not(timeout: Any) -> None:
    future: KhepriFuture[int] = KhepriFuture()
    with pytest.raises(MisuseError, match="timeout"):
        future.get(timeout=timeout)
    future.set(5)
    with pytest.raises(MisuseError, match="timeout"):
        future.get(timeout=timeout)


def test_pykka_s_callers_catch_pykka_s_timeout() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)


def test_asking_again_and_again_leaves_nothing_behind() -> None:
    future: KhepriFuture[None] = KhepriFuture()
    for _ in range(10):
        with pytest.raises(KhepriTimeoutError):
            future.get(timeout=0)
    assert future._observers == []


def test_a_late_reply_after_a_timeout_can_still_be_had() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    with pytest.raises(KhepriTimeoutError):
        future.get(timeout=0)
    future.set(3)
    assert future.get(timeout=0) == 3


def test_a_wait_for_an_actor_that_is_gone_ends() -> None:
    """Even if the dead actor has forgotten that it owes this reply."""
    mailbox = Mailbox()
    future: KhepriFuture[None] = KhepriFuture(mailbox=mailbox)
    mailbox.close(StoppedNotice(ActorLabel("test"), SHUTDOWN))
    mailbox.end()
    with pytest.raises(ServerStoppedError) as caught:
        future.get()
    assert caught.value.facts["outcome"] == "unknown"


# --- callbacks


def test_callbacks_are_called_in_order_by_the_thread_that_resolves() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    calls: list[tuple[str, threading.Thread]] = []
    future.add_done_callback(lambda _f: calls.append(("first", threading.current_thread())))
    future.add_done_callback(lambda _f: calls.append(("second", threading.current_thread())))
    resolver = in_thread(lambda: future.set(1))
    resolver.join()
    assert calls == [("first", resolver), ("second", resolver)]


def test_a_callback_on_a_done_future_is_called_at_once() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    future.set(4)
    got: list[int] = []
    future.add_done_callback(lambda done: got.append(done.get()))
    assert got == [4]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_raises_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    future: KhepriFuture[int] = KhepriFuture()
    got: list[int] = []

    def fails(_future: object) -> NoReturn:
        raise error

    future.add_done_callback(fails)
    future.add_done_callback(lambda done: got.append(done.get()))
    with caplog.at_level(logging.ERROR):
        future.set(1)
    assert got == [1]
    assert "a callback of a reply raised" in caplog.text


def test_an_observer_that_takes_itself_back_while_others_are_called_harms_nobody() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    got: list[int] = []

    def takes_all_back(_future: object) -> None:
        assert future._observers
        future._observers.clear()

    future.add_done_callback(takes_all_back)
    future.add_done_callback(lambda done: got.append(done.get()))
    future.set(1)
    assert (got, future.get()) == ([], 1)


def test_callbacks_of_many_threads_at_once_are_all_called() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(300):
            future: KhepriFuture[int] = KhepriFuture()
            got: list[int] = []
            begin = threading.Barrier(4)

            def add(of: KhepriFuture[int] = future, to: list[int] = got) -> None:
                begin.wait()  # noqa: B023 - the threads end within the round
                of.add_done_callback(lambda done: to.append(done.get()))

            threads = [in_thread(add) for _ in range(4)]
            for thread in threads:
                thread.join()
            future.set(1)
            assert got == [1] * 4
    finally:
        sys.setswitchinterval(interval)


def test_every_callback_is_called_exactly_once_when_adding_races_resolving() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(5_000)]
    calls: list[list[int]] = [[] for _ in futures]

    def note(own: list[int], done: KhepriFuture[int]) -> None:
        own.append(done.get())

    try:
        resolver = in_thread(lambda: [future.resolve(1) for future in futures])
        for future, own in zip(futures, calls, strict=True):
            future.add_done_callback(partial(note, own))
        resolver.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(own == [1] for own in calls)


def test_a_batch_is_resolved_and_what_is_resolved_is_left_alone() -> None:
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(3)]
    futures[1].set(100)
    got: list[int] = []
    waiter = in_thread(lambda: got.append(futures[2].get()))
    await_waiters(futures[2], 1)
    resolve_all((future, number) for number, future in enumerate(futures))
    waiter.join()
    assert [future.get() for future in futures] == [0, 100, 2]
    assert got == [2]


# --- Pykka's derived futures


def test_derived_futures_work_as_in_pykka() -> None:
    numbers: KhepriFuture[Iterable[int]] = KhepriFuture()
    other: KhepriFuture[int] = KhepriFuture()
    doubled = numbers.map(lambda values: [value * 2 for value in values])
    odd = numbers.filter(lambda value: value % 2 == 1)
    added = numbers.reduce(operator.add)
    joined = other.join(doubled)
    numbers.set([1, 2, 3])
    other.set(9)
    assert doubled.get(timeout=1) == [2, 4, 6]
    assert odd.get() == [1, 3]
    assert added.get() == 6
    assert joined.get() == [9, [2, 4, 6]]
    assert list(pykka.get_all([other, other])) == [9, 9]


def test_a_derived_future_refuses_what_it_cannot_do() -> None:
    derived = KhepriFuture[int]().map(str)
    assert isinstance(derived, KhepriFuture)
    with pytest.raises(TypeError):
        derived.add_done_callback(print)
    with pytest.raises(RuntimeError):
        derived.set("x")


# --- asyncio


def test_awaiting_does_not_block_the_loop() -> None:
    """Pykka's own await stops the loop until the reply is there."""

    async def main() -> list[str]:
        future: KhepriFuture[str] = KhepriFuture()
        order: list[str] = []

        async def waits() -> None:
            order.append(await future)

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        order.append("the loop goes on")
        in_thread(lambda: future.set("reply")).join()
        await task
        return order

    assert asyncio.run(main()) == ["the loop goes on", "reply"]


def test_awaiting_has_a_working_timeout_and_cancelling_leaves_the_future_usable() -> None:
    async def main() -> int:
        future: KhepriFuture[int] = KhepriFuture()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 0.01)
        future.set(8)
        return await future

    assert asyncio.run(main()) == 8


def test_a_task_that_was_cancelled_leaves_nothing_in_the_future() -> None:
    """Who asks again and again, each time for a moment, must not fill it."""
    future: KhepriFuture[int] = KhepriFuture()

    async def main() -> None:
        for _ in range(10):
            task = asyncio.ensure_future(future)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert not future._observers
    future.set(8)
    assert future.get() == 8


def test_awaiting_raises_what_the_actor_answered_with() -> None:
    async def main() -> None:
        future: KhepriFuture[None] = KhepriFuture()
        asyncio.get_running_loop().call_soon(future.fail, NodeNotFoundError("gone"))
        with pytest.raises(NodeNotFoundError):
            await future

    asyncio.run(main())


def test_a_batch_of_replies_wakes_a_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(100)]
        tasks = [asyncio.ensure_future(future) for future in futures]
        await asyncio.sleep(0)
        wake = mock.Mock(wraps=asyncio.get_running_loop().call_soon_threadsafe)
        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", wake)
        # The loop's own thread is here, so it cannot run between two of them.
        resolve_all((future, number) for number, future in enumerate(futures))
        assert await asyncio.gather(*tasks) == list(range(100))
        return wake.call_count

    assert asyncio.run(main()) == 1


def test_a_reply_to_a_closed_loop_is_harmless() -> None:
    future: KhepriFuture[int] = KhepriFuture()

    async def gives_up() -> None:
        task = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(gives_up())
    future.set(1)
    assert future.get() == 1


def test_a_loop_that_was_closed_before_its_replies_came_is_let_go() -> None:
    """A program may run one loop after the other for as long as it lives."""
    futures: list[KhepriFuture[int]] = [KhepriFuture() for _ in range(3)]
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def gives_up() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        tasks = [asyncio.ensure_future(future) for future in futures]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    asyncio.run(gives_up())
    for future in futures:
        future.set(1)
    gc.collect()
    assert loops[0]() is None


def test_a_loop_that_had_no_time_left_for_a_reply_is_let_go() -> None:
    future: KhepriFuture[int] = KhepriFuture()
    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)

    async def waits() -> None:
        task = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        task.cancel()

    loop.run_until_complete(waits())
    future.set(1)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_awaiting_a_derived_future_does_not_block_the_loop() -> None:
    async def main() -> str:
        future: KhepriFuture[int] = KhepriFuture()
        derived = future.map(str)
        task = asyncio.ensure_future(derived)
        await asyncio.sleep(0)
        future.set(6)
        return await task

    assert asyncio.run(main()) == "6"
