"""Rounds of real processes under faults, each with a seed, each checked at its end.

A round is what `test_integration_cluster.py` does for a few seconds. A campaign makes rounds of
all kinds and sizes until its time is over.
"""

from __future__ import annotations

import random
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.integration.cluster_processes import Processes, free_names, port_of
from tests.integration.links import Links
from tests.integration.nemesis import LinkNemesis, Nemesis

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZES = (3, 5, 7)
LONGEST_PAUSE_SECONDS = 10.0

MEBIBYTE = 2**20
WARM_ROUNDS = 3
MOST_GROWTH_BYTES = 64 * MEBIBYTE
"""So much larger than at its warmest moment before the faults a process may become.

What a process holds for the others is bounded: what is under way to a peer, what waits in the
transport for one, commands that wait to be committed. None of it comes near this with the load
of these rounds, whose tree and log stay small.
"""


class Memory:
    """How much memory the processes of a cluster have taken at most, before and under faults."""

    def __init__(self, cluster: Processes) -> None:
        self._cluster = cluster
        self._before = 0
        self.most_bytes = 0

    def warm(self) -> None:
        """Have every process hold as much as it may have to without any fault.

        That is mostly the log between two snapshots, so more is put than one of them cuts off.
        """
        for _ in range(WARM_ROUNDS):
            for process in self._cluster.running.values():
                process.ask("bulk", 40, 200_000)
                self._before = max(self._before, self.look())

    def look(self) -> int:
        """Measure, and give the largest process."""
        largest = max(process.resident_bytes() for process in self._cluster.running.values())
        self.most_bytes = max(self.most_bytes, largest)
        return largest

    def check(self) -> None:
        before, most = self._before // MEBIBYTE, self.most_bytes // MEBIBYTE
        print(f"largest process: {before} MiB before the faults, {most} MiB at most")
        assert self.most_bytes <= self._before + MOST_GROWTH_BYTES, (
            f"a process of {self._before} bytes has grown to {self.most_bytes}"
        )


class Round(NamedTuple):
    """One cluster, from its start to its check."""

    kind: str
    """``processes``: they are killed, paused, made to leave and join. ``links``: theirs are cut
    in one direction, slowed, choked, and memory is measured."""
    size: int
    seed: int
    seconds: float
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS

    def run(self, folder: Path) -> None:
        """Do it.

        Raises:
            AssertionError: a promise was not kept.
        """
        print(f"{self.size} {self.kind}, KHEPRI_SEED={self.seed}", flush=True)
        if self.kind == "links":
            self._with_links(folder)
        else:
            self._with_processes(folder)

    def _with_processes(self, folder: Path) -> None:
        dice = random.Random(self.seed)
        with Processes(folder, free_names(self.size)) as cluster:
            cluster.await_progress(50)
            Nemesis(cluster, dice, longest_pause_seconds=self.longest_pause_seconds).run(
                self.seconds
            )
            cluster.make_whole()
            cluster.await_progress(50)
            cluster.check()

    def _with_links(self, folder: Path) -> None:
        dice = random.Random(self.seed)
        names = free_names(self.size)
        with ExitStack() as open_now:
            links = open_now.enter_context(Links([port_of(name) for name in names]))
            routes = [links.routes(number) for number in range(self.size)]
            cluster = open_now.enter_context(Processes(folder, names, routes=routes))
            cluster.await_progress(50)
            memory = Memory(cluster)
            memory.warm()
            LinkNemesis(
                cluster,
                dice,
                links,
                memory.look,
                longest_pause_seconds=self.longest_pause_seconds,
            ).run(self.seconds)
            links.heal()
            cluster.await_progress(50)
            cluster.check()
            memory.check()


def rounds(seed: int, seconds: float) -> Iterable[Round]:
    """Give rounds without end, kinds and sizes in turn, seeds one after the other."""
    while True:
        for size in SIZES:
            for kind in ("processes", "links"):
                yield Round(kind, size, seed, seconds)
                seed += 1


def attempt(one: Round) -> bool:
    """Do a round and print what went wrong, if something did."""
    with tempfile.TemporaryDirectory(prefix="khepri-") as folder:
        try:
            one.run(Path(folder))
        except Exception:  # noqa: BLE001 - the next round may find something else
            print(f"FAILED: {one}", flush=True)
            traceback.print_exc()
            return False
    return True
