"""What a message to a khepri actor costs, against Pykka's own actor, side by side.

Run ``python -m tests.bench.actor_round_trip``. Both actors echo; the rounds alternate and the
best of each is taken, so that what else the machine does hits both. Read the ratios: that of
asks per second and, steadier on a machine that has other work too, that of processor time per
ask, which is mostly thread switches.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka

from khepri.actors.actor import KhepriActor
from khepri.actors.label import ActorLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    Measure = Callable[[pykka.ActorRef[Any], int], float]

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


@dataclass(frozen=True, slots=True)
class Measured:
    """One round."""

    asks_per_second: float
    cpu_microseconds_per_ask: float


def measured(measure: Measure, reference: pykka.ActorRef[Any], thread_count: int) -> Measured:
    """Run one round and take its processor time."""
    cpu_before, before = time.process_time(), time.perf_counter()
    rate = measure(reference, thread_count)
    asks = rate * (time.perf_counter() - before)
    return Measured(rate, (time.process_time() - cpu_before) / asks * 1e6)


def row(name: str, stock: list[Measured], ours: list[Measured]) -> str:
    """Give a line of the table: the best rates, the median ratios."""
    pairs = list(zip(stock, ours, strict=True))
    rate_ratio = statistics.median(b.asks_per_second / a.asks_per_second for a, b in pairs)
    cpu = [
        statistics.median(one.cpu_microseconds_per_ask for one in all_) for all_ in (stock, ours)
    ]
    best = [max(one.asks_per_second for one in all_) for all_ in (stock, ours)]
    return (
        f"{name:28}{best[0]:>10,.0f}{best[1]:>10,.0f}{rate_ratio:>8.2f}"
        f"{cpu[0]:>12.1f}{cpu[1]:>10.1f}{cpu[0] / cpu[1]:>8.2f}"
    )


def main() -> None:
    """Print a table of asks per second, processor time per ask, and ratios."""
    ours: pykka.ActorRef[Any] = KhepriEcho.start(ActorLabel("echo"))
    stock: pykka.ActorRef[Any] = StockEcho.start()
    print(f"{'':28}{'asks per second':^28}{'CPU microseconds per ask':>30}")
    print(f"{'':28}" + f"{'Pykka':>10}{'khepri':>10}{'ratio':>8}" * 2)
    cases: list[tuple[str, Measure, int]] = [
        (f"blocking, {count} threads", blocking_asks_per_second, count)
        for count in (1, 16, 64, 256)
    ]
    cases.append((f"pipelined, {IN_FLIGHT} in flight", pipelined_asks_per_second, 1))
    for name, measure, thread_count in cases:
        rounds = [
            (measured(measure, stock, thread_count), measured(measure, ours, thread_count))
            for _ in range(ROUNDS)
        ]
        print(row(name, [before for before, _ in rounds], [after for _, after in rounds]))
    pykka.ActorRegistry.stop_all()


if __name__ == "__main__":
    main()
