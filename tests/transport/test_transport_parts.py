"""The small parts: outbox, reactor, strangers, admissions, counters, complaints, settings."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import InvalidOptionError
from khepri.transport.complaints import Complaints
from khepri.transport.cookie import Cookie
from khepri.transport.counters import Counters, Drop, Refusal, Traffic
from khepri.transport.curve import ClusterKeys
from khepri.transport.interface import NodeIncarnation
from khepri.transport.outbox import Outbox, queued_size
from khepri.transport.reactor import Reactor
from khepri.transport.settings import TransportSettings
from khepri.transport.strangers import Strangers
from khepri.transport.zap import ADMITTED_LIMIT, DOOR, Admissions
from tests.transport.transport_helpers import COOKIE, eventually, text

if TYPE_CHECKING:
    from pathlib import Path


def nothing() -> None:
    """Do nothing."""


# The outbox.


def test_an_outbox_wakes_its_reader_once_until_it_is_emptied() -> None:
    wakes: list[int] = []
    outbox = Outbox(100_000, lambda: wakes.append(1))
    for _ in range(5):
        assert outbox.put([text(b"x")]) is None
    assert len(wakes) == 1

    outbox.take(100_000, 100)
    assert outbox.put([text(b"x")]) is None
    assert len(wakes) == 2
    assert outbox.put([]) is None
    assert len(wakes) == 2


def test_an_outbox_keeps_to_its_budget_until_messages_have_left() -> None:
    message = text(bytes(100))
    outbox = Outbox(2 * queued_size(message), nothing)
    assert outbox.put([message, message]) is None
    assert outbox.put([message]) is Drop.QUEUE_FULL

    taken, charge = outbox.take(10_000, 100)
    assert taken == [message, message]
    assert outbox.put([message]) is Drop.QUEUE_FULL, "taken is not sent"
    outbox.release(charge)
    assert outbox.put([message]) is None


def test_a_shut_outbox_drops_and_refuses_until_it_is_opened() -> None:
    outbox = Outbox(100_000, nothing)
    outbox.put([text(b"1"), text(b"2")])
    assert outbox.shut() == 2
    assert outbox.put([text(b"3")]) is Drop.PEER_DOWN
    assert outbox.queued_bytes == 0
    outbox.open()
    assert outbox.put([text(b"4")]) is None


@given(
    sizes=st.lists(st.integers(0, 500), max_size=30),
    batch_bytes=st.integers(1, 3000),
    batch_messages=st.integers(1, 10),
)
def test_batches_keep_order_and_limits(
    sizes: list[int], batch_bytes: int, batch_messages: int
) -> None:
    outbox = Outbox(1_000_000, nothing)
    messages = [text(b"%d" % number + bytes(size)) for number, size in enumerate(sizes)]
    outbox.put(messages)
    taken = []
    while True:
        batch, charge = outbox.take(batch_bytes, batch_messages)
        if not batch:
            break
        assert len(batch) <= batch_messages
        assert charge == sum(map(queued_size, batch))
        assert charge <= batch_bytes or len(batch) == 1
        outbox.release(charge)
        taken += batch
    assert taken == messages
    assert outbox.queued_bytes == 0


# The reactor.


def test_tasks_from_many_threads_all_run_on_the_loops_thread_in_order() -> None:
    reactor = Reactor()
    loop = threading.Thread(target=reactor.run)
    loop.start()
    ran: dict[int, list[int]] = {number: [] for number in range(4)}
    threads_seen: set[threading.Thread] = set()

    def give(number: int) -> None:
        for count in range(1000):
            reactor.call_soon(lambda count=count: note(number, count))

    def note(number: int, count: int) -> None:
        ran[number].append(count)
        threads_seen.add(threading.current_thread())

    givers = [threading.Thread(target=give, args=(number,)) for number in ran]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    reactor.end()
    loop.join()
    reactor.close()

    assert all(counts == list(range(1000)) for counts in ran.values())
    assert threads_seen == {loop}


def test_a_lone_task_wakes_a_sleeping_loop_every_time() -> None:
    reactor = Reactor()
    loop = threading.Thread(target=reactor.run)
    loop.start()
    for _ in range(1000):
        is_done = threading.Event()
        reactor.call_soon(is_done.set)
        assert is_done.wait(20)
    reactor.end()
    loop.join()
    reactor.close()
    reactor.call_soon(nothing)  # too late, and harmless


def test_timers_run_when_due_unless_cancelled() -> None:
    reactor = Reactor()
    ran: list[str] = []
    reactor.call_later(0.02, lambda: ran.append("late"))
    reactor.call_later(0.0, lambda: ran.append("early"))
    reactor.call_later(0.01, lambda: ran.append("cancelled")).cancel()
    reactor.call_later(0.03, reactor.end)
    reactor.run()
    reactor.close()
    assert ran == ["early", "late"]


def test_a_socket_closed_by_one_handler_is_not_given_to_the_next() -> None:
    reactor = Reactor()
    with zmq.Context[zmq.Socket[bytes]]() as context:
        pairs = []
        for number in range(2):
            receiver, sender = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            receiver.bind(f"inproc://{number}")
            sender.connect(f"inproc://{number}")
            sender.send(b"x")
            pairs.append((receiver, sender))
        called: list[int] = []

        def handle(number: int) -> None:
            called.append(number)
            for receiver, _sender in pairs:
                reactor.unwatch(receiver)
            reactor.unwatch(pairs[0][0])  # twice is harmless
            reactor.end()

        reactor.watch(pairs[0][0], lambda: handle(0))
        reactor.watch(pairs[1][0], lambda: handle(1))
        reactor.run()
        reactor.close()
        assert called == [0]
        context.destroy(linger=0)


# Strangers.


def test_the_oldest_stranger_is_hung_up_on_and_nobody_else() -> None:
    counters = Counters()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        strangers = Strangers(2, counters)
        strangers.ports.add(port)
        dialled, accepted = [], []
        for _ in range(3):
            dialled.append(socket.create_connection(("127.0.0.1", port)))
            accepted.append(listening.accept()[0])
            strangers.arrived(accepted[-1].fileno())

        dialled[0].settimeout(20)
        assert dialled[0].recv(1) == b"", "hung up"
        for connection in dialled[1:]:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        assert counters[Refusal.TOO_MANY_STRANGERS] == 1
        for connection in (*dialled, *accepted):
            connection.close()


def test_a_descriptor_that_is_no_connection_of_ours_is_left_alone(tmp_path: Path) -> None:
    """libzmq may have closed it, and the number may belong to a log file by now."""
    counters = Counters()
    strangers = Strangers(1, counters)
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    near, far = socket.socketpair()
    with (
        near,
        far,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname()) as connection,
    ):
        for number in (descriptor, near.fileno(), connection.fileno(), 10**6, 10**6 + 1):
            strangers.arrived(number)
        os.write(descriptor, b"still open")
        near.send(b"still open")
        connection.send(b"still open")
    os.close(descriptor)
    assert counters[Refusal.TOO_MANY_STRANGERS] == 0


def test_who_has_identified_itself_or_left_is_no_stranger() -> None:
    counters = Counters()
    strangers = Strangers(10, counters)
    for descriptor in (1000, 1001, 1002):
        strangers.arrived(descriptor)
    strangers.identified(1000)
    strangers.left(1000)
    strangers.left(1001)
    assert len(strangers) == 1
    assert counters[Refusal.NEVER_IDENTIFIED] == 1


# Admissions, counters, complaints, settings.


def test_the_node_greeted_longest_ago_is_forgotten_when_there_are_too_many() -> None:
    keys = ClusterKeys(Cookie(COOKIE))
    admissions = Admissions(keys)
    names = [f"node{number}@h:1" for number in range(ADMITTED_LIMIT + 1)]
    for name in names[:-1]:
        admissions.admit(NodeIncarnation(name, b"1"))
    admissions.admit(NodeIncarnation(names[0], b"2"))
    admissions.admit(NodeIncarnation(names[-1], b"1"))

    assert admissions.incarnation_of(names[0]) == b"2"
    assert admissions.incarnation_of(names[1]) is None
    assert admissions.user_of(keys.client(names[1]).public_binary) is None
    assert admissions.user_of(keys.client(names[-1]).public_binary) == names[-1]
    assert admissions.user_of(keys.door().public_binary) == DOOR


def test_counters_take_other_names_and_give_plain_ones() -> None:
    counters = Counters()
    counters.add(Drop.WRONG_CLUSTER, 2)
    counters.add("answered_pings")
    counters.sent(3, 100)
    counters.received(1, 50)
    snapshot = counters.snapshot()
    assert snapshot["dropped_wrong_cluster"] == 2
    assert snapshot["answered_pings"] == 1
    assert (snapshot["sent_frames"], snapshot["sent_messages"]) == (1, 3)
    assert all(type(name) is str for name in snapshot)
    assert counters[Traffic.RECEIVED_BYTES] == 50
    assert counters[Drop.GARBLED] == 0


def test_counting_from_many_threads_loses_nothing() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(1000):
            counters.add(Drop.QUEUE_FULL)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters[Drop.QUEUE_FULL] == 8000


def test_the_same_complaint_is_made_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("khepri.transport.complaints.time.monotonic", lambda: now[0])
    complaints = Complaints("alice@h:1")
    for now[0] in (0.0, 1.0, 59.0, 61.0, 62.0):
        complaints.about("bob", "Bob is noisy")
    complaints.about("carol", "Carol too")
    assert [record.getMessage() for record in caplog.records] == [
        "alice@h:1: Bob is noisy",
        "alice@h:1: Bob is noisy",
        "alice@h:1: Carol too",
    ]


@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(TransportSettings)])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_every_setting_must_be_above_zero(option: str, value: float) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        TransportSettings(**{option: value})


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="queue_bytes"):
        TransportSettings(queue_bytes=100, message_bytes=100)
    with pytest.raises(InvalidOptionError, match="heartbeat"):
        TransportSettings(heartbeat_interval_seconds=5.0, heartbeat_timeout_seconds=5.0)


def test_eventually_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.transport.transport_helpers.DEADLINE_SECONDS", 0.01)
    with pytest.raises(AssertionError, match="the moon"):
        eventually(lambda: False, "the moon")
