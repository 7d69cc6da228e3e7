"""Durable puts of three members on this machine, beside etcd and PySyncObj on the same work.

khepri is embedded, so its callers are threads in the processes of the members, that wait for each
put: all of them at the leader, or the same number spread over the members. etcd is a server: its
callers are measured in two ways. As streams of one connection they cost next to nothing (see
`grpc_calls`), which gives etcd its best figure; as threads of a Python program, one connection
each, they are what khepri's callers are. The members of both stay up during the whole run, and
the figures that are compared are taken within seconds of each other. PySyncObj polls, so its
members run only while they are measured.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from .etcd_cluster import EtcdCluster, etcd_version, is_installed
from .harness import Plan, Sample, Samples, in_rounds
from .khepri_cluster import KhepriCluster
from .peer import SETTINGS
from .pysyncobj_cluster import PySyncObjCluster
from .tables import Table, rate, ratio, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLERS = (1, 16, 64, 256)
_TARGETS = {1: 1.0, 16: 1.5, 64: 1.5, 256: 1.5}
_PEER_CALLERS = 64
_PEER_TARGET = 5.0


def measure(plan: Plan) -> Table:
    """Measure all numbers of callers in turn."""
    seconds = plan.cluster_seconds
    with ExitStack() as cleanup:
        khepri = cleanup.enter_context(KhepriCluster(plan.directory / "khepri"))
        etcd = (
            cleanup.enter_context(EtcdCluster(plan.directory / "etcd")) if is_installed() else None
        )

        def sample(subject: str) -> Sample:
            callers = int(subject)
            subjects: dict[str, Callable[[], float]] = {
                "leader": lambda: khepri.on_leader("puts", threads=callers, seconds=seconds),
            }
            if etcd is not None:
                subjects["etcd"] = partial(etcd.puts, callers=callers, seconds=seconds)
            if callers > 1:
                subjects["spread"] = lambda: khepri.spread(
                    "puts", threads=callers, seconds=seconds
                )
            if etcd is not None:
                subjects["etcd threads"] = partial(
                    etcd.puts_of_threads, threads=callers, seconds=seconds
                )
            if callers == _PEER_CALLERS:
                for name in SETTINGS:
                    subjects[name] = partial(_peer_puts, plan.directory, name, seconds)
            return {name: measured() for name, measured in subjects.items()}

        collected = in_rounds(plan, map(str, _CALLERS), sample)
    return Table(
        title="Durable puts of 128 bytes per second, three members on this machine",
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
            "PySyncObj, not synced",
            "leader / PySyncObj",
            "target",
            "PySyncObj tuned",
        ),
        rows=tuple(_row(int(subject), samples) for subject, samples in collected.items()),
        notes=_notes(),
    )


def _peer_puts(directory: Path, name: str, seconds: float) -> float:
    """Measure PySyncObj in a cluster that lives no longer: tuned, it polls all the time."""
    with (
        tempfile.TemporaryDirectory(dir=directory) as temporary,
        PySyncObjCluster(Path(temporary) / name, SETTINGS[name]) as cluster,
    ):
        return cluster.puts(threads=_PEER_CALLERS, seconds=seconds)


def _row(callers: int, samples: Samples) -> tuple[str, ...]:
    def measured(name: str) -> str:
        return rate(samples.median(name)) if samples.has(name) else ""

    def multiple(name: str) -> str:
        return ratio(samples.median_ratio("leader", name)) if samples.has(name) else ""

    def judged(name: str, target: float) -> str:
        if not samples.has(name):
            return ""
        return verdict(samples.median_ratio("leader", name), target, at_least=True)

    return (
        str(callers),
        measured("leader"),
        measured("spread"),
        measured("etcd"),
        multiple("etcd"),
        samples.spread("leader", "etcd") if samples.has("etcd") else "",
        judged("etcd", _TARGETS[callers]),
        measured("etcd threads"),
        multiple("etcd threads"),
        measured("as it comes"),
        multiple("as it comes"),
        judged("as it comes", _PEER_TARGET),
        measured("tuned"),
    )


def _notes() -> tuple[str, ...]:
    return (
        (
            "khepri: over ZeroMQ with CURVE; callers are threads in the members' processes that"
            " wait for each put."
        ),
        (
            f"etcd {etcd_version()}, without TLS: callers at the leader, as streams of one"
            " connection that cost next to nothing (its best figure), and as threads of a Python"
            " program."
            if is_installed()
            else "etcd is not installed (Debian: etcd-server, etcd-client), so it was left out."
        ),
        (
            f"PySyncObj {version('pysyncobj')}: as it comes, and tuned as above; its journals are"
            " never synced."
        ),
    )
