"""I17 and what I7 says of triggers: calls that are owed, made, and said to be made.

What is owed is worked out by `trigger_model.py` from the log. Here every machine is compared with
it, and every call that is made is looked at: it must be owed where it is made, by one who does not
know of another leader, and in the order in which calls were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.types import EntryKind
from khepri.testing.simulation_observer import Observer
from tests.sim.violation import ViolationError, check

if TYPE_CHECKING:
    from collections import Counter

    from khepri.actors.procedures import TriggerEvent
    from khepri.log.interface import RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.raft.types import Entry, SnapshotMeta
    from khepri.testing.simulation_calls import SimulatedEventHandler
    from khepri.testing.simulation_node import SimulatedNode
    from khepri.testing.simulation_server import SimulatedServer
    from tests.sim.trigger_model import TriggerModel

NEWS_SECONDS = 0.001
"""So long it may take until a thread knows what its server knows."""


class CallChecker(Observer):
    """The books about calls of one run."""

    def __init__(self, model: TriggerModel, marks: Counter[str]) -> None:
        self._marks = marks
        self._model = model
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._last: dict[tuple[SimulatedEventHandler, str], int] = {}
        self._first_not_made: dict[str, int] = {}
        self._names_were_missing = False

    # --- machines

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        """Compare the numbers; it is called at every entry, so all is compared only at rest."""
        del applied
        if entry.kind is not EntryKind.COMMANDS:
            return
        triggers, model = server.machine.view.state.triggers, self._model
        found = (len(triggers.by_id), triggers.next_number, len(triggers.actions))
        expected = self._counts.get(entry.index)
        if expected is None:
            expected = (len(model.watches), len(model.calls) + 1, len(model.owed))
            self._counts[entry.index] = expected
            if triggers.next_number > 1:
                newest: object = triggers.actions.get(triggers.next_number - 1)
                check(newest in {None, model.calls[-1]}, "I7", f"the newest call is {newest!r}")
        if found != expected:
            raise ViolationError(
                f"I7: {server.node.name} has {found} triggers, calls and owed calls at"
                f" {entry.index}, expected {expected}"
            )

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        del stored
        self.compare(server)

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        del meta
        self.compare(server)

    def compare(self, server: SimulatedServer) -> None:
        """Compare all that a machine owes with the model."""
        view = server.machine.view
        owed: dict[int, tuple[object, ...]] = dict(view.state.triggers.actions)
        expected = self._model.owed_at(view.index)
        if owed != expected:
            raise ViolationError(
                f"I7: what {server.node.name} owes at {view.index} differs from the model's in"
                f" {sorted(set(owed.items()) ^ set(expected.items()))!r:.300}"
            )

    # --- calls

    def called(
        self, handler: SimulatedEventHandler, node: SimulatedNode, event: TriggerEvent
    ) -> None:
        number, model, view = event.number, self._model, node.access.view
        who = f"{node.name} makes call {number}"
        if view is None or not model.is_owed_at(number, view.index):
            raise ViolationError(f"I17: {who}, which is not owed there")
        call = model.calls[number - 1]
        found = (event.trigger_id, tuple(event.path), event.change)
        if found != (call.trigger_id, call.path, call.kind):
            raise ViolationError(f"I17: {who} as {found}, expected {call}")
        server = node.server
        if server is not None and node.now - server.is_led_since > NEWS_SECONDS:
            raise ViolationError(f"I17: {who} and knows that it does not lead")
        # While there is no function of some name, other calls go on without those.
        row = call.procedure if self._names_were_missing else ""
        last = self._last.get((handler, row), 0)
        if number <= last:
            raise ViolationError(f"I17: {who} after call {last}")
        self._last[handler, row] = number
        self._marks["call made"] += 1
        if number in model.made:
            self._marks["call made again"] += 1
            return
        self._is_next(number, row, who)
        model.made.add(number)

    def _is_next(self, number: int, row: str, who: str) -> None:
        """Demand that no call that was asked for before waits still for its first time."""
        first, model = self._first_not_made.get(row, 1), self._model
        while first < number and (
            first in model.made
            or first not in model.owed
            or (row and model.calls[first - 1].procedure != row)
        ):
            first += 1
        self._first_not_made[row] = first
        if first < number:
            raise ViolationError(f"I17: {who} before call {first}")

    def fault(self, kind: str) -> None:
        if kind == "name_missing":
            self._names_were_missing = True

    # --- at rest

    def check_rest(self, server: SimulatedServer) -> None:
        """Demand of a settled member that all triggers are as they should be, and none waits."""
        triggers, model, name = server.machine.view.state.triggers, self._model, server.node.name
        check(not model.owed, "I17", f"calls are owed at rest: {list(model.owed)!r:.100}")
        check(not triggers.actions, "I14", f"the calls {name} owes")
        check(triggers.next_number == len(model.calls) + 1, "I14", f"the next call of {name}")
        found = {
            trigger_id: (it.priority, it.kinds, it.procedure_path)
            for trigger_id, it in triggers.by_id.items()
        }
        expected = {
            trigger_id: (it.priority, _bits(it.kinds), tuple(it.procedure))
            for trigger_id, it in model.watches.items()
        }
        check(found == expected, "I14", f"the triggers of {name}: {found}, expected {expected}")


def _bits(kinds: tuple[str, ...]) -> int:
    return sum(1 << ("create", "update", "delete").index(kind) for kind in kinds)
