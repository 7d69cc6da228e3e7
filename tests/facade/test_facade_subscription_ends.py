"""Subscriptions: what they outlive, and how they end."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pykka

import khepri
from khepri import messages
from khepri.actors import change_outlet, node_supervision
from khepri.actors.default_node import default_node
from tests.facade.facade_helpers import PATIENCE_SECONDS, actors_of, eventually
from tests.facade.subscription_helpers import Event, Host, Told, feed

if TYPE_CHECKING:
    import pytest


def test_it_ends_when_its_actor_is_dead(
    store: khepri.Store, host: pykka.ActorRef[Host], caplog: pytest.LogCaptureFixture
) -> None:
    subscription = store.subscribe("/n", host)
    host.stop(block=True, timeout=PATIENCE_SECONDS)
    store.put("/elsewhere", 1)
    eventually(lambda: not store.access.outlet.listens, "the end of the subscription")
    assert not subscription.is_open
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_closed_one_tells_nothing_more(store: khepri.Store, told: Told) -> None:
    first, second = store.subscribe("/n", told), store.subscribe("/n", told)
    first.close()
    store.unsubscribe(second)
    first.close()
    assert not first.is_open
    store.put("/n", 1)
    assert told.nothing_more(store)
    assert not store.access.outlet.listens


def test_one_that_has_ended_keeps_no_tree(store: khepri.Store, told: Told) -> None:
    closed, stopped = (store.subscribe("/n", told) for _ in range(2))
    closed.close()
    khepri.stop("orders")
    assert isinstance(told.next(), messages.SubscriptionEnded)
    eventually(lambda: stopped.view is None)
    for one in (closed, stopped):
        assert one.view is None
        assert one.outlet is None


def test_a_store_to_which_nobody_listens_notes_nothing(store: khepri.Store, told: Told) -> None:
    outlet = store.access.outlet
    assert not outlet.wants_changes
    subscription = store.subscribe("/n", told)
    assert outlet.wants_changes
    subscription.close()
    assert not outlet.wants_changes


def test_it_is_told_that_the_store_was_stopped(
    store: khepri.Store, host: pykka.ActorRef[Host], told: Told
) -> None:
    subscription = store.subscribe("/n", host)
    store.put("/n", 1)
    khepri.stop("orders")
    assert told.changes() == [("/n", "create", 1)]
    assert told.next() == messages.SubscriptionEnded("orders", subscription, "stopped")
    assert not subscription.is_open


def test_it_is_told_that_the_store_was_reset(store: khepri.Store, told: Told) -> None:
    subscription = store.subscribe("/n", told)
    khepri.reset("orders")
    assert told.next() == messages.SubscriptionEnded("orders", subscription, "reset")


def test_it_is_told_that_the_node_has_stopped(store: khepri.Store, told: Told) -> None:
    subscription = store.subscribe("/n", told)
    default_node().stop()
    assert told.next() == messages.SubscriptionEnded("orders", subscription, "stopped")
    assert told.events.empty()


def test_it_is_told_so_also_if_the_program_stops_all_actors(
    store: khepri.Store, told: Told
) -> None:
    subscription = store.subscribe("/n", told)
    store.put("/n", 1)
    pykka.ActorRegistry.stop_all(timeout=PATIENCE_SECONDS)
    assert told.changes() == [("/n", "create", 1)]
    assert told.next() == messages.SubscriptionEnded("orders", subscription, "stopped")


def test_a_stop_of_the_node_does_not_wait_for_a_function_that_does_not_return(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, gate, begun = Told(), threading.Event(), threading.Event()

    def stuck(event: object) -> None:
        if isinstance(event, messages.TreeChanged):
            begun.set()
            gate.wait(60)

    monkeypatch.setattr(node_supervision, "FEED_STOP_SECONDS", 0.2)
    store.subscribe("/n", stuck)
    store.subscribe("/n", told)
    store.put("/n", 1)
    assert begun.wait(PATIENCE_SECONDS)
    default_node().stop()
    assert isinstance(told.next(), messages.SubscriptionEnded)
    gate.set()


def test_a_stop_of_the_node_does_not_wait_for_one_that_never_returns_whatever_it_is_told(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, gate, begun = Told(), threading.Event(), threading.Event()
    calls: list[object] = []

    def stuck(event: object) -> None:
        calls.append(event)
        begun.set()
        gate.wait(60)
        if isinstance(event, messages.SubscriptionEnded):
            told(event)

    monkeypatch.setattr(node_supervision, "FEED_STOP_SECONDS", 0.2)
    subscription = store.subscribe("/n", stuck)
    other = store.subscribe("/n", told)
    store.put("/n", 1)
    assert begun.wait(PATIENCE_SECONDS)
    stopping = threading.Thread(target=default_node().stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE_SECONDS)
    try:
        assert not stopping.is_alive()
        assert told.next() == messages.SubscriptionEnded("orders", other, "stopped")
        assert len(calls) == 1  # it is never called twice at once
    finally:
        gate.set()
    assert told.next() == messages.SubscriptionEnded("orders", subscription, "stopped")


def test_it_outlives_a_crash_of_the_server(store: khepri.Store, told: Told) -> None:
    store.subscribe("/n", told)
    server = actors_of("orders")["ra_server"]
    server.cast(object())
    eventually(lambda: actors_of("orders").get("ra_server") not in (None, server))
    store.put("/n", 1, timeout=20)
    assert told.changes() == [("/n", "create", 1)]


def test_it_outlives_a_crash_of_the_feed(store: khepri.Store, told: Told) -> None:
    store.subscribe("/n", told)
    first = feed()
    first.cast("not a message for it")
    first.down.get(timeout=PATIENCE_SECONDS)
    store.put("/n", 1)
    assert told.changes() == [("/n", "create", 1)]


def test_one_that_falls_behind_is_told_by_comparison(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_outlet, "MAX_WAITING_CHANGES", 10)
    told, gate = Told(), threading.Event()

    def slow(event: Event) -> None:
        told(event)
        gate.wait(PATIENCE_SECONDS)

    store.subscribe("/a/**", slow)
    store.put("/a/first", 0)
    assert told.changes() == [("/a/first", "create", 0)]
    for number in range(50):
        store.put(f"/a/{number:02}", number)
    for number in range(50):
        store.put(f"/a/{number:02}", -number)
    outlet = store.access.outlet
    assert outlet._waiting is not None
    assert outlet._waiting.changed is None
    gate.set()
    assert told.changes() == [(f"/a/{number:02}", "create", -number) for number in range(50)]
    assert told.nothing_more(store)
