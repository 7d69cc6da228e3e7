"""The life of an actor: start, batches, deadlines, replies given later, and every way to end.

Long, because each way to end is told for each kind of message.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pykka
import pytest

from khepri.actors.actor import KhepriActor
from khepri.actors.exit_reason import Exit, ExitKind
from khepri.actors.label import ActorLabel
from khepri.errors import KhepriTimeoutError, NoSuchServerError, ServerStoppedError
from tests.actors.actors_helpers import WAIT_SECONDS, Echo, Gate, Hoarder, SetClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from khepri.actors.envelope import Envelope
    from khepri.actors.future import KhepriFuture
    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("echo", "orders", "alice")


def exit_of(reference: ActorReference) -> Exit:
    return reference.down.get(timeout=WAIT_SECONDS)


# --- names and threads


def test_thread_and_log_names_carry_store_and_node() -> None:
    echo = Echo.start(LABEL)
    echo.started.get(timeout=WAIT_SECONDS)
    assert str(echo) == "orders@alice-echo"
    threads = [t for t in threading.enumerate() if t.name == "khepri-orders@alice-echo"]
    assert len(threads) == 1
    assert threads[0].daemon


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (ActorLabel("wal-writer"), "wal-writer"),
        (ActorLabel("router", node="alice"), "alice-router"),
        (ActorLabel("ra-server", "orders"), "orders-ra-server"),
        (ActorLabel("ra-server", "orders", "bob"), "orders@bob-ra-server"),
    ],
)
def test_a_label_says_as_much_as_is_known(label: ActorLabel, text: str) -> None:
    assert str(label) == text


# --- messages


def test_an_actor_answers_like_any_pykka_actor() -> None:
    echo: pykka.ActorRef[Any] = Echo.start(LABEL)
    assert echo.ask("hello", timeout=WAIT_SECONDS) == "hello"
    assert echo.ask("hello", block=False).get(timeout=WAIT_SECONDS) == "hello"
    assert pykka.ActorRegistry.get_by_urn(echo.actor_urn) is echo
    echo.tell("stop")


def test_a_pykka_proxy_works() -> None:
    proxy = Echo.start(LABEL).proxy()
    label = proxy.label.get(timeout=WAIT_SECONDS)
    assert label == LABEL


def test_an_actor_takes_all_that_waits_as_one_batch() -> None:
    gate = Gate()

    class Slow(Hoarder):
        def on_start(self) -> None:
            gate.pass_through()

    reference = Slow.start(LABEL)
    futures = [reference.request(number) for number in range(5)]
    reference.cast("give")
    gate.open()
    assert [future.get(timeout=WAIT_SECONDS) for future in futures] == [0, 1, 2, 3, 4]


def test_a_reply_can_be_given_later_by_another_message() -> None:
    reference = Hoarder.start(LABEL)
    early = reference.request("early", decode=str.upper)
    with pytest.raises(KhepriTimeoutError):
        early.get(timeout=0)
    reference.cast("give")
    assert early.get(timeout=WAIT_SECONDS) == "EARLY"


def test_replies_before_a_crash_in_the_same_batch_are_delivered() -> None:
    gate = Gate()

    class Slow(Echo):
        def on_start(self) -> None:
            gate.pass_through()

    reference = Slow.start(LABEL)
    before, crashing, after = (reference.request(m) for m in ("before", "crash", "after"))
    gate.open()
    assert before.get(timeout=WAIT_SECONDS) == "before"
    for future in (crashing, after):
        with pytest.raises(ServerStoppedError):
            future.get(timeout=WAIT_SECONDS)


# --- deadlines


class Timed(Echo):
    """Has one deadline, and counts how often it was reached."""

    def __init__(self, clock: SetClock, deadline: float) -> None:
        super().__init__(LABEL, clock=clock)
        self._deadline: float | None = deadline
        self.reached = threading.Event()

    def next_deadline(self) -> float | None:
        return self._deadline

    def on_deadline(self) -> None:
        self._deadline = None
        self.reached.set()

    def on_receive(self, message: object) -> object:
        return self.reached if message == "reached" else super().on_receive(message)


def test_a_deadline_is_kept_without_any_message() -> None:
    clock = SetClock()
    reached = Timed.start(clock, clock.now).ask("reached", timeout=WAIT_SECONDS)
    assert reached.wait(WAIT_SECONDS)


def test_a_deadline_in_the_future_is_waited_for() -> None:
    clock = SetClock()
    timed = Timed.start(clock, clock.now + 60.0)
    reached = timed.ask("reached", timeout=WAIT_SECONDS)
    assert not reached.is_set()
    clock.now += 61.0
    timed.ask("look at the clock", timeout=WAIT_SECONDS)
    assert reached.wait(WAIT_SECONDS)


def test_a_deadline_that_a_message_has_moved_is_not_kept() -> None:
    clock = SetClock()
    gate = Gate()

    class Moves(Timed):
        def on_start(self) -> None:
            gate.pass_through()

        def on_receive(self, message: object) -> object:
            self._deadline = clock.now + 60.0
            return super().on_receive(message)

    moves = Moves.start(clock, clock.now)
    future = moves.request("reached")
    gate.open()
    reached = future.get(timeout=WAIT_SECONDS)
    moves.ask("one more turn", timeout=WAIT_SECONDS)
    assert not reached.is_set()


def test_messages_that_never_cease_do_not_keep_a_deadline_away() -> None:
    clock = SetClock()

    class Busy(Timed):
        def on_batch(self, envelopes: Sequence[Envelope]) -> None:
            super().on_batch(envelopes)
            if not self.reached.is_set():
                self.reference.cast("and again")

    busy = Busy.start(clock, clock.now)
    assert busy.ask("reached", timeout=WAIT_SECONDS).wait(WAIT_SECONDS)


def test_an_exception_at_a_deadline_is_a_crash() -> None:
    clock = SetClock()

    class Fails(Timed):
        def on_deadline(self) -> NoReturn:
            raise ValueError("late")

    assert exit_of(Fails.start(clock, clock.now)).kind is ExitKind.CRASHED


# --- start


def test_a_start_is_confirmed_when_on_start_has_returned() -> None:
    gate = Gate()

    class Slow(Echo):
        def on_start(self) -> None:
            gate.pass_through()

    slow = Slow.start(LABEL)
    gate.await_reached()
    assert not slow.started.done()
    gate.open()
    slow.started.get(timeout=WAIT_SECONDS)


def test_a_failing_start_is_told_with_its_own_error() -> None:
    """Pykka's start returns, on_failure is not called, and nobody ever knows."""

    class Fails(Echo):
        def on_start(self) -> None:
            raise OSError("disk on fire")

    fails = Fails.start(LABEL)
    with pytest.raises(OSError, match="disk on fire"):
        fails.started.get(timeout=WAIT_SECONDS)
    assert exit_of(fails).kind is ExitKind.CRASHED
    assert not fails.is_alive()
    with pytest.raises(NoSuchServerError):
        fails.ask("hello")


def test_what_was_sent_during_a_failing_start_is_answered() -> None:
    gate = Gate()

    class Fails(Echo):
        def on_start(self) -> None:
            gate.pass_through()
            raise SystemExit(1)

    fails = Fails.start(LABEL)
    future = fails.request("hello")
    gate.open()
    with pytest.raises(ServerStoppedError):
        future.get(timeout=WAIT_SECONDS)


def test_a_system_exit_at_the_start_does_not_end_the_starter() -> None:
    class Exits(Echo):
        def on_start(self) -> None:
            raise SystemExit(1)

    with pytest.raises(ServerStoppedError, match="SystemExit"):
        Exits.start(LABEL).started.get(timeout=WAIT_SECONDS)


def test_an_actor_that_gets_no_thread_is_not_left_among_the_living(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError):
        Echo.start(LABEL)
    assert pykka.ActorRegistry.get_all() == []


def test_an_actor_stopped_before_it_is_ready_fails_its_start() -> None:
    class NeverReady(Echo):
        started_by_itself = True

    never = NeverReady.start(LABEL)
    never.stop()
    with pytest.raises(ServerStoppedError):
        never.started.get(timeout=WAIT_SECONDS)


# --- crashes


@pytest.mark.parametrize("how", ["crash", "exit"])
def test_an_exception_is_a_crash_for_ask_as_for_tell(how: str) -> None:
    """Under Pykka an ask that raises leaves the actor alive, half changed."""
    asked, told = Echo.start(LABEL), Echo.start(LABEL)
    with pytest.raises(ServerStoppedError) as caught:
        asked.ask(how, timeout=WAIT_SECONDS)
    told.tell(how)
    assert caught.value.facts["outcome"] == "unknown"
    for reference in (asked, told):
        reason = exit_of(reference)
        assert reason.kind is ExitKind.CRASHED
        assert isinstance(reason.error, ValueError | SystemExit)
        assert reference not in pykka.ActorRegistry.get_all()


def test_a_crash_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    echo = Echo.start(LABEL)
    echo.tell("crash")
    exit_of(echo)
    assert [record.getMessage() for record in caplog.records] == ["orders@alice-echo crashed"]
    assert "told to crash" in caplog.text


def test_an_expected_failure_is_an_answer_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refuses(KhepriActor):
        def on_batch(self, envelopes: Sequence[Envelope]) -> None:
            for envelope in envelopes:
                if envelope.reply_to is not None:
                    envelope.reply_to.fail(LookupError("no"))

    refuses = Refuses.start(LABEL)
    with caplog.at_level(logging.INFO), pytest.raises(LookupError):
        refuses.ask("please", timeout=WAIT_SECONDS)
    assert refuses.is_alive()
    assert caplog.records == []


def test_a_system_exit_in_our_actor_does_not_stop_the_host_s_actors() -> None:
    class HostActor(pykka.ThreadingActor):
        pass

    host = HostActor.start()
    echo = Echo.start(LABEL)
    echo.tell("exit")
    exit_of(echo)
    assert host.is_alive()


def test_a_crash_answers_those_who_wait_for_a_later_reply() -> None:
    class CrashingHoarder(Hoarder):
        def on_batch(self, envelopes: Sequence[Envelope]) -> None:
            if any(envelope.message == "crash" for envelope in envelopes):
                raise ValueError("told to crash")
            super().on_batch(envelopes)

    hoarder = CrashingHoarder.start(LABEL)
    waiting = hoarder.request("kept")
    hoarder.cast("crash")
    with pytest.raises(ServerStoppedError) as caught:
        waiting.get(timeout=WAIT_SECONDS)
    assert caught.value.facts["outcome"] == "unknown"


def test_the_reason_of_a_crash_does_not_keep_the_actor_in_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "khepri.actors")  # caplog itself keeps tracebacks
    echo = Echo.start(LABEL)
    (thread,) = (t for t in threading.enumerate() if t.name == f"khepri-{LABEL}")
    echo.tell("crash")
    assert exit_of(echo).error is not None
    thread.join()
    gc.collect()
    assert echo._actor_weakref() is None


def test_an_error_while_ending_is_logged_and_the_actor_still_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class FailsToEnd(Hoarder):
        def on_terminate(self, reason: Exit) -> None:
            del reason
            raise OSError("cannot close")

        def owed_replies(self) -> list[Any]:
            raise ValueError("lost the list")

    reference = FailsToEnd.start(LABEL)
    reference.stop()
    assert exit_of(reference).kind is ExitKind.CRASHED
    assert "cannot close" in caplog.text
    assert "lost the list" in caplog.text


def test_pykka_s_end_hooks_are_called() -> None:
    ended: list[str] = []

    class Hooked(Echo):
        def on_stop(self) -> None:
            ended.append("on_stop")

        def on_failure(
            self, exception_type: object, exception_value: object, traceback: object
        ) -> None:
            del exception_value, traceback
            ended.append(f"on_failure {exception_type}")

    stopped, crashed = Hooked.start(LABEL), Hooked.start(LABEL)
    stopped.stop()
    crashed.tell("crash")
    exit_of(crashed)
    assert ended == ["on_stop", "on_failure <class 'ValueError'>"]


# --- stops


def test_a_stop_keeps_its_place_among_the_messages() -> None:
    gate = Gate()

    class Slow(Echo):
        def on_start(self) -> None:
            gate.pass_through()

    slow = Slow.start(LABEL)
    before = slow.request("before")
    stopped = slow.stop(block=False)
    after = slow.request("after")
    gate.open()
    assert before.get(timeout=WAIT_SECONDS) == "before"
    assert stopped.get(timeout=WAIT_SECONDS) is True
    with pytest.raises(ServerStoppedError) as caught:
        after.get(timeout=WAIT_SECONDS)
    assert caught.value.facts["outcome"] == "not_applied"


def test_whoever_stops_an_actor_waits_for_its_real_end() -> None:
    gate = Gate()

    class SlowEnd(Echo):
        def on_terminate(self, reason: Exit) -> None:
            del reason
            gate.pass_through()

    slow = SlowEnd.start(LABEL)
    first = slow.stop(block=False)
    gate.await_reached()
    # It takes nothing any more but is not gone yet: a second stop waits as well.
    second = slow.stop(block=False)
    with pytest.raises(NoSuchServerError):
        slow.ask("hello")
    assert not first.done()
    assert not second.done()
    gate.open()
    assert first.get(timeout=WAIT_SECONDS) is True
    assert second.get(timeout=WAIT_SECONDS) is True


def test_stopping_a_dead_actor_says_so() -> None:
    echo = Echo.start(LABEL)
    assert echo.stop() is True
    assert echo.stop() is False
    assert exit_of(echo).kind is ExitKind.SHUTDOWN


def test_an_actor_that_stops_itself_ends_normally() -> None:
    echo = Echo.start(LABEL)
    assert echo.ask("stop", timeout=WAIT_SECONDS) == "stop"
    assert exit_of(echo).kind is ExitKind.NORMAL


def test_a_dead_actor_refuses_tell_and_ignores_cast() -> None:
    echo = Echo.start(LABEL)
    echo.stop()
    with pytest.raises(pykka.ActorDeadError):
        echo.tell("hello")
    echo.cast("hello")


def test_the_host_may_stop_all_actors_at_any_time() -> None:
    references = [Echo.start(LABEL) for _ in range(5)]
    assert pykka.ActorRegistry.stop_all(timeout=WAIT_SECONDS) == [True] * 5
    assert all(exit_of(reference).kind is ExitKind.SHUTDOWN for reference in references)


def test_an_abandoned_actor_counts_as_ended_and_ends_when_it_returns() -> None:
    gate = Gate()
    ended = threading.Event()

    class Stuck(Hoarder):
        def on_batch(self, envelopes: Sequence[Envelope]) -> None:
            super().on_batch(envelopes)
            gate.pass_through()

        def on_terminate(self, reason: Exit) -> None:
            del reason
            ended.set()

    stuck = Stuck.start(LABEL)
    taken = stuck.request("taken")
    gate.await_reached()
    waiting = stuck.request("waiting")
    stuck.abandon()
    for future in (taken, waiting):
        with pytest.raises(ServerStoppedError):
            future.get(timeout=WAIT_SECONDS)
    assert exit_of(stuck).kind is ExitKind.SHUTDOWN
    gate.open()
    assert ended.wait(WAIT_SECONDS)


def test_no_ask_hangs_when_it_races_a_stop() -> None:
    """Pykka left 131 of 45,000 such asks without an answer for ever."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    rounds, askers, asks = 400, 4, 30
    answers: list[list[KhepriFuture[Any]]] = []
    try:
        for _ in range(rounds):
            echo = Echo.start(LABEL)
            meet = threading.Barrier(askers + 1)

            def ask(echo: ActorReference = echo, meet: threading.Barrier = meet) -> None:
                futures = [echo.request("before")]
                meet.wait()
                futures.extend([echo.request("during") for _ in range(asks)])
                answers.append(futures)

            threads = [threading.Thread(target=ask) for _ in range(askers)]
            for thread in threads:
                thread.start()
            meet.wait()
            echo.stop()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(answers) == rounds * askers
    assert [future for futures in answers for future in futures if not future.done()] == []
    for before, *during in answers:
        assert before.get() == "before"
        # Once refused, always refused.
        refused = [future.failure is not None for future in during]
        assert refused == sorted(refused)


def test_a_handler_of_logs_that_raises_does_not_keep_an_actor_from_its_end() -> None:
    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError(record.getMessage())

    class Ends(Echo):
        def on_terminate(self, reason: Exit) -> None:
            raise RuntimeError("while it ended", reason)

        def owed_replies(self) -> Iterable[KhepriFuture[Any] | None]:
            raise RuntimeError("nobody knows")

    bad = Bad()
    logger = logging.getLogger("khepri.actors")
    logger.addHandler(bad)
    try:
        echo = Ends.start(LABEL)
        with pytest.raises(ServerStoppedError):
            echo.ask("crash", timeout=WAIT_SECONDS)
        assert echo.down.get(timeout=WAIT_SECONDS).kind is ExitKind.CRASHED
    finally:
        logger.removeHandler(bad)
