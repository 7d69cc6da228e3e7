"""All planted bugs, and how they are looked for: seed after seed until a checker speaks up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.testing.simulation_faults import plan_lease_attacks
from khepri.testing.simulation_settings import SimulationSettings
from tests.sim.checkers import Checkers, run_checked
from tests.sim.planted_calls import CALL_BUGS
from tests.sim.planted_core import CORE_BUGS
from tests.sim.planted_leases import LEASE_BUGS
from tests.sim.planted_log import LOG_BUGS
from tests.sim.planted_machine import MACHINE_BUGS

if TYPE_CHECKING:
    from tests.sim.planting import Planted

SLIPPERY = frozenset(
    {
        "all that is held is taken for the leader's",
        "entries are confirmed that are not the leader's",
        "a leader that was removed counts itself",
        "a late notice confirms what was overwritten",
        "a change that was cut off stays in effect",
        "an installed snapshot drops a suffix that agrees",
        "a failed sync of the log is taken for done",
        "a file is written on after its sync has failed",
        "a truncation is not written",
        "term and vote have one slot",
        "an overwritten suffix comes back",
        "a failed batch leaves half of itself",
        "sessions never expire",
        "checksums of payloads are not looked at",
        "a change of term ends the promise",
        "a leader that is no voter has a lease",
    }
)
"""Bugs that took more seeds than anybody has waited for, or that the workload cannot show."""

UNDER_ATTACK = frozenset({"reads do not wait for a majority", *(bug.name for bug in LEASE_BUGS)})
"""Bugs of linearizable reads: looked for under attacks made to order."""

WITH_ALL_KINDS = frozenset(bug.name for bug in CALL_BUGS)
"""Bugs that only triggers, transactions and times to live show; all others are looked for without,
since single writes are more by as much."""

_PLANTED = [*CORE_BUGS, *LEASE_BUGS, *LOG_BUGS, *MACHINE_BUGS, *CALL_BUGS]
ALL_BUGS = [bug for bug in _PLANTED if bug.name not in SLIPPERY]
SLIPPERY_BUGS = [bug for bug in _PLANTED if bug.name in SLIPPERY]


def find(bug: Planted, *, most_seeds: int, first_seed: int = 1) -> tuple[int, str] | None:
    """Give the number of seeds it took and what was said, or None if nothing was."""
    for count in range(1, most_seeds + 1):
        seed = first_seed + count - 1
        settings = _settings(bug, seed)
        faults = None
        if bug.name in UNDER_ATTACK:
            settings = SimulationSettings.under_lease_attack(seed)
            faults = plan_lease_attacks(seed, settings)
        with bug.planted():
            try:
                run_checked(seed, settings, faults, checkers=Checkers())
            except Exception as error:  # noqa: BLE001 - an assert of the product finds bugs, too
                said = str(error) or repr(error)
                if isinstance(error, AssertionError) and not said.startswith("I"):
                    said = f"the product's own assert: {said}"
                elif not isinstance(error, AssertionError):
                    said = f"{type(error).__name__}: {said}"
                return count, said.split("\n", maxsplit=1)[0]
    return None


def _settings(bug: Planted, seed: int) -> SimulationSettings:
    settings = SimulationSettings.draw(seed, fault_seconds=10.0)
    if bug.name in WITH_ALL_KINDS:
        return settings.with_all_kinds()
    return settings.with_single_writes()
