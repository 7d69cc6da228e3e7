"""What a simulated server does about calls that are owed, as `actors/ra_server.py` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.actors.event_handler import ActionsAreOwed
from khepri.machine.commands import actions_done, encode
from khepri.raft.types import Role

if TYPE_CHECKING:
    from khepri.machine.triggers import Triggers

    from .simulation_server import SimulatedServer


class OwedCalls:
    """What one life of a server has told the EventHandler."""

    def __init__(self) -> None:
        """Have told nothing."""
        self._told_of: Triggers | None = None

    def look(self, server: SimulatedServer) -> None:
        """Tell of what is owed, once the leader knows what was noted before."""
        view, core = server.machine.view, server.core
        triggers = view.state.triggers
        if not triggers.actions or triggers is self._told_of:
            return
        if core.role is Role.LEADER and view.term == core.term:
            self._told_of = triggers
            access: Any = server.node.access  # it holds the real handler's reference, to compare
            handler = server.node.event_handler
            if access.told_of_calls is not handler:
                access.told_of_calls = handler
                handler.cast(ActionsAreOwed(access))

    def tick(self, server: SimulatedServer) -> bytes | None:
        """Have all told again; give the command that notes what was made, if one takes long."""
        self._told_of = None
        made = server.node.access.take_calls_made()
        return encode(actions_done(made)) if made else None
