"""The StandIn: takes the turns of servers whose own threads are held up by a disk.

A leader of several members that writes in its own thread, as it does with a single caller, lends
its turns meanwhile (`lending.LendingActor.away`). Mostly the disk is back before anybody comes. If
it stalls, somebody has to send heartbeats, to take what callers want and to hand it to followers
whose disks work (case R21): the StandIn looks twenty times a second, as long as there are servers
that write themselves. One per distributed node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .actor import KhepriActor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .envelope import Envelope
    from .label import ActorLabel
    from .reference import ActorReference

LOOK_SECONDS: Final = 0.05
"""How often it looks: twice per heartbeat."""

STAND_BY_SECONDS: Final = 1.0
"""So long after it was asked it stands by; whoever goes on writing asks again before."""


@dataclass(frozen=True, slots=True)
class StandBy:
    """Take the turns of this server whenever its thread is away, from now on for a second."""

    server: ActorReference


class StandIn(KhepriActor):
    """Takes turns of servers on one node."""

    def __init__(self, label: ActorLabel) -> None:
        """Make the actor.

        Args:
            label: who it is.
        """
        super().__init__(label)
        self._stands_by: dict[ActorReference, float] = {}  # until when
        self._next_look: float | None = None

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Begin to stand by, or go on."""
        now = self.clock()
        for envelope in envelopes:
            message = envelope.message
            if not isinstance(message, StandBy):
                raise TypeError(f"not a message for a StandIn: {message!r}")
            self._stands_by[message.server] = now + STAND_BY_SECONDS
        if self._next_look is None:
            self._next_look = now + LOOK_SECONDS

    def next_deadline(self) -> float | None:
        """Give the time of the next look, if there is anybody to look at."""
        return self._next_look

    def on_deadline(self) -> None:
        """Take a turn of each server that is away."""
        for server, until in list(self._stands_by.items()):
            if not server.stand_in() and until <= self.clock():
                del self._stands_by[server]
        self._next_look = self.clock() + LOOK_SECONDS if self._stands_by else None
