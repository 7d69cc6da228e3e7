"""Who makes the calls that triggers ask for on a simulated node: the real EventHandler, driven.

Only its thread is missing. Each of its turns happens at one moment; how long the calls in it take
is drawn, shows on its clock, and keeps the next turn and what it says waiting. So it may die, be
forgotten with its node, or lose the lead, between a call and the note that it was made. While a
call takes long, the server takes from it what was made before, as the real one does with a tick.

What is called is one function for all names, which records the call with the observer.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, cast

from khepri.actors.envelope import Envelope
from khepri.actors.event_handler import EventHandler
from khepri.actors.label import ActorLabel
from khepri.actors.membership_cache import MembershipCache
from khepri.actors.procedures import PROCEDURES
from khepri.machine import commands

from .simulation_workload import PROCEDURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.membership_cache import CacheMessage
    from khepri.actors.procedures import TriggerEvent

    from .simulation_node import SimulatedNode

_NAPS = (0.0, 0.05, 0.3)
"""How often a call takes some time: where all are fast, where some are not, where many are not."""

_LONG_NAPS = 0.2
"""How many of those take longer than a tick of the server."""

_FAILURES = 0.02
"""How often a procedure raises."""


class SimulatedEventHandler:
    """The EventHandler of one node, until it crashes or the process ends.

    Attributes:
        is_over: whether it has crashed.
    """

    def __init__(self, node: SimulatedNode) -> None:
        """Make the actor, which has no thread."""
        self._node = node
        self._random = random.Random(f"{node.world.seed}/{node.name}/{node.starts}/calls")
        self._naps = self._random.choice(_NAPS)
        self._dies = (0, 0.0, False)
        self._objection: BaseException | None = None  # an observer's
        self._spent_seconds = 0.0
        self._busy_until = 0.0
        self._alarm_at = math.inf
        self._mailbox: list[object] = []
        self.is_over = False
        self._actor = EventHandler(
            ActorLabel("event-handler", node=node.name),
            lambda: cast("Any", node),
            clock=self._clock,
        )

    def cast(self, message: object) -> None:
        """Put a message into its mailbox."""
        self._mailbox.append(message)
        self._plan(self._handover_seconds())

    def called(self, event: TriggerEvent) -> None:
        """Be the procedure of every trigger."""
        try:
            self._node.observer.called(self, self._node, event)
        except BaseException as error:  # to the actor it would be the procedure's
            self._objection = error
            raise
        self._count_down()
        if self._random.random() < self._naps:
            is_long = self._random.random() < _LONG_NAPS
            if is_long:
                self._take_what_was_made()
            self._spent_seconds += self._random.random() * (0.6 if is_long else 0.1)
        if self._random.random() < _FAILURES:
            raise RuntimeError("a procedure has raised")

    def die_after(self, calls: int, seconds: float, *, power_loss: bool) -> None:
        """Have the process die after so many calls, before any of its turn is noted.

        Args:
            calls: from now on.
            seconds: until it is started again.
            power_loss: whether the power fails.
        """
        self._dies = (calls, seconds, power_loss)

    def _count_down(self) -> None:
        calls, seconds, power_loss = self._dies
        self._dies = (calls - 1, seconds, power_loss)
        if calls == 1:
            self._node.later(0.0, self._die, seconds, power_loss)

    def _die(self, seconds: float, power_loss: bool) -> None:  # noqa: FBT001 - planned by position
        node = self._node
        node.die(power_loss=power_loss)
        node.world.after(seconds, node.start)

    def _clock(self) -> float:
        return self._node.clock_now() + self._spent_seconds

    def _handover_seconds(self) -> float:
        return self._random.random() * 0.0003

    def _plan(self, seconds: float) -> None:
        node = self._node
        at = max(node.now + seconds, self._busy_until, node.suspended_until)
        if at < self._alarm_at:
            self._alarm_at = at
            node.at(at, self._take_turn, at)

    def _take_turn(self, alarm_at: float) -> None:
        if self.is_over or alarm_at != self._alarm_at:
            self._node.world.steps -= 1  # an older alarm: nothing happens
            return
        self._alarm_at = math.inf
        actor = self._actor
        mailbox, self._mailbox = self._mailbox, []
        self._spent_seconds = 0.0
        if mailbox:
            actor.on_batch([Envelope(message) for message in mailbox])
        deadline = actor.next_deadline()
        if deadline is not None and deadline <= self._clock():
            actor.on_deadline()
            deadline = actor.next_deadline()
        if self._objection is not None:
            raise self._objection
        self._busy_until = self._node.now + self._spent_seconds
        if deadline is not None:
            self._plan(max(0.0, deadline - self._clock()) / self._node.clock.rate)

    def say(self, data: bytes) -> None:
        """Have a command go to the server once the calls of this turn have ended."""
        seconds = self._spent_seconds + self._handover_seconds()
        self._node.later(seconds, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        server = self._node.server
        if server is not None and not self.is_over:
            server.take_note(data)

    def _take_what_was_made(self) -> None:
        """Do what the server does with a tick while a call takes long."""
        made = self._node.access.take_calls_made()
        if made:
            self.say(commands.encode(commands.actions_done(made)))


class SimulatedReference:
    """Where the EventHandler sends what it has to say to the server."""

    def __init__(self, node: SimulatedNode) -> None:
        """Lead to the server of a node, whichever there is."""
        self._node = node

    def cast(self, data: bytes) -> None:
        """Send a command."""
        self._node.event_handler.say(data)


class SimulatedMembershipCache:
    """The real MembershipCache of one process, told a moment later."""

    def __init__(self, node: SimulatedNode) -> None:
        """Know nothing yet."""
        self._node = node
        self._random = random.Random(f"{node.world.seed}/{node.name}/{node.life}/members")
        self._news: list[CacheMessage] = []
        self._actor = MembershipCache(ActorLabel("membership-cache", node=node.name), node.access)

    def cast(self, message: CacheMessage) -> None:
        """Tell it something."""
        self._news.append(message)
        if len(self._news) == 1:
            self._node.later(self._random.random() * 0.0003, self._take)

    def _take(self) -> None:
        news, self._news = self._news, []
        self._actor.on_batch([Envelope(message) for message in news])


def register_procedures(names: Sequence[str] = PROCEDURE_NAMES) -> None:
    """Have functions in this process for what the tree names."""
    for name in names:
        PROCEDURES.register(name, _call)


def unregister_procedures(names: Sequence[str] = PROCEDURE_NAMES) -> None:
    """Have none any more."""
    for name in names:
        PROCEDURES.unregister(name)


def _call(event: TriggerEvent) -> None:
    cast("SimulatedNode", event.node).event_handler.called(event)
