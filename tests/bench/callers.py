"""Ways to call a store: many blocking threads, many callers in one thread, or one with many calls.

They know neither khepri nor its peers: a call is a function that is given its own number.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

IN_FLIGHT = 1_000

Future = TypeVar("Future")


def blocking_calls_per_second(
    call: Callable[[int, int], object], *, threads: int, seconds: float
) -> float:
    """Let each thread call again and again; give finished calls per second of all together.

    Args:
        call: is given the number of the thread and the number of the call within it.
        threads: how many call at the same time.
        seconds: how long; a call that is under way at the end is counted with its time.
    """
    finished = [0] * threads
    failures: list[BaseException] = []
    start = threading.Barrier(threads + 1)

    def run(thread: int) -> None:
        start.wait()
        until = time.perf_counter() + seconds
        number = 0
        try:
            while time.perf_counter() < until:
                call(thread, number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised again by the caller below
            failures.append(error)
        finished[thread] = number

    workers = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed_seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    return sum(finished) / elapsed_seconds


def pipelined_calls_per_second(
    send: Callable[[int], Future],
    wait: Callable[[Future], object],
    *,
    seconds: float,
    in_flight: int = IN_FLIGHT,
) -> float:
    """Keep that many calls of one thread unanswered; give answered calls per second.

    Args:
        send: sends the call of that number and gives its future.
        wait: waits for a future, and raises if the call failed.
        seconds: how long calls are sent; the rest is waited for and counted with its time.
        in_flight: how many calls may be unanswered.
    """
    waiting: deque[Future] = deque()
    number = 0
    started = time.perf_counter()
    until = started + seconds
    while time.perf_counter() < until:
        waiting.append(send(number))
        number += 1
        if len(waiting) >= in_flight:
            wait(waiting.popleft())
    while waiting:
        wait(waiting.popleft())
    return number / (time.perf_counter() - started)


class CallingBack(Protocol):
    """A future that says when it is done."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Call back with the future, from any thread."""

    def get(self, *, timeout: float | None = None) -> object:
        """Give the result, or raise what the call failed with."""


def concurrent_calls_per_second(
    send: Callable[[int], CallingBack], *, callers: int, seconds: float
) -> float:
    """Let callers that share one thread call again and again; give finished calls per second.

    Each has one call under way, and the next one as soon as that is answered: they are to futures
    what the streams of one connection are to a server (`grpc_calls.calls_per_second`).

    Args:
        send: sends the call of that number and gives its future.
        callers: how many call at the same time.
        seconds: how long; calls under way at the end are waited for and counted with their time.
    """
    done: queue.SimpleQueue[CallingBack] = queue.SimpleQueue()
    finished = number = under_way = 0
    wanted = callers
    started = time.perf_counter()
    until = started + seconds
    while True:
        if time.perf_counter() < until:
            for _ in range(wanted):
                send(number).add_done_callback(done.put)
                number += 1
            under_way += wanted
        if not under_way:
            return finished / (time.perf_counter() - started)
        done.get().get(timeout=0)
        wanted = 1
        while not done.empty():
            done.get().get(timeout=0)
            wanted += 1
        finished += wanted
        under_way -= wanted
