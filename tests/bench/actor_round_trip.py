"""What a message to a khepri actor costs, against Pykka's own actor, side by side.

Run ``python -m tests.bench.actor_round_trip``. Both actors echo; the rounds alternate and the
best of each is taken, so that what else the machine does hits both. Read the ratios.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import pykka

from khepri.actors.actor import KhepriActor
from khepri.actors.label import ActorLabel

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
SECONDS_PER_ROUND = 0.6
IN_FLIGHT = 1000


class StockEcho(pykka.ThreadingActor):
    """Pykka as it comes."""

    use_daemon_thread = True

    def on_receive(self, message: object) -> object:
        return message


class KhepriEcho(KhepriActor):
    """Ours, one message at a time, as a Pykka user would write it."""

    def on_receive(self, message: object) -> object:
        return message


def blocking_asks_per_second(reference: pykka.ActorRef[Any], thread_count: int) -> float:
    """So many threads ask and wait, again and again."""
    counts = [0] * thread_count
    stop_at = time.perf_counter() + SECONDS_PER_ROUND
    begin = threading.Barrier(thread_count + 1)

    def client(number: int) -> None:
        begin.wait()
        ask = reference.ask
        while time.perf_counter() < stop_at:
            ask(number)
            counts[number] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(thread_count)]
    for thread in threads:
        thread.start()
    begin.wait()
    started_at = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started_at)


def pipelined_asks_per_second(reference: pykka.ActorRef[Any], _thread_count: int) -> float:
    """One thread sends a thousand, then collects their answers, again and again."""
    count = 0
    started_at = time.perf_counter()
    stop_at = started_at + SECONDS_PER_ROUND
    while time.perf_counter() < stop_at:
        futures = [reference.ask(number, block=False) for number in range(IN_FLIGHT)]
        for future in futures:
            future.get()
        count += IN_FLIGHT
    return count / (time.perf_counter() - started_at)


def main() -> None:
    """Print a table of asks per second and ratios."""
    ours: pykka.ActorRef[Any] = KhepriEcho.start(ActorLabel("echo"))
    stock: pykka.ActorRef[Any] = StockEcho.start()
    print(f"{'asks per second':28}{'Pykka':>10}{'khepri':>10}{'ratio':>8}{'worst-best ratio':>20}")
    cases: list[tuple[str, Callable[[pykka.ActorRef[Any], int], float], int]] = [
        (f"blocking, {count} threads", blocking_asks_per_second, count)
        for count in (1, 16, 64, 256)
    ]
    cases.append((f"pipelined, {IN_FLIGHT} in flight", pipelined_asks_per_second, 1))
    for name, measure, thread_count in cases:
        pairs = [
            (measure(stock, thread_count), measure(ours, thread_count)) for _ in range(ROUNDS)
        ]
        ratios = [after / before for before, after in pairs]
        before, after = (max(column) for column in zip(*pairs, strict=True))
        print(
            f"{name:28}{before:>10,.0f}{after:>10,.0f}{statistics.median(ratios):>8.2f}"
            f"{min(ratios):>12.2f}-{max(ratios):.2f}"
        )
    pykka.ActorRegistry.stop_all()


if __name__ == "__main__":
    main()
