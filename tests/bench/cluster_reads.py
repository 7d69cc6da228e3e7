"""Linearizable reads of three members on this machine, beside etcd's.

Callers as in `cluster_puts`. At khepri's leader a caller reads in its own thread while the leader
has a lease; spread over the members, those elsewhere ask the leader. etcd confirms with a majority
that the leader still leads, once for all reads that wait.
"""

from __future__ import annotations

from contextlib import ExitStack

from .etcd_cluster import EtcdCluster, etcd_version, is_installed
from .harness import Plan, Sample, Samples, in_rounds
from .khepri_cluster import KhepriCluster
from .tables import Table, rate, ratio, verdict

_CALLERS = (1, 16, 64, 256)
_TARGET = 3.0


def measure(plan: Plan) -> Table:
    """Measure all numbers of callers in turn."""
    seconds = plan.cluster_seconds
    with ExitStack() as cleanup:
        khepri = cleanup.enter_context(KhepriCluster(plan.directory / "khepri"))
        etcd = (
            cleanup.enter_context(EtcdCluster(plan.directory / "etcd")) if is_installed() else None
        )
        if etcd is not None:
            etcd.prepare()

        def sample(subject: str) -> Sample:
            callers = int(subject)
            taken = {"leader": khepri.on_leader("gets", threads=callers, seconds=seconds)}
            if etcd is not None:
                taken["etcd"] = etcd.gets(callers=callers, seconds=seconds)
                taken["etcd threads"] = etcd.gets_of_threads(threads=callers, seconds=seconds)
            taken["spread"] = khepri.spread("gets", threads=max(callers, 3), seconds=seconds)
            return taken

        collected = in_rounds(plan, map(str, _CALLERS), sample)
    return Table(
        title="Linearizable reads of 128 bytes per second, three members on this machine",
        columns=(
            "callers",
            "khepri, at the leader",
            "khepri, spread",
            "etcd, streams",
            "leader / etcd",
            "lowest to highest",
            "target",
            "etcd, threads",
            "leader / etcd threads",
        ),
        rows=tuple(_row(subject, samples) for subject, samples in collected.items()),
        notes=(
            (
                "Callers as in the table above; 1 caller spread means one at each member."
                " A local read needs no network at all, see below."
            ),
            f"etcd {etcd_version()}, without TLS."
            if is_installed()
            else "etcd is not installed (Debian: etcd-server, etcd-client), so it was left out.",
        ),
    )


def _row(callers: str, samples: Samples) -> tuple[str, ...]:
    ours = (callers, rate(samples.median("leader")), rate(samples.median("spread")))
    if not samples.has("etcd"):
        return (*ours, *[""] * 6)
    multiple = samples.median_ratio("leader", "etcd")
    return (
        *ours,
        rate(samples.median("etcd")),
        ratio(multiple),
        samples.spread("leader", "etcd"),
        verdict(multiple, _TARGET, at_least=True),
        rate(samples.median("etcd threads")),
        ratio(samples.median_ratio("leader", "etcd threads")),
    )
