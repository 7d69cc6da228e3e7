"""What writers feel of a snapshot of a million tree nodes.

Threads put without a pause. First nothing else happens, then a snapshot is written, then nothing
else again. Every put notes when it returned and how long it took; the three phases are cut out of
these notes afterwards, so that measuring does not disturb.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from . import large_tree
from .child import in_child
from .harness import Plan, Sample, Samples, in_rounds
from .tables import Table, rate, ratio, verdict
from .workloads import EXISTING_TREE_NODES, value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from khepri.store import Store

TARGET_SLOWDOWN = 2.5
TARGET_STALL_MILLISECONDS = 100.0
_THREADS = {"1 blocking thread": 1, "16 blocking threads": 16}


class Put(NamedTuple):
    """One finished put: when it returned and how long it took."""

    returned: float
    seconds: float


class Phase(NamedTuple):
    """A time span of the run."""

    begin: float
    end: float

    def rate(self, puts: list[Put]) -> float:
        """How many puts per second returned within it."""
        returned = sum(1 for put in puts if self.begin <= put.returned < self.end)
        return returned / (self.end - self.begin)

    def longest_milliseconds(self, puts: list[Put]) -> float:
        """How long the slowest put took that was under way within it."""
        touching = [
            put.seconds
            for put in puts
            if put.returned >= self.begin and put.returned - put.seconds < self.end
        ]
        return max(touching, default=0.0) * 1000


def measure(plan: Plan) -> Table:
    """Measure a few and many writers."""
    tree_nodes = 50_000 if plan.quick else 1_000_000

    def sample(subject: str) -> Sample:
        return in_child(
            write_during_snapshot,
            directory=str(plan.directory),
            tree_nodes=tree_nodes,
            threads=_THREADS[subject],
            seconds=2 * plan.seconds,
        )

    collected = in_rounds(plan, _THREADS, sample)
    return Table(
        title=f"Puts while a snapshot of {tree_nodes:,} tree nodes is written",
        columns=(
            "writers",
            "puts/s without",
            "puts/s during",
            "slowdown",
            "target",
            "longest put without, ms",
            "longest put during, ms",
            "target",
            "snapshot takes, s",
        ),
        rows=tuple(_row(subject, samples) for subject, samples in collected.items()),
        notes=("Rates and slowdowns are medians; the longest puts are those of all runs.",),
    )


def write_during_snapshot(
    *, directory: str, tree_nodes: int, threads: int, seconds: float
) -> Sample:
    """Be the process that takes one sample."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    with tempfile.TemporaryDirectory(dir=directory, prefix="snapshot-") as temporary:
        khepri.start(temporary, large_tree.config("bench"))
        store = khepri.Store("bench")
        large_tree.fill(store, tree_nodes)
        large_tree.take_snapshot("bench")
        with _writing(store, threads) as puts:
            pause = threading.Event()
            pause.wait(seconds / 4)
            before = _phase_of(lambda: pause.wait(seconds))
            during = _phase_of(lambda: large_tree.take_snapshot("bench"))
            after = _phase_of(lambda: pause.wait(seconds))
        khepri.stop("bench")
    return {
        "without": (before.rate(puts) + after.rate(puts)) / 2,
        "during": during.rate(puts),
        "longest_without": max(
            before.longest_milliseconds(puts), after.longest_milliseconds(puts)
        ),
        "longest_during": during.longest_milliseconds(puts),
        "snapshot_seconds": during.end - during.begin,
    }


def _phase_of(happens: Callable[[], object]) -> Phase:
    """Let something happen and give its time span."""
    begin = time.perf_counter()
    happens()
    return Phase(begin, time.perf_counter())


@contextmanager
def _writing(store: Store, threads: int) -> Generator[list[Put]]:
    """Keep threads writing; the list holds all their puts when the block has ended."""
    stop = threading.Event()
    notes: list[list[Put]] = [[] for _ in range(threads)]

    def write(thread: int) -> None:
        number = thread
        begun = time.perf_counter()
        while not stop.is_set():
            number += 1
            store.put(f"/bench/{number % EXISTING_TREE_NODES}", value(number))
            returned = time.perf_counter()
            notes[thread].append(Put(returned, returned - begun))
            begun = returned

    workers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    puts: list[Put] = []
    try:
        yield puts
    finally:
        stop.set()
        for worker in workers:
            worker.join()
        for noted in notes:
            puts += noted


def _row(subject: str, samples: Samples) -> tuple[str, ...]:
    slowdown = samples.median_ratio("without", "during")
    longest = samples.worst("longest_during")
    return (
        subject,
        rate(samples.median("without")),
        rate(samples.median("during")),
        ratio(slowdown),
        verdict(slowdown, TARGET_SLOWDOWN, at_least=False),
        f"{samples.worst('longest_without'):.0f}",
        f"{longest:.0f}",
        verdict(longest, TARGET_STALL_MILLISECONDS, at_least=False),
        f"{samples.median('snapshot_seconds'):.1f}",
    )
