"""Memory per tree node: how much bigger a process is that holds a million of them.

What counts is the resident memory of the whole process, so everything is in it: the tree, the
payloads, what the interpreter wastes, what is left of loading. Two moments are looked at: after
loading and a snapshot, in the process that loaded; and after a restart, in the one that recovered.
"""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

from . import large_tree
from .child import in_child
from .harness import Plan, Sample, in_rounds
from .tables import Table, rate, verdict

TARGET_BYTES = 600.0
_MOMENTS = {"after a restart": "restarted", "after loading and a snapshot": "loaded"}


def measure(plan: Plan) -> Table:
    """Load and restart a large store, in fresh processes."""
    tree_nodes = 20_000 if plan.quick else 1_000_000

    def sample(_subject: str) -> Sample:
        with tempfile.TemporaryDirectory(dir=plan.directory, prefix="memory-") as temporary:
            loaded = in_child(load, directory=temporary, tree_nodes=tree_nodes)
            restarted = in_child(restart, directory=temporary, tree_nodes=tree_nodes)
            empty = in_child(restart, directory=f"{temporary}/empty", tree_nodes=0)
        return {
            "loaded": (loaded["bytes"] - empty["bytes"]) / tree_nodes,
            "restarted": (restarted["bytes"] - empty["bytes"]) / tree_nodes,
        }

    samples = in_rounds(plan, ["the process"], sample)["the process"]
    return Table(
        title=f"Memory per tree node with a payload of 100 bytes, {tree_nodes:,} tree nodes",
        columns=("when", "bytes per tree node", "target"),
        rows=tuple(
            (when, rate(figure), verdict(round(figure), TARGET_BYTES, at_least=False))
            for when, name in _MOMENTS.items()
            for figure in [samples.median(name)]
        ),
        notes=("Resident memory of the process, less that of one with an empty store.",),
    )


def load(*, directory: str, tree_nodes: int) -> Sample:
    """Be the process that loads."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    khepri.start(directory, large_tree.config("bench"))
    try:
        large_tree.fill(khepri.Store("bench"), tree_nodes)
        large_tree.take_snapshot("bench")
        return {"bytes": _resident_bytes()}
    finally:
        khepri.stop("bench")


def restart(*, directory: str, tree_nodes: int) -> Sample:
    """Be the process that recovers."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    with khepri.open(directory, "bench") as store:
        assert store.count("/tree/*/*") == tree_nodes
        return {"bytes": _resident_bytes()}


def _resident_bytes() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
