"""An empty node joins three members with 100,000 tree nodes, while one caller goes on writing."""

from __future__ import annotations

import time

from .harness import Plan, Sample, in_rounds
from .khepri_cluster import KhepriCluster
from .tables import Table, rate

_TREE_NODES = 100_000
_TREE_NODES_QUICK = 10_000
_WRITING_SECONDS = 1.0
_ROUNDS_MAX = 3


def measure(plan: Plan) -> Table:
    """Let a node join, again and again with an empty disk."""
    wanted = _TREE_NODES_QUICK if plan.quick else _TREE_NODES
    rounds = Plan(plan.directory, min(plan.runs, _ROUNDS_MAX), plan.quick, plan.say)
    with KhepriCluster(plan.directory / "khepri") as cluster:
        plan.say(f"loading {wanted:,} tree nodes")
        tree_nodes = cluster.members[cluster.names[0]].call("load", tree_nodes=wanted)
        newcomer = cluster.stranger()
        samples = in_rounds(rounds, ["join"], lambda _: _join(cluster, newcomer))["join"]
    return Table(
        title=f"Join of an empty node to three members with {tree_nodes:,} tree nodes",
        columns=(
            "seconds until it is a voter",
            "longest",
            "writes per second before",
            "meanwhile",
            "longest wait for a write meanwhile",
        ),
        rows=(
            (
                f"{samples.median('seconds'):.2f}",
                f"{samples.worst('seconds'):.2f}",
                rate(samples.median("before")),
                rate(samples.median("meanwhile")),
                f"{samples.median('longest_seconds') * 1000:.0f} ms",
            ),
        ),
        notes=("One caller at the leader writes one value after the other.",),
    )


def _join(cluster: KhepriCluster, newcomer: str) -> Sample:
    """Let the newcomer join and leave again; its data are deleted then."""
    leader = cluster.members[cluster.leader()]
    before = leader.call("put_for", seconds=_WRITING_SECONDS)
    leader.call("begin_putting")
    started = time.monotonic()
    cluster.members[newcomer].call("join", remote=cluster.names[0])
    seconds = time.monotonic() - started
    meanwhile = leader.call("end_putting")
    cluster.members[newcomer].call("reset")
    return {
        "seconds": seconds,
        "before": before["rate"],
        "meanwhile": meanwhile["rate"],
        "longest_seconds": meanwhile["longest_seconds"],
    }
