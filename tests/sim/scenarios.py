"""Seeds that once failed, by what they had found. They stay."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from khepri.testing.simulation_fault import Fault
from khepri.testing.simulation_faults import plan_faults
from khepri.testing.simulation_settings import SimulationSettings


class Scenario(NamedTuple):
    """One run that has a story.

    Attributes:
        name: what it had found.
        seed: of the run.
        settings: of the run.
        faults: its schedule; the planned one if None.
    """

    name: str
    seed: int
    settings: SimulationSettings
    faults: list[Fault] | None = None


def _as_found(seed: int) -> SimulationSettings:
    """Give the settings of a seed found before networks were always bad and clients only read."""
    return replace(_single_writes(seed), duplication=0.0, loss=0.0, readers=0)


def _single_writes(seed: int) -> SimulationSettings:
    """Give the settings of a seed found before there were triggers and transactions."""
    return SimulationSettings.draw(seed).with_single_writes()


SCENARIOS = [
    Scenario(
        "a newcomer that knows an earlier incarnation of its leader hears it",
        5,
        _as_found(5),
        plan_faults(5, _as_found(5), has_favourites=False),
    ),
    Scenario(
        "a leader's count of waiting bytes does not drift when members change",
        9,
        _as_found(9),
        plan_faults(9, _as_found(9), has_favourites=False),
    ),
    Scenario(
        "a snapshot taken while the disk refuses the log does not stop the log for ever",
        17,
        _as_found(17),
        plan_faults(17, _as_found(17), has_favourites=False),
    ),
    Scenario(
        "a follower behind such a snapshot catches up",
        194,
        _as_found(194),
        plan_faults(194, _as_found(194), has_favourites=False),
    ),
    Scenario(
        "a late answer to who asked before a restart answers no read of the new life",
        18,
        SimulationSettings.draw(18, fault_seconds=10.0).with_all_kinds(),
        [
            Fault(at=1.2387, kind="lease_attack", who=0.3317, measure=0.2979, seconds=0.041),
            Fault(at=1.3971, kind="bad_network", who=0.386, measure=0.0957, seconds=2.989),
            Fault(at=2.2659, kind="stall", who=0.7405, measure=0.7713, seconds=1.186),
        ],
    ),
    Scenario(
        "a member that stands still when all is healed goes on",
        777000039,
        _single_writes(777000039),
        [Fault(at=15.1053, kind="stall", who=0.324, measure=0.6245, seconds=4.916)],
    ),
]
