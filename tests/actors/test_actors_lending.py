"""Turns that are lent: who brings a message handles it, while the actor sleeps."""

from __future__ import annotations

import math
import os
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from khepri.actors.exit_reason import NORMAL, ExitKind
from khepri.actors.future import KhepriFuture
from khepri.actors.label import ActorLabel
from khepri.actors.lending import LendingActor
from khepri.errors import MisuseError, ServerStoppedError
from tests.actors.actors_helpers import WAIT_SECONDS, Gate
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from khepri.actors.envelope import Envelope
    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("lender", store_id="orders", node="alice")


class Away:
    """Sends a Lender away until the gate is open."""

    def __init__(self) -> None:
        self.gate = Gate()


class CrashLate(NamedTuple):
    """Crashes a Lender when the gate is open."""

    gate: Gate


class Lender(LendingActor):
    """Notes in which thread it handled what; does what a message says."""

    def __init__(self, *, is_lending: bool = True) -> None:
        super().__init__(LABEL)
        self.is_lending = is_lending
        self.handled: list[tuple[object, int]] = []
        self.own_thread = 0
        self.due = 0.0
        self.was_due = threading.Event()
        self.has_ended = threading.Event()

    def on_start(self) -> None:
        self.own_thread = threading.get_ident()

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            message = envelope.message
            self.handled.append((message, threading.get_ident()))
            if isinstance(message, Gate):
                message.pass_through()
            elif isinstance(message, CrashLate):
                message.gate.pass_through()
                raise ValueError("told to crash")  # noqa: TRY004 - no type is wrong
            elif isinstance(message, Away):
                with self.away():
                    message.gate.pass_through()
                self.raise_failure()
                self.handled.append(("back", threading.get_ident()))
            elif isinstance(message, float):
                self.due = self.clock() + message
            elif message == "crash":
                raise ValueError("told to crash")
            elif message == "exit":
                self.exit_now(NORMAL)
            elif message == "wait":
                KhepriFuture[None]().get()

    def next_deadline(self) -> float | None:
        return self.due or None

    def on_deadline(self) -> None:
        self.due = 0.0
        self.handled.append(("due", threading.get_ident()))
        self.was_due.set()

    def on_terminate(self, reason: object) -> None:
        del reason
        self.handled.append(("end", threading.get_ident()))

    def who_handled(self, message: object) -> int:
        return dict(self.handled)[message]


@pytest.fixture
def lender() -> Iterator[Lender]:
    yield from started(Lender())


def started(actor: Lender) -> Iterator[Lender]:
    actor._start_actor_loop()
    actor.reference.started.get(timeout=WAIT_SECONDS)
    eventually(lambda: actor._sleeps_until > 0)
    yield actor
    actor.reference.stop()


def test_who_brings_a_message_to_an_actor_that_sleeps_handles_it(lender: Lender) -> None:
    lender.reference.bring("hello")
    assert lender.who_handled("hello") == threading.get_ident()


def test_what_is_cast_is_handled_in_the_own_thread(lender: Lender) -> None:
    lender.reference.cast("hello")
    eventually(lambda: lender.handled)
    assert lender.who_handled("hello") == lender.own_thread


def test_an_actor_that_expects_something_long_lends_nothing(lender: Lender) -> None:
    lender.is_lending = False
    lender.reference.bring("hello")
    eventually(lambda: lender.handled)
    assert lender.who_handled("hello") == lender.own_thread


def test_while_the_actor_is_busy_what_is_brought_waits_in_its_mailbox(lender: Lender) -> None:
    gate = Gate()
    lender.reference.cast(gate)
    assert gate.reached.wait(WAIT_SECONDS)
    lender.reference.bring("hello")
    assert lender.handled[-1][0] is gate
    gate.open()
    eventually(lambda: lender.handled[-1][0] == "hello")
    assert lender.who_handled("hello") == lender.own_thread


def test_while_one_has_the_turn_nobody_else_has(lender: Lender) -> None:
    gate = Gate()
    bringer = threading.Thread(target=lender.reference.bring, args=(gate,))
    bringer.start()
    assert gate.reached.wait(WAIT_SECONDS)
    lender.reference.bring("second")  # returns at once
    lender.reference.cast("third")
    assert [message for message, _ in lender.handled] == [gate]
    gate.open()
    bringer.join(WAIT_SECONDS)
    eventually(lambda: len(lender.handled) == 3)
    assert lender.who_handled(gate) == bringer.ident
    assert lender.who_handled("second") == lender.who_handled("third") == lender.own_thread


def test_an_earlier_deadline_of_a_lent_turn_wakes_the_own_thread(lender: Lender) -> None:
    lender.reference.bring(0.01)
    assert lender.who_handled(0.01) == threading.get_ident()
    assert lender.was_due.wait(WAIT_SECONDS)
    assert lender.who_handled("due") == lender.own_thread


def test_a_deadline_that_a_lent_turn_puts_off_is_put_off(lender: Lender) -> None:
    lender.reference.cast(0.05)
    eventually(lambda: lender.handled and math.isfinite(lender._sleeps_until))
    lender.reference.bring(3600.0)
    eventually(lambda: lender._sleeps_until > lender.clock() + 1000.0)  # it has looked again
    assert not lender.was_due.is_set()


def test_a_crash_in_a_lent_turn_ends_the_actor_and_not_who_brought_the_message(
    lender: Lender,
) -> None:
    lender.reference.bring("crash")
    reason = lender.reference.down.get(timeout=WAIT_SECONDS)
    assert reason.kind is ExitKind.CRASHED
    assert isinstance(reason.error, ValueError)
    assert lender.who_handled("crash") == threading.get_ident()
    assert lender.who_handled("end") == lender.own_thread


def test_who_was_taken_just_before_a_lent_turn_crashed_has_an_answer(lender: Lender) -> None:
    gate = Gate()
    bringer = threading.Thread(target=lender.reference.bring, args=(CrashLate(gate),))
    bringer.start()
    assert gate.reached.wait(WAIT_SECONDS)
    asked = lender.reference.request("question")
    told = threading.Event()
    asked.add_done_callback(lambda _: told.set())
    eventually(lambda: not lender.mailbox.depth())  # the own thread waits for its turn with it
    gate.open()
    bringer.join(WAIT_SECONDS)
    assert told.wait(WAIT_SECONDS)
    assert isinstance(asked.failure, ServerStoppedError)


def test_an_exit_in_a_lent_turn_ends_the_actor(lender: Lender) -> None:
    lender.reference.bring("exit")
    assert lender.reference.down.get(timeout=WAIT_SECONDS) is NORMAL
    assert lender.who_handled("end") == lender.own_thread


def test_nobody_may_wait_in_a_lent_turn_and_everybody_afterwards(lender: Lender) -> None:
    lender.reference.bring("wait")
    reason = lender.reference.down.get(timeout=WAIT_SECONDS)  # here it is allowed
    assert isinstance(reason.error, MisuseError)


def test_after_the_end_nothing_is_handled_any_more(lender: Lender) -> None:
    lender.reference.stop()
    lender.reference.bring("late")
    assert [message for message, _ in lender.handled] == ["end"]


def test_who_finds_the_actor_asleep_and_gets_the_turn_after_its_end_handles_nothing(
    lender: Lender,
) -> None:
    turn_lock = lender._turn_lock

    class EndsMeanwhile:
        """A lock that whoever wants the turn gets only after the actor's end."""

        def acquire(self, blocking: bool = True) -> bool:
            lender.reference.stop()
            return turn_lock.acquire(blocking)

        def release(self) -> None:
            turn_lock.release()

        __enter__ = turn_lock.__enter__
        __exit__ = turn_lock.__exit__

    lender._turn_lock = EndsMeanwhile()  # type: ignore[assignment]
    lender.reference.bring("late")
    assert [message for message, _ in lender.handled] == ["end"]


# --- away in the middle of a turn


@pytest.fixture
def away(lender: Lender) -> Iterator[Gate]:
    """A lender whose own thread waits for something else."""
    message = Away()
    lender.reference.cast(message)
    assert message.gate.reached.wait(WAIT_SECONDS)
    lender.handled.clear()
    yield message.gate
    message.gate.open()


def test_while_the_own_thread_is_away_who_brings_a_message_takes_all_that_waits(
    lender: Lender, away: Gate
) -> None:
    lender.is_lending = False  # it was said before
    lender.reference.cast("first")
    lender.reference.bring("second")
    here = threading.get_ident()
    assert lender.handled == [("first", here), ("second", here)]
    away.open()
    eventually(lambda: lender.handled[-1] == ("back", lender.own_thread))


def test_who_stands_in_does_what_waits_and_what_is_due(lender: Lender, away: Gate) -> None:
    lender.reference.cast(-1.0)
    assert lender.reference.stand_in()
    assert [message for message, _ in lender.handled] == [-1.0, "due"]
    away.open()
    eventually(lambda: lender.handled[-1][0] == "back")


def test_nobody_stands_in_for_an_actor_that_is_there(lender: Lender) -> None:
    lender.is_lending = False
    assert not lender.reference.stand_in()
    gate = Gate()
    lender.reference.cast(gate)
    assert gate.reached.wait(WAIT_SECONDS)
    assert not lender.reference.stand_in()
    gate.open()
    assert [message for message, _ in lender.handled] == [gate]


def test_who_comes_back_waits_until_the_turn_that_was_lent_is_over(
    lender: Lender, away: Gate
) -> None:
    lent = Gate()
    bringer = threading.Thread(target=lender.reference.bring, args=(lent,))
    bringer.start()
    assert lent.reached.wait(WAIT_SECONDS)
    away.open()
    assert lender.reference.stand_in() or lender.handled[-1][0] != "back"
    assert [message for message, _ in lender.handled] == [lent]
    lent.open()
    bringer.join(WAIT_SECONDS)
    eventually(lambda: lender.handled[-1] == ("back", lender.own_thread))


def test_a_crash_while_the_own_thread_is_away_ends_the_actor_when_it_comes_back(
    lender: Lender, away: Gate
) -> None:
    lender.reference.bring("crash")
    lender.reference.bring("late")  # is answered by the end
    assert not lender.reference.stand_in()
    assert [message for message, _ in lender.handled] == ["crash"]
    away.open()
    assert lender.reference.down.get(timeout=WAIT_SECONDS).kind is ExitKind.CRASHED
    assert "back" not in dict(lender.handled)


def test_an_order_to_stop_is_followed_when_the_own_thread_comes_back(
    lender: Lender, away: Gate
) -> None:
    stopped = lender.reference.stop(block=False)
    lender.reference.bring("late")
    assert lender.handled == []
    away.open()
    assert stopped.get(timeout=WAIT_SECONDS)
    assert [message for message, _ in lender.handled] == ["back", "end"]


def test_nobody_stands_in_for_an_actor_that_was_given_up_while_it_is_away(
    lender: Lender, away: Gate
) -> None:
    lender.reference.abandon()
    assert not lender.reference.stand_in()
    lender.reference.bring("late")
    assert lender.handled == []
    away.open()
    eventually(lambda: ("end", lender.own_thread) in lender.handled)


def test_who_is_away_comes_back_for_a_moment_unless_another_has_the_turn(
    lender: Lender, away: Gate
) -> None:
    del away
    with lender.back() as is_back:
        assert is_back
        with lender.back() as is_back_too:
            assert not is_back_too
    lender.reference.bring("hello")
    assert lender.who_handled("hello") == threading.get_ident()


def test_a_reference_to_an_actor_that_is_gone_takes_what_is_brought() -> None:
    reference = _reference_of_a_dead_actor()
    reference.bring("late")
    assert not reference.is_alive()


def _reference_of_a_dead_actor() -> ActorReference:
    actor = Lender()
    actor._start_actor_loop()
    actor.reference.stop()
    return actor.reference


class Counting(Lender):
    """Crashes if two threads are in it at once, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.count = 0
        self.lent = 0

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        self.inside += 1
        with open(os.devnull, "wb", buffering=0) as nowhere:  # noqa: PTH123 - lets go of the GIL
            nowhere.write(b"now others may run")
        assert self.inside == 1
        self.count += len(envelopes)
        self.lent += threading.get_ident() != self.own_thread
        self.due = self.clock() + 0.0001 * (self.count % 7)
        self.inside -= 1


def test_one_thread_at_a_time_is_in_the_actor_and_no_message_is_lost() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    actor = Counting()
    try:
        for _ in started(actor):
            bringers = [
                threading.Thread(target=_bring_and_cast, args=(actor.reference, 250))
                for _ in range(4)
            ]
            for bringer in bringers:
                bringer.start()
            for bringer in bringers:
                bringer.join()
            eventually(lambda: actor.count == 1_000 or not actor.reference.is_alive())
    finally:
        sys.setswitchinterval(interval)
    assert actor.count == 1_000
    assert actor.lent > 0
    assert actor.reference.down.get(timeout=WAIT_SECONDS).error is None


def _bring_and_cast(reference: ActorReference, count: int) -> None:
    for number in range(count):
        (reference.cast if number % 20 == 0 else reference.bring)(number)
        eventually(lambda: not reference.mailbox.depth())  # or no turn would ever be lent
