"""Transactions that read a number and write the next one, beside plain puts of as many threads.

*Apart*: each thread has a tree node of its own. *Together*: all have the same one, so of those
that come at once one is done and the others run again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from .child import in_child
from .counting import counts_per_second, transactions_per_second
from .harness import Plan, Sample, Samples, in_rounds
from .khepri_cluster import KhepriCluster
from .tables import Table, rate, ratio

_THREADS = (1, 16, 64)


def measure(plan: Plan) -> Table:
    """Measure all numbers of threads in turn, on one node and at the leader of three members."""
    seconds = plan.cluster_seconds
    with KhepriCluster(plan.directory / "khepri") as cluster:

        def sample(subject: str) -> Sample:
            threads = int(subject)
            taken = in_child(
                on_one_node, directory=str(plan.directory), threads=threads, seconds=seconds
            )
            taken["members: puts"] = cluster.on_leader("puts", threads=threads, seconds=seconds)
            for kind, shared in (("apart", 0), ("together", 1)):
                taken[f"members: {kind}"] = cluster.on_leader(
                    "transactions", threads=threads, seconds=seconds, shared=shared
                )
            return taken

        collected = in_rounds(plan, map(str, _THREADS), sample)
    return Table(
        title="Transactions per second, beside durable puts",
        columns=(
            "threads",
            "one node: puts",
            "transactions apart",
            "apart / puts",
            "together",
            "three members: puts",
            "transactions apart",
            "apart / puts",
            "together",
        ),
        rows=tuple(_row(subject, samples) for subject, samples in collected.items()),
        notes=("Each reads a number and puts the next one. The threads are the leader's.",),
    )


def on_one_node(*, directory: str, threads: int, seconds: float) -> Sample:
    """Be the process that takes one sample."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="transactions-") as temporary,
        khepri.open(Path(temporary) / "data", "bench") as store,
    ):
        return {
            "puts": counts_per_second(store, threads, seconds, "puts"),
            "apart": transactions_per_second(store, threads, seconds, shared=False),
            "together": transactions_per_second(store, threads, seconds, shared=True),
        }


def _row(threads: str, samples: Samples) -> tuple[str, ...]:
    return (
        threads,
        *(
            cell
            for where in ("", "members: ")
            for cell in (
                rate(samples.median(f"{where}puts")),
                rate(samples.median(f"{where}apart")),
                ratio(samples.median_ratio(f"{where}apart", f"{where}puts")),
                rate(samples.median(f"{where}together")),
            )
        ),
    )
