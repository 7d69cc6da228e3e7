"""A campaign: seed after seed, with all checkers, until time is over or a seed fails.

It says how far it is, how fast, what was injected, and which marks were reached. A failure is
printed with everything needed to have it again: seed, commit, and a shortened schedule.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

from khepri.testing.simulation_faults import plan_faults, plan_lease_attacks
from khepri.testing.simulation_settings import SimulationSettings
from tests.sim.checkers import Checkers, run_checked
from tests.sim.marks import MARKS
from tests.sim.shrinking import _kind_of, shrink_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.testing.simulation import Simulation
    from khepri.testing.simulation_fault import Fault

REPORT_SECONDS = 20.0

LEASE_ATTACKS_EVERY = 5
"""Every so many seeds there is hardly anything but attacks on leases."""


class Campaign:
    """The sums of all runs so far.

    Attributes:
        failed: the seeds that failed.
    """

    def __init__(self) -> None:
        self.failed: list[int] = []
        self._seeds = 0
        self._steps = 0
        self._virtual_seconds = 0.0
        self._operations = 0
        self._searched = 0
        self._marks: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._sent = 0
        self._lost = 0
        self._cpu_seconds = 0.0
        self._began = time.monotonic()

    def run_for(self, seconds: float, seeds: Iterable[int]) -> None:
        """Run seeds until the time is over."""
        deadline, next_report = self._began + seconds, self._began + REPORT_SECONDS
        for seed in seeds:
            self.run_one(seed)
            now = time.monotonic()
            if now >= next_report:
                next_report = now + REPORT_SECONDS
                print(self.progress(), flush=True)
            if now >= deadline:
                return

    def run_one(self, seed: int) -> None:
        """Run one seed; a failure is printed."""
        if seed % LEASE_ATTACKS_EVERY:
            settings = SimulationSettings.draw(seed)
            faults = plan_faults(seed, settings)
        else:
            settings = SimulationSettings.under_lease_attack(seed)
            faults = plan_lease_attacks(seed, settings)
        checkers = Checkers()
        began = time.process_time()
        try:
            run = run_checked(seed, settings, faults, checkers=checkers)
        except Exception as error:  # noqa: BLE001 - the next seed may find something else
            self.failed.append(seed)
            self._print_failure(seed, settings, faults, error)
        else:
            self._searched += run.searched_keys
            self._add(run.world, time.process_time() - began)
        self._seeds += 1
        self._marks.update(checkers.marks.reached)

    def _add(self, world: Simulation, cpu_seconds: float) -> None:
        self._cpu_seconds += cpu_seconds
        self._steps += world.steps
        self._virtual_seconds += world.now
        self._operations += world.operations
        self._faults.update(world.fault_counts)
        self._sent += world.network.sent
        self._lost += world.network.lost + world.network.duplicated

    def _print_failure(
        self, seed: int, settings: SimulationSettings, faults: list[Fault], error: Exception
    ) -> None:
        print(f"\nFAILED: seed {seed}, commit {commit()}")
        print(f"  {type(error).__name__}: {error}")
        print(f"  again: make soak-simulation SEED={seed} SECONDS=1")
        shorter = shrink_failure(seed, settings, faults, _kind_of(error))
        print(f"  schedule, shortened from {len(faults)} to {len(shorter)} faults:")
        for fault in shorter:
            print(f"    {fault}")
        print(flush=True)

    def progress(self) -> str:
        """Say in one line how far it is."""
        minutes = (time.monotonic() - self._began) / 60
        rate = self._steps / self._cpu_seconds if self._cpu_seconds else 0.0
        return (
            f"{minutes:6.1f} min  {self._seeds} seeds  {self._steps:,} steps"
            f"  {rate:,.0f} steps/s of processor time"
            f"  {self._virtual_seconds / 3600:.2f} h virtual"
            f"  {sum(self._faults.values()):,} faults"
            f"  {len(self._marks.keys() & MARKS)}/{len(MARKS)} marks  {len(self.failed)} failed"
        )

    def report(self) -> str:
        """Say everything."""
        lines = [
            self.progress(),
            f"operations of clients: {self._operations:,}",
            f"histories searched without indexes: {self._searched:,}",
            f"messages: {self._sent:,}; lost or doubled: {self._lost:,}",
            "faults: " + ", ".join(f"{kind} {n:,}" for kind, n in self._faults.most_common()),
            "marks: " + ", ".join(f"{mark} {n:,}" for mark, n in self._marks.most_common()),
            "never reached: " + (", ".join(sorted(MARKS - self._marks.keys())) or "none"),
            "failed seeds: " + (", ".join(map(str, self.failed)) or "none"),
        ]
        return "\n".join(lines)


def commit() -> str:
    """Give the commit of the working tree, as well as it is known."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
