"""From SIGKILL of the leader to the first write after it, beside etcd.

At a member that lives a put is sent every 20 ms, without waiting for the ones before; what counts
is the moment when the first of those returns that were sent after the kill. The dead member is
started again and has caught up before the next one is killed. Both systems as they come: khepri
with election timeouts of 600 to 1,200 ms, etcd with 1,000 ms.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .etcd_cluster import EtcdCluster, etcd_version, is_installed
from .harness import Plan, Samples
from .khepri_cluster import KhepriCluster
from .tables import Table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_KILLS = 20
_KILLS_QUICK = 3
_TARGET_SECONDS = 1.5


def measure(plan: Plan) -> Table:
    """Kill the leaders of both systems in turn."""
    kills = _KILLS_QUICK if plan.quick else _KILLS
    subjects: dict[str, Callable[[], float]] = {}
    collected: dict[str, Samples] = {}
    with ExitStack() as cleanup:
        khepri = cleanup.enter_context(KhepriCluster(plan.directory / "khepri"))
        subjects["khepri"] = lambda: _kill_khepri(khepri)
        if is_installed():
            etcd = cleanup.enter_context(EtcdCluster(plan.directory / "etcd"))
            subjects[f"etcd {etcd_version()}"] = lambda: _kill_etcd(etcd)
        for number in range(1, kills + 1):
            for name, kill in subjects.items():
                plan.say(f"kill {number} of {kills}: {name}")
                collected.setdefault(name, Samples()).rounds.append({"seconds": kill()})
    return Table(
        title=f"From SIGKILL of the leader to the next write, seconds, {kills} times",
        columns=("system", "median", "shortest", "longest", "target", "below etcd's"),
        rows=tuple(_row(name, collected) for name in collected),
        notes=("A put is sent every 20 ms to a member that lives.",)
        if is_installed()
        else ("etcd is not installed (Debian: etcd-server, etcd-client), so it was left out.",),
    )


def _kill_khepri(cluster: KhepriCluster) -> float:
    leader = cluster.leader()
    witness = cluster.members[cluster.followers()[0]]
    killed = time.monotonic()
    cluster.kill(leader)
    acknowledged: float = witness.call("probe")
    cluster.start(leader).call("catch_up")
    return acknowledged - killed


def _kill_etcd(cluster: EtcdCluster) -> float:
    leader = cluster.leader()
    witness = next(name for name in cluster.names if name != leader)
    killed = time.monotonic()
    cluster.kill(leader)
    acknowledged = cluster.probe(witness)
    cluster.start(leader)
    return acknowledged - killed


def _row(name: str, collected: dict[str, Samples]) -> tuple[str, ...]:
    median = collected[name].median("seconds")
    seconds = [sample["seconds"] for sample in collected[name].rounds]
    figures = (name, f"{median:.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}")
    if name != "khepri":
        return (*figures, "", "")
    others = [samples.median("seconds") for other, samples in collected.items() if other != name]
    below = "" if not others else "yes" if median < others[0] else "NO"
    return (*figures, verdict(median, _TARGET_SECONDS, at_least=False), below)
