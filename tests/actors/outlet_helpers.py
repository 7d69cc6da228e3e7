"""What the tests of outlet and feed share: a listener, and a store without actors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.actors.access import StoreAccess
from khepri.actors.change_listener import ChangeListener
from khepri.actors.change_source import ChangeSource
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.machine import Machine, View
from khepri.machine.paths import resolve_path
from khepri.raft.types import ServerId
from tests.machine.machine_helpers import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.change_listener import Ending
    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.machine.state import Change


class Listener(ChangeListener):
    """Remembers what it is told."""

    __slots__ = ("dead", "error", "told")

    def __init__(self, pattern: str, view: View | None) -> None:
        super().__init__(ConcretePattern(resolve_path(pattern)), view)
        self.told: list[list[str] | str] = []
        self.dead = False
        self.error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.dead

    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        del outlet, before
        if self.error is not None:
            raise self.error
        self.told.append(["/" + "/".join(change.path) for change in changes])
        self.view = after

    def begin(self, outlet: ChangeOutlet, view: View) -> None:
        del outlet
        self.told.append("all")
        self.view = view

    def end(self, ending: Ending) -> None:
        self.told.append(ending)


class Served:
    """A store's outlet with a server that applies puts, and nobody but the test to be rung."""

    def __init__(self) -> None:
        self.access = StoreAccess("store", ServerId("store", "node"), b"")
        self.outlet = self.access.outlet
        self.source = ChangeSource(self.access)
        self.origin = Origin(Machine())
        self.rings = 0
        self.source.publish(self.machine.view)

    @property
    def machine(self) -> Machine:
        return self.origin.machine

    def ring(self, outlet: ChangeOutlet) -> bool:
        assert outlet is self.outlet
        self.rings += 1
        return True

    def listen(self, pattern: str = "/**") -> Listener:
        listener = Listener(pattern, self.access.view)
        self.outlet.add(listener, self.ring)
        self.outlet.deal()
        listener.told.clear()
        self.rings = 0
        return listener

    def put(self, *paths: str) -> None:
        """Apply one entry for each path, then publish."""
        self.source.begin(self.machine)
        for path in paths:
            self.origin.put(path, len(self.origin.log))
            assert self.origin.last is not None
            self.source.applied(self.origin.last.changes)
        self.source.publish(self.machine.view)
