"""What goes wrong with calls that triggers ask for: beside all other faults of a run.

The schedule of these is drawn apart, so that a run without triggers has the faults it would have
had without them.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .simulation_calls import register_procedures, unregister_procedures
from .simulation_fault import Fault
from .simulation_workload import PROCEDURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .simulation import Simulation
    from .simulation_settings import SimulationSettings

CALL_FAULTS = ("handler_crash", "death_in_calls", "name_missing")
"""The EventHandler's actor crashes; a process dies between some call and the note that it was
made; no program has a function of some name for a while."""


def plan_call_faults(seed: int, settings: SimulationSettings) -> list[Fault]:
    """Give the schedule that belongs to a seed and settings; nothing without triggers."""
    if not settings.triggers:
        return []
    one = random.Random(f"{seed}/call faults")
    density = one.choice((0.2, 0.5))
    kinds = [kind for kind in CALL_FAULTS if one.random() < 0.7] or CALL_FAULTS  # noqa: PLR2004 - most
    return [
        Fault(
            at=round(0.5 + one.random() * settings.fault_seconds, 4),
            kind=one.choice(kinds),
            who=min(round(one.random(), 4), 0.9999),
            measure=min(round(one.random(), 4), 0.9999),
            seconds=round(0.05 + one.random() * 2, 3),
        )
        for _ in range(int(settings.fault_seconds * density))
    ]


class CallFaults:
    """Does to a simulation what a schedule says."""

    def __init__(self, world: Simulation) -> None:
        """Be ready."""
        self._world = world

    def inject(self, fault: Fault) -> None:
        """Do one fault, if there is somebody to do it to."""
        handler: Callable[[Fault], None] = getattr(self, "_" + fault.kind)
        handler(fault)

    def _handler_crash(self, fault: Fault) -> None:
        up = [node for node in self._world.nodes.values() if node.is_up]
        if up:
            up[int(fault.who * len(up))].crash_event_handler()

    def _death_in_calls(self, fault: Fault) -> None:
        """Have whoever leads die soon, between a call and the note."""
        leader = self._world.leader()
        if leader is not None:
            calls = 1 + int(fault.measure**3 * 20)
            leader.node.event_handler.die_after(calls, fault.seconds, power_loss=fault.who < 0.5)  # noqa: PLR2004 - one of two ways

    def _name_missing(self, fault: Fault) -> None:
        names = [PROCEDURE_NAMES[int(fault.who * len(PROCEDURE_NAMES))]]
        unregister_procedures(names)
        self._world.after(fault.seconds, register_procedures, names)
