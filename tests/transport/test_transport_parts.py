"""The small parts: admissions, counters, complaints, settings."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest

from khepri.errors import InvalidOptionError
from khepri.transport.complaints import Complaints
from khepri.transport.cookie import Cookie
from khepri.transport.counters import Counters, Drop, Traffic
from khepri.transport.curve import ClusterKeys
from khepri.transport.interface import NodeIncarnation
from khepri.transport.settings import TransportSettings
from khepri.transport.zap import ADMITTED_LIMIT, DOOR, Admissions
from tests.transport.transport_helpers import (
    COOKIE,
    Mailbox,
    ZmqNodes,
    eventually,
    khepri_threads,
)


def test_the_node_that_was_silent_longest_is_forgotten_when_there_are_too_many() -> None:
    keys = ClusterKeys(Cookie(COOKIE))
    admissions = Admissions(keys)
    names = [f"node{number}@h:1" for number in range(ADMITTED_LIMIT + 1)]
    for name in names[:-1]:
        admissions.admit(NodeIncarnation(name, b"1"))
    admissions.admit(NodeIncarnation(names[0], b"2"))
    assert admissions.is_present(NodeIncarnation(names[1], b"1"))
    admissions.admit(NodeIncarnation(names[-1], b"1"))

    def is_known(name: str) -> bool:
        return admissions.user_of(keys.client(name).public_binary) == name

    assert [is_known(name) for name in (*names[:3], names[-1])] == [True, True, False, True]
    assert admissions.user_of(keys.door().public_binary) == DOOR
    assert not admissions.is_present(NodeIncarnation(names[0], b"1"))
    # Its connection has outlived its place here.
    assert admissions.is_present(NodeIncarnation(names[2], b"1"))
    assert is_known(names[2])


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
    options: dict[str, Any] = {option: value}
    with pytest.raises(InvalidOptionError, match=option):
        TransportSettings(**options)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="queue_bytes"):
        TransportSettings(queue_bytes=100, message_bytes=100)
    with pytest.raises(InvalidOptionError, match="silence"):
        TransportSettings(probe_interval_seconds=5.0, silence_timeout_seconds=5.0)


def test_settings_for_large_commands_leave_room_around_them() -> None:
    assert TransportSettings.for_commands_of(1000) == TransportSettings()
    size = 100 * 1024 * 1024
    settings = TransportSettings.for_commands_of(size)
    assert settings.message_bytes > size
    assert settings.queue_bytes > settings.message_bytes


def test_eventually_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.transport.transport_helpers.DEADLINE_SECONDS", 0.01)
    with pytest.raises(AssertionError, match="the moon"):
        eventually(lambda: False, "the moon")


def test_the_check_for_threads_that_are_left_sees_one(zmq_nodes: ZmqNodes) -> None:
    transport = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    transport.start()
    assert khepri_threads() == [f"khepri-{transport.node}-transport"]
