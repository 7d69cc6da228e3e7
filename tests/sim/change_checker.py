"""I7 for what members list as changed: the same as the model, at every entry they list it at.

Whether a member lists changes is its own affair (`Machine.wants_changes`), and takes other ways
through the machine. So some do and some do not, at every moment, and all have the same tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.testing.simulation_observer import Observer
from tests.sim.trigger_model import Happened
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from collections import Counter

    from khepri.machine.machine import Applied
    from khepri.machine.state import Change
    from khepri.raft.types import Entry
    from khepri.testing.simulation_server import SimulatedServer
    from tests.sim.trigger_model import TriggerModel


class ChangeChecker(Observer):
    """Compares what members list with what the log means."""

    def __init__(self, model: TriggerModel, marks: Counter[str]) -> None:
        self._model = model
        self._marks = marks

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        if applied is None or not server.machine.wants_changes:
            return
        found = [_happened(change) for change in applied.changes]
        expected = self._model.happened.get(entry.index, [])
        if found != expected:
            raise ViolationError(
                f"I7: {server.node.name} lists as changed at {entry.index} {found!r:.200},"
                f" expected {expected!r:.200}"
            )
        if found:
            self._marks["changes listed"] += 1


def _happened(change: Change) -> tuple[tuple[str, ...], Happened]:
    path, old, new, reason = change
    kind = "create" if old is None else "delete" if new is None else "update"
    node = new or old
    assert node is not None, "something has changed"
    return path, Happened(kind, node.payload_version, reason)
