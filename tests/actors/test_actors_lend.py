"""Turns that are lent: a message handled at once, in the thread that brings it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from khepri.actors.actor import KhepriActor
from khepri.actors.envelope import Envelope
from khepri.actors.exit_reason import ExitKind
from khepri.actors.future import KhepriFuture
from khepri.actors.label import ActorLabel
from khepri.errors import NoSuchServerError, ServerStoppedError
from tests.actors.actors_helpers import WAIT_SECONDS, Gate, SetClock
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("lender", "orders", "alice")


class Lender(KhepriActor):
    """Handles texts wherever it may, and keeps by which thread each was handled."""

    def __init__(self, clock: Callable[[], float], gate: Gate | None = None) -> None:
        super().__init__(LABEL, clock=clock)
        self.handled: list[tuple[object, str]] = []
        self.deadline: float | None = None
        self._gate = gate

    def on_start(self) -> None:
        if self._gate is not None:
            self._gate.pass_through()

    def handle_here(self, envelope: Envelope) -> bool:
        if envelope.message == "not here":
            return False
        self.on_batch([envelope])
        return True

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, Gate):
                message.pass_through()
            elif isinstance(message, float):
                self.deadline = message
            elif message == "crash":
                raise ValueError("told to crash")
            self.handled.append((message, threading.current_thread().name))
            if envelope.reply_to is not None:
                envelope.reply_to.resolve(message)

    def next_deadline(self) -> float | None:
        return self.deadline

    def on_deadline(self) -> None:
        self.deadline = None
        self.handled.append(("deadline", threading.current_thread().name))


def start(clock: Callable[[], float] | None = None) -> tuple[ActorReference, Lender]:
    """Start one, and wait until it sleeps."""
    actors: list[Lender] = []

    class Kept(Lender):
        def on_start(self) -> None:
            actors.append(self)

    reference = Kept.start(clock or SetClock())
    reference.started.get(timeout=WAIT_SECONDS)
    reference.request("first").get(timeout=WAIT_SECONDS)
    eventually(lambda: not actors[0]._turn_lock.locked(), "it sleeps")
    actors[0].handled.clear()
    return reference, actors[0]


def threads_of(actor: Lender) -> list[str]:
    return [thread for _message, thread in actor.handled]


OWN = f"khepri-{LABEL}"


def test_a_sleeping_actor_has_a_message_handled_by_the_thread_that_brings_it() -> None:
    reference, actor = start()
    reference.deliver("hello")
    assert actor.handled == [("hello", threading.current_thread().name)]


def test_what_the_actor_does_not_lend_is_handled_by_its_own_thread() -> None:
    reference, actor = start()
    reference.deliver("not here")
    reference.request("afterwards").get(timeout=WAIT_SECONDS)
    assert threads_of(actor) == [OWN, OWN]


def test_an_actor_at_work_lends_nothing_and_the_message_waits() -> None:
    reference, actor = start()
    gate = Gate()
    reference.cast(gate)
    gate.await_reached()
    reference.deliver("hello")
    assert actor.handled == []
    gate.open()
    reference.request("afterwards").get(timeout=WAIT_SECONDS)
    assert threads_of(actor) == [OWN, OWN, OWN]


def test_a_lent_turn_that_brings_a_deadline_closer_wakes_the_actor() -> None:
    clock = SetClock()
    reference, actor = start(clock)
    reference.deliver(clock.now - 1.0)
    eventually(lambda: len(actor.handled) == 2, "the deadline is noticed")
    assert actor.handled[1] == ("deadline", OWN)


def test_a_crash_in_a_lent_turn_is_the_actors_and_not_that_of_the_thread() -> None:
    reference, _actor = start()
    reply: KhepriFuture[object] = KhepriFuture(None, reference.mailbox)
    assert reference._lend(Envelope("crash", reply))
    down = reference.down.get(timeout=WAIT_SECONDS)
    assert down.kind is ExitKind.CRASHED
    assert isinstance(down.error, ValueError)
    with pytest.raises(ServerStoppedError):
        reply.get(timeout=WAIT_SECONDS)
    with pytest.raises(NoSuchServerError):
        reference.tell("anybody there?")


def test_nothing_is_handled_after_a_crash_in_a_lent_turn() -> None:
    reference, actor = start()
    reference.deliver("crash")
    reference.deliver("hello")
    reference.down.get(timeout=WAIT_SECONDS)
    assert actor.handled == []


def test_an_actor_that_has_not_started_or_has_ended_lends_nothing() -> None:
    gate = Gate()
    reference = Lender.start(SetClock(), gate)
    gate.await_reached()
    assert not reference._lend(Envelope("too early"))
    gate.open()
    reference.started.get(timeout=WAIT_SECONDS)
    reference.stop(timeout=WAIT_SECONDS)
    assert not reference._lend(Envelope("too late"))


def test_turns_lent_by_many_threads_and_own_ones_never_overlap() -> None:
    class Counting(Lender):
        count = 0

        def on_batch(self, envelopes: Sequence[Envelope]) -> None:
            for envelope in envelopes:
                before = self.count
                for _ in range(50):
                    pass  # a thread that came in between would make a count vanish
                self.count = before + 1
                if envelope.reply_to is not None:
                    envelope.reply_to.resolve(self.count)

    interval_seconds = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reference = Counting.start(SetClock())
        reference.started.get(timeout=WAIT_SECONDS)

        def deliver_many() -> None:
            for _ in range(500):
                reference.deliver("one more")

        threads = [threading.Thread(target=deliver_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert reference.request("one more").get(timeout=WAIT_SECONDS) == 2001
    finally:
        sys.setswitchinterval(interval_seconds)
