"""The mailbox: order, batches, deadlines, and no message without an answer."""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from khepri.actors.actor_errors import StoppedNotice
from khepri.actors.envelope import Envelope
from khepri.actors.exit_reason import SHUTDOWN
from khepri.actors.future import KhepriFuture
from khepri.actors.label import ActorLabel
from khepri.actors.mailbox import Mailbox
from khepri.errors import NoSuchServerError, ServerStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL = ActorLabel("test", "orders", "alice")
NOTICE = StoppedNotice(LABEL, SHUTDOWN)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns every 10 microseconds, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def put_all(mailbox: Mailbox, *messages: object) -> None:
    for message in messages:
        mailbox.put(Envelope(message))


def test_all_that_waits_is_taken_as_one_batch_in_order() -> None:
    mailbox = Mailbox()
    put_all(mailbox, 1, 2, 3)
    assert [envelope.message for envelope in mailbox.take()] == [1, 2, 3]
    assert mailbox.empty()


def test_a_batch_has_a_limit_and_the_rest_waits() -> None:
    mailbox = Mailbox()
    put_all(mailbox, 1, 2, 3, 4, 5)
    assert [envelope.message for envelope in mailbox.take(limit=2)] == [1, 2]
    assert mailbox.depth() == 3


def test_pykka_s_inbox_protocol_gives_one_at_a_time() -> None:
    mailbox = Mailbox()
    put_all(mailbox, 1, 2)
    assert mailbox.get().message == 1
    assert not mailbox.empty()


def test_nothing_is_taken_when_the_deadline_comes_first() -> None:
    mailbox = Mailbox()
    started_at = time.monotonic()
    assert mailbox.take(0.02) == []
    assert time.monotonic() - started_at >= 0.019


def test_a_deadline_in_the_past_does_not_hide_what_waits() -> None:
    mailbox = Mailbox()
    put_all(mailbox, 1)
    assert len(mailbox.take(-5.0)) == 1
    assert mailbox.take(-5.0) == []


def test_a_deadline_that_never_comes_is_no_error() -> None:
    mailbox = Mailbox()
    put_all(mailbox, 1)
    assert len(mailbox.take(math.inf)) == 1


def test_a_waiting_actor_is_woken_by_the_first_message() -> None:
    mailbox = Mailbox()
    taken: list[int] = []
    actor = threading.Thread(target=lambda: taken.append(len(mailbox.take())))
    actor.start()
    put_all(mailbox, 1)
    actor.join()
    assert taken == [1]


def test_what_waits_when_a_mailbox_closes_was_not_applied() -> None:
    mailbox = Mailbox()
    future: KhepriFuture[None] = KhepriFuture()
    mailbox.put(Envelope("ask", future))
    put_all(mailbox, "tell")
    mailbox.close(NOTICE)
    with pytest.raises(ServerStoppedError) as caught:
        future.get(timeout=0)
    assert caught.value.facts["outcome"] == "not_applied"
    assert caught.value.facts["store_id"] == "orders"


def test_what_comes_after_the_close_is_answered_at_once() -> None:
    mailbox = Mailbox()
    mailbox.close(NOTICE)
    future: KhepriFuture[None] = KhepriFuture()
    mailbox.put(Envelope("ask", future))
    mailbox.put(Envelope("tell"))
    with pytest.raises(NoSuchServerError):
        future.get(timeout=0)
    assert mailbox.take() == []


def test_an_ask_is_answered_when_the_close_comes_between_its_two_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mailbox = Mailbox()
    add_to_queue = mailbox._put

    def add_after_the_close(envelope: Envelope) -> None:
        mailbox.close(NOTICE)
        add_to_queue(envelope)

    monkeypatch.setattr(mailbox, "_put", add_after_the_close)
    future: KhepriFuture[None] = KhepriFuture()
    mailbox.put(Envelope("ask", future))
    assert isinstance(future.failure, NoSuchServerError)


def test_an_actor_cannot_fall_asleep_at_a_closed_mailbox() -> None:
    mailbox = Mailbox()
    mailbox.close(NOTICE)
    put_all(mailbox, "too late", "too late")
    assert mailbox.take() == []


def test_an_actor_that_sleeps_is_woken_by_the_close() -> None:
    mailbox = Mailbox()
    taken: list[list[Envelope]] = []
    actor = threading.Thread(target=lambda: taken.append(mailbox.take()))
    actor.start()
    mailbox.close(NOTICE)
    actor.join()
    assert taken == [[]]


def test_what_is_taken_while_another_thread_closes_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mailbox = Mailbox()
    future: KhepriFuture[None] = KhepriFuture()
    mailbox.put(Envelope("ask", future))
    take_first = mailbox._queue.get
    queue = mock.Mock(wraps=mailbox._queue)

    def take_then_close() -> Envelope:
        envelope: Envelope = take_first()
        mailbox.close(NOTICE)
        return envelope

    queue.get = take_then_close
    monkeypatch.setattr(mailbox, "_queue", queue)
    assert mailbox.take() == []
    assert isinstance(future.failure, ServerStoppedError)


def test_closing_twice_keeps_the_first_notice() -> None:
    mailbox = Mailbox()
    mailbox.close(NOTICE)
    mailbox.close(StoppedNotice(ActorLabel("another"), SHUTDOWN))
    assert mailbox.notice is NOTICE


@pytest.mark.usefixtures("hasty_threads")
def test_an_ask_that_races_the_close_is_always_answered() -> None:
    """Pykka's own inbox leaves about one of 300 such asks without an answer."""
    askers, races = 4, 5_000
    mailboxes = [Mailbox() for _ in range(races)]
    futures: list[list[KhepriFuture[None]]] = [[] for _ in range(askers)]
    meet = threading.Barrier(askers + 1)

    def ask(own: list[KhepriFuture[None]]) -> None:
        meet.wait()
        for mailbox in mailboxes:
            for _ in range(2):
                future: KhepriFuture[None] = KhepriFuture()
                mailbox.put(Envelope("ask", future))
                own.append(future)

    threads = [threading.Thread(target=ask, args=(own,)) for own in futures]
    for thread in threads:
        thread.start()
    meet.wait()
    for mailbox in mailboxes:
        # Whoever is ahead of the others meets them here.
        mailbox.close(NOTICE)
    for thread in threads:
        thread.join()
    unanswered = [future for own in futures for future in own if not future.done()]
    assert unanswered == []


@pytest.mark.usefixtures("hasty_threads")
def test_no_message_is_lost_or_doubled_among_many_senders() -> None:
    mailbox = Mailbox()
    senders, count = 8, 2_000

    def send(sender: int) -> None:
        for number in range(count):
            mailbox.put(Envelope((sender, number)))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    while len(taken) < senders * count:
        taken.extend(envelope.message for envelope in mailbox.take())
    for thread in threads:
        thread.join()
    for sender in range(senders):
        assert [number for who, number in taken if who == sender] == list(range(count))
