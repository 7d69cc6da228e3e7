"""The EventHandler: makes the calls that triggers ask for, off every server's thread.

What is owed is replicated (``khepri/machine/triggers.py``). The server that leads says that
something is, and this actor looks into its published tree for what: so nothing is lost if either
of them crashes, and nothing waits in a mailbox. A call that was made is said to be made by a
command like any other. If that is lost with a leader, the next one has the call made again: each
is made at least once.

Calls of one store are made in the order in which they were asked for, one after the other, those
of several stores in turn.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Final

from khepri.machine import commands
from khepri.machine.paths import Path

from .actor import KhepriActor
from .procedures import PROCEDURES, TriggerEvent
from .repeated_failures import RepeatedFailures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from khepri.machine.triggers import Action

    from .access import StoreAccess
    from .envelope import Envelope
    from .label import ActorLabel
    from .node import Node

_logger = logging.getLogger("khepri.actors.event_handler")

TURN_SECONDS: Final = 0.05
"""So long one store's calls are made at a time. What is made is kept back from the log meanwhile,
unless a call takes longer: then the server says it with its next tick."""

TURN_CALLS: Final = 256
"""So many are made at a time at most."""

SAY_AGAIN_SECONDS: Final = 2.0
"""What was said to be made and is owed after so long is said again: the command was lost. So
often is also looked who is owed nothing any more, and can be forgotten."""


@dataclass(frozen=True, slots=True)
class ActionsAreOwed:
    """A server leads and knows of calls to be made.

    It may be said as often as one likes, but waits in the mailbox once (`told_of_calls` of the
    access): a call may take for ever.

    Attributes:
        access: the local face of its store.
    """

    access: StoreAccess


class EventHandler(KhepriActor):
    """One per node, shared by all stores (Khepri's event handler)."""

    may_wait = True

    def __init__(
        self,
        label: ActorLabel,
        node: Callable[[], Node | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the actor.

        Args:
            label: who it is.
            node: gives the node whose stores these are, None if that has gone.
            clock: monotonic seconds.
        """
        super().__init__(label, clock=clock)
        self._node = node
        self._failures: dict[tuple[str, str], RepeatedFailures] = {}  # by store and trigger
        self._stores: dict[StoreAccess, _Owed] = {}
        self._tidy_at = self.clock()

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Look what is owed."""
        now = self.clock()
        for envelope in envelopes:
            message = envelope.message
            if not isinstance(message, ActionsAreOwed):
                raise TypeError(f"not a message for an EventHandler: {message!r}")
            access = message.access
            self._stores.setdefault(access, _Owed(access)).look(now)

    def next_deadline(self) -> float | None:
        """Go on at once while there are calls to make."""
        if any(owed.calls for owed in self._stores.values()):
            return self.clock()
        return self._tidy_at if self._stores else None

    def on_deadline(self) -> None:
        """Make some calls of each store; messages come in between."""
        now = self.clock()
        if now >= self._tidy_at:
            self._tidy_at = now + SAY_AGAIN_SECONDS
            # What is kept here keeps a tree, and its store may have been stopped.
            for access in [it for it, owed in self._stores.items() if owed.is_over]:
                del self._stores[access]
        for owed in tuple(self._stores.values()):
            self._make_some(owed)

    def _make_some(self, owed: _Owed) -> None:
        until, left = self.clock() + TURN_SECONDS, TURN_CALLS
        node = self._node()
        while owed.calls and left and self.clock() < until:
            if node is None or not owed.are_to_be_made_here:
                owed.forget()
                break
            number, action = owed.calls.popleft()
            if not owed.is_still_owed(number):
                continue
            function = PROCEDURES.find(action.procedure)
            if function is None:
                owed.misses(action)
                continue
            trigger_id, procedure, path, kind = action
            at, store_id = Path.of_valid(path), owed.access.store_id
            try:
                _call(function, TriggerEvent(store_id, node, trigger_id, at, kind, number))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the function's
                self._failed(store_id, trigger_id, f"{procedure!r} for {at}", error)
            left -= 1
            owed.was_made(number, self.clock())
        owed.say_made(owed.access.take_calls_made())

    def _failed(
        self, store_id: str, trigger_id: str, procedure: str, error: BaseException
    ) -> None:
        failures = self._failures.setdefault((store_id, trigger_id), RepeatedFailures(_logger))
        what = f"the trigger {trigger_id!r} of the store {store_id!r}"
        failures.note(f"{what}: the procedure {procedure}", error)


def _call(function: Callable[..., Any], event: TriggerEvent) -> None:
    """Make a call; one that has only made a coroutine has done nothing, and says so."""
    given = function(event)
    if iscoroutine(given):
        given.close()
        raise TypeError("a procedure is called, not awaited, and gave a coroutine")


class _Owed:
    """What one store's triggers ask for, as far as this actor has looked.

    Attributes:
        access: the local face of the store. Another tree of the same store has another one.
        calls: what is still to be made, in order.
    """

    def __init__(self, access: StoreAccess) -> None:
        self.access = access
        self.calls: deque[tuple[int, Action]] = deque()
        self._looked_below = 0  # at what has a smaller number
        self._generation = 0
        self._made: dict[int, float] = {}  # what is owed still, though made; when it was said
        self._missed: set[str] = set()  # names of procedures that were told to be missing

    def look(self, now: float) -> None:
        """Read from the published tree what is owed now."""
        self.access.told_of_calls = None  # before the tree: what comes later is told again
        view, generation = self.access.view, PROCEDURES.generation
        if view is None:
            return
        if generation != self._generation:
            self._generation = generation
            self.forget()  # what was passed over may be possible now
        triggers, made = view.state.triggers, self._made
        actions = triggers.actions
        new: Iterable[int] = range(self._looked_below, triggers.next_number)
        if triggers.next_number - self._looked_below > len(actions):
            new = sorted(number for number in actions if number >= self._looked_below)
        self._looked_below = triggers.next_number
        self._made = made = {number: made[number] for number in made if number in actions}
        self.calls += [
            (number, actions[number]) for number in new if number in actions and number not in made
        ]
        again = [number for number, said in made.items() if now - said > SAY_AGAIN_SECONDS]
        self._made.update(dict.fromkeys(again, now))
        self.say_made(again)

    @property
    def are_to_be_made_here(self) -> bool:
        """Whether the member here leads; one that was stopped says for ever what it said last."""
        return self.access.leads_as_far_as_known and not self.access.is_closed

    @property
    def is_over(self) -> bool:
        """Whether nothing is owed any more, or nobody is there to whom it would be."""
        view = self.access.view
        return self.access.is_closed or view is None or not view.state.triggers.actions

    def is_still_owed(self, number: int) -> bool:
        """Tell whether a call is to be made: its trigger may have been removed."""
        view = self.access.view
        return view is not None and number in view.state.triggers.actions

    def forget(self) -> None:
        """Leave it to another member to make the calls, or to a later moment."""
        self.calls.clear()
        self._looked_below = 0

    def misses(self, action: Action) -> None:
        """Leave a call that cannot be made here: it stays owed, others go on."""
        if action.procedure not in self._missed:
            self._missed.add(action.procedure)
            with suppress(BaseException):  # as in `RepeatedFailures.note`
                _logger.error(
                    "no procedure %r is registered in this process, which leads the store %r:"
                    " what the trigger %r asks for waits until it is, or until another member"
                    " leads",
                    action.procedure,
                    self.access.store_id,
                    action.trigger_id,
                )

    def was_made(self, number: int, now: float) -> None:
        """Note here that a call was made: the server says so if the next one takes long."""
        self._made[number] = now
        self.access.calls_made.append(number)

    def say_made(self, numbers: Sequence[int]) -> None:
        """Have the store note that calls were made."""
        server = self.access.server
        if numbers and server is not None:
            server.cast(commands.encode(commands.actions_done(numbers)))
