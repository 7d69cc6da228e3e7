"""Durable puts of three members on this machine, beside etcd and PySyncObj on the same work.

Callers are of two kinds, and each is compared with its like. *In one thread* they cost next to
nothing: to khepri they are futures, each caller sending its next put when the last is answered;
to etcd they are streams of one connection that do the same (see `grpc_calls`). *Threads* wait for
each put: of khepri's own process, since it is embedded; of a Python program with a connection
each, since etcd is a server. All are at the leader; khepri's threads are also measured spread
over its members.

The members of both stay up during the whole run, and the figures that are compared are taken
within seconds of each other. PySyncObj polls, so its members run only while they are measured.
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
                "one thread": lambda: khepri.on_leader(
                    "puts_of_one_thread", callers=callers, seconds=seconds
                ),
            }
            if etcd is not None:
                subjects["etcd streams"] = partial(etcd.puts, callers=callers, seconds=seconds)
            subjects["threads"] = lambda: khepri.on_leader(
                "puts", threads=callers, seconds=seconds
            )
            if etcd is not None:
                subjects["etcd threads"] = partial(
                    etcd.puts_of_threads, threads=callers, seconds=seconds
                )
            if callers > 1:
                subjects["spread"] = lambda: khepri.spread(
                    "puts", threads=callers, seconds=seconds
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
            "khepri, one thread",
            "etcd, streams",
            "khepri / etcd",
            "lowest to highest",
            "target",
            "khepri, threads",
            "etcd, threads",
            "khepri / etcd",
            "lowest to highest",
            "target",
            "khepri, threads spread",
            "PySyncObj, not synced",
            "threads / PySyncObj",
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

    def compared(ours: str, theirs: str, target: float) -> tuple[str, ...]:
        if not samples.has(theirs):
            return (measured(ours), *[""] * 4)
        multiple = samples.median_ratio(ours, theirs)
        return (
            measured(ours),
            measured(theirs),
            ratio(multiple),
            samples.spread(ours, theirs),
            verdict(multiple, target, at_least=True),
        )

    _, peer, multiple, _, judged = compared("threads", "as it comes", _PEER_TARGET)
    return (
        str(callers),
        *compared("one thread", "etcd streams", _TARGETS[callers]),
        *compared("threads", "etcd threads", _TARGETS[callers]),
        measured("spread"),
        peer,
        multiple,
        judged,
        measured("tuned"),
    )


def _notes() -> tuple[str, ...]:
    return (
        (
            "khepri: over ZeroMQ with CURVE. One thread: callers that are futures. Threads: of the"
            " members' processes, waiting for each put, all at the leader or spread over the"
            " members."
        ),
        (
            f"etcd {etcd_version()}, without TLS: callers at the leader, as streams of one"
            " connection, and as threads of a Python program with a connection each."
            if is_installed()
            else "etcd is not installed (Debian: etcd-server, etcd-client), so it was left out."
        ),
        (
            f"PySyncObj {version('pysyncobj')}: as it comes, and tuned as above; its journals are"
            " never synced."
        ),
    )
