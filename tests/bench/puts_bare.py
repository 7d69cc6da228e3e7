"""Durable puts of the barest program of khepri's shape, as multiples of R.

What is asked of khepri was set on another machine. This shows how much of it this one leaves to
any program of that shape; see `bare_store`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .bare_store import BareStore
from .callers import blocking_calls_per_second, pipelined_calls_per_second
from .child import in_child
from .harness import Plan, Sample, in_rounds
from .record_loop import records_per_second
from .tables import Table, rate, ratio
from .workloads import BY_NAME, EXISTING_TREE_NODES, SINGLE, value

if TYPE_CHECKING:
    from .bare_store import BareFuture


def measure(plan: Plan) -> Table:
    """Measure all workloads that are not batches."""

    def sample(subject: str) -> Sample:
        return in_child(
            put_for_a_while,
            directory=str(plan.directory),
            workload_name=subject,
            seconds=plan.seconds,
        )

    collected = in_rounds(plan, [workload.name for workload in SINGLE], sample)
    return Table(
        title="The same by a program that does nothing else, operations per second",
        columns=("workload", "rate", "R", "rate / R", "lowest to highest", "asked of khepri"),
        rows=tuple(
            (
                name,
                rate(samples.median("rate")),
                rate(samples.median("record_rate")),
                ratio(samples.median_ratio("rate", "record_rate")),
                samples.spread("rate", "record_rate"),
                "" if (target := BY_NAME[name].target) is None else f"{target:g}",
            )
            for name, samples in collected.items()
        ),
        notes=("No Raft, no tree, no sessions, no supervision: a queue, a log, a dict.",),
    )


def put_for_a_while(*, directory: str, workload_name: str, seconds: float) -> Sample:
    """Be the process that takes one sample: ``rate`` and the ``record_rate`` beside it."""
    workload = BY_NAME[workload_name]
    places = [f"/bench/existing/{number}" for number in range(EXISTING_TREE_NODES)]
    with tempfile.TemporaryDirectory(dir=directory, prefix="puts-") as temporary:
        before = records_per_second(Path(temporary), seconds / 2)
        with BareStore(Path(temporary) / "log") as store:

            def send(number: int) -> BareFuture:
                return store.put(places[number % EXISTING_TREE_NODES], value(number))

            def call(thread: int, number: int) -> None:
                send(thread * 61 + number).get()

            if workload.threads:
                per_second = blocking_calls_per_second(
                    call, threads=workload.threads, seconds=seconds
                )
            else:
                per_second = pipelined_calls_per_second(
                    send, lambda future: future.get(), seconds=seconds
                )
        after = records_per_second(Path(temporary), seconds / 2)
    return {"rate": per_second, "record_rate": (before + after) / 2}
