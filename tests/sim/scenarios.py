"""Seeds that once failed, by what they had found. They stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.testing.simulation_settings import SimulationSettings

if TYPE_CHECKING:
    from khepri.testing.simulation_faults import Fault


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


SCENARIOS = [
    Scenario(
        "a newcomer that knows an earlier incarnation of its leader hears it",
        5,
        SimulationSettings.draw(5),
    ),
    Scenario(
        "a leader's count of waiting bytes does not drift when members change",
        9,
        SimulationSettings.draw(9),
    ),
    Scenario(
        "a snapshot taken while the disk refuses the log does not stop the log for ever",
        17,
        SimulationSettings.draw(17),
    ),
    Scenario(
        "a follower behind such a snapshot catches up",
        194,
        SimulationSettings.draw(194),
    ),
]
