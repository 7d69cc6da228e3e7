"""Durable puts of khepri, as multiples of R (see `record_loop`).

Every sample is a fresh process with a fresh store: R, the workload, R again, all on the same disk
within seconds. A put counts when it has returned, which is after its entry was synced to disk.

The multiples depend on the disk: what a put costs in processor time is the same on all, so the
faster a disk syncs, the smaller they are. `puts_slow_disk` measures the same with slower syncs.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .callers import blocking_calls_per_second, pipelined_calls_per_second
from .child import in_child
from .harness import Plan, Sample, Samples, in_rounds
from .record_loop import records_per_second
from .tables import Table, rate, ratio, verdict
from .workloads import BATCHES, BY_NAME, EXISTING_TREE_NODES, SINGLE, Workload, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.future import KhepriFuture
    from khepri.batch import Batch
    from khepri.store import Store

EXISTING = "existing"
NEW = "new"
_WARM_UP_SECONDS = 0.2
_TITLE = "Durable puts of 128 bytes on one node, operations per second"


def measure(
    plan: Plan,
    *,
    sync_delay_seconds: float = 0.0,
    on_one_cpu: bool = False,
    title: str = _TITLE,
    notes: tuple[str, ...] = (),
) -> Table:
    """Measure all workloads, on tree nodes that exist and on new ones.

    Args:
        plan: of the run.
        sync_delay_seconds: so much longer each sync takes, in the loop and in the store.
        on_one_cpu: whether the measuring process is kept there.
        title: of the table.
        notes: below the table.
    """
    subjects = {
        f"{workload.name}, {tree_nodes}": (workload, tree_nodes)
        for workload in (*SINGLE, *BATCHES)
        for tree_nodes in (EXISTING, NEW)
    }

    def sample(subject: str) -> Sample:
        workload, tree_nodes = subjects[subject]
        return measure_in_child(
            plan, workload, tree_nodes, sync_delay_seconds, on_one_cpu=on_one_cpu
        )

    collected = in_rounds(plan, subjects, sample)
    return Table(
        title=title,
        columns=("workload", "tree nodes", "rate", "R", "rate / R", "lowest to highest", "target"),
        rows=tuple(_row(*subjects[subject], samples) for subject, samples in collected.items()),
        notes=(
            "R: `write` and `fdatasync` of one 200-byte record in a loop, beside each sample.",
            *notes,
        ),
    )


def measure_in_child(
    plan: Plan,
    workload: Workload,
    tree_nodes: str,
    sync_delay_seconds: float = 0.0,
    *,
    on_one_cpu: bool = False,
) -> Sample:
    """Take one sample in a fresh process."""
    return in_child(
        put_for_a_while,
        directory=str(plan.directory),
        workload_name=workload.name,
        tree_nodes=tree_nodes,
        seconds=plan.seconds,
        sync_delay_seconds=sync_delay_seconds,
        on_one_cpu=on_one_cpu,
    )


def put_for_a_while(
    *,
    directory: str,
    workload_name: str,
    tree_nodes: str,
    seconds: float,
    sync_delay_seconds: float,
    on_one_cpu: bool,
) -> Sample:
    """Be the process that takes one sample: ``rate`` and the ``record_rate`` beside it."""
    if on_one_cpu:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # and all threads made from now on
    import khepri  # noqa: PLC0415 - in the measuring process only

    if sync_delay_seconds:
        _slow_syncs_down(sync_delay_seconds)
    workload = BY_NAME[workload_name]
    with tempfile.TemporaryDirectory(dir=directory, prefix="puts-") as temporary:
        before = records_per_second(Path(temporary), seconds / 2)
        with khepri.open(Path(temporary) / "data", "bench") as store:
            path_of = _places(store, tree_nodes)
            _run(store, workload, path_of, _WARM_UP_SECONDS, "warm-up")
            operations_per_second = _run(store, workload, path_of, seconds, "measured")
        after = records_per_second(Path(temporary), seconds / 2)
    return {"rate": operations_per_second, "record_rate": (before + after) / 2}


def _slow_syncs_down(seconds: float) -> None:
    """Have every sync of this process take longer; others get on meanwhile, as with a real one."""
    sync = os.fdatasync

    def slow_sync(file: int) -> None:
        sync(file)
        time.sleep(seconds)

    os.fdatasync = slow_sync  # type: ignore[assignment]


def _places(store: Store, tree_nodes: str) -> Callable[[str, int, int], str]:
    """Say where a put of (phase, thread, number) goes."""
    if tree_nodes == NEW:
        return lambda phase, thread, number: f"/bench/{phase}-{thread}/{number}"
    existing = [f"/bench/existing/{number}" for number in range(EXISTING_TREE_NODES)]
    with store.batch() as batch:
        for path in existing:
            batch.put(path, b"")
    # Threads start at different places, so that they rarely write the same one.
    return lambda _phase, thread, number: existing[(thread * 61 + number) % EXISTING_TREE_NODES]


def _run(
    store: Store,
    workload: Workload,
    path_of: Callable[[str, int, int], str],
    seconds: float,
    phase: str,
) -> float:
    """Run a workload and give operations per second."""
    put = store.put
    operations = workload.operations

    def fill_batch(thread: int, number: int) -> Batch:
        batch = store.batch()
        for operation in range(number * operations, (number + 1) * operations):
            batch.put(path_of(phase, thread, operation), value(operation))
        return batch

    def call(thread: int, number: int) -> object:
        if operations == 1:
            return put(path_of(phase, thread, number), value(number))
        return fill_batch(thread, number).commit()

    def send(number: int) -> KhepriFuture[Any]:
        if operations == 1:
            return put(path_of(phase, 0, number), value(number), async_=True)
        return fill_batch(0, number).commit(async_=True)

    if workload.threads:
        calls = blocking_calls_per_second(call, threads=workload.threads, seconds=seconds)
    else:
        calls = pipelined_calls_per_second(send, lambda future: future.get(), seconds=seconds)
    return calls * operations


def _row(workload: Workload, tree_nodes: str, samples: Samples) -> tuple[str, ...]:
    multiple = samples.median_ratio("rate", "record_rate")
    return (
        workload.name,
        tree_nodes,
        rate(samples.median("rate")),
        rate(samples.median("record_rate")),
        ratio(multiple),
        samples.spread("rate", "record_rate"),
        verdict(multiple, workload.target, at_least=True) if workload.target else "",
    )
