"""Subscriptions: an actor or a function is told what has changed, and at last that it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri import messages
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    MisuseError,
    NoSuchServerError,
    WrongTypeError,
)
from tests.facade.facade_helpers import PATIENCE_SECONDS
from tests.facade.subscription_helpers import Event, Host, Told, feed

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka


def test_an_actor_is_told_what_has_changed(
    store: khepri.Store, host: pykka.ActorRef[Host], told: Told
) -> None:
    subscription = store.subscribe("/config/**", host)
    store.put("/config/colour", "green")
    event = told.next()
    assert isinstance(event, messages.TreeChanged)
    assert event.store_id == "orders"
    assert event.subscription is subscription
    assert event.view.get("/config/colour") == "green"
    assert event.differences == [
        khepri.Difference(
            khepri.Path("/config/colour"), None, {"data": "green", "payload_version": 1}
        )
    ]
    store.put("/else", 1)
    store.put("/config/colour", "red")
    assert told.changes() == [("/config/colour", "update", "red")]
    store.delete("/config")
    assert told.changes() == [("/config/colour", "delete", None)]


def test_a_function_is_told_in_a_thread_of_khepris(store: khepri.Store, told: Told) -> None:
    store.subscribe("/n", told)
    store.put("/n", 1)
    assert told.changes() == [("/n", "create", 1)]
    assert "change-feed" in told.thread


def test_what_is_written_together_is_told_together_in_path_order(
    store: khepri.Store, told: Told
) -> None:
    store.subscribe("/a/**", told)
    with store.batch() as batch:
        batch.put("/a/z", 1)
        batch.put("/a/b/c", 2)
        batch.put("/a/b", 3)
        batch.put("/a/z", 4)
    assert told.changes() == [
        ("/a/b", "create", 3),
        ("/a/b/c", "create", 2),
        ("/a/z", "create", 4),
    ]


def test_what_is_told_is_what_a_comparison_of_the_views_would_tell(
    store: khepri.Store, told: Told
) -> None:
    before = store.view()
    store.subscribe("/", told)
    store.subscribe("/**", told, props_to_return=["child_names", "payload"])
    with store.batch() as batch:
        batch.put("/a/b", 1)
        batch.put("/a/c", 1)
        batch.delete("/a/b")
    first, second = told.next(), told.next()
    assert isinstance(first, messages.TreeChanged)
    assert isinstance(second, messages.TreeChanged)
    compared = second.view.diff("/", before, props_to_return=["child_names", "payload"])
    assert second.differences == compared[1:]
    assert [(str(each.path), each.kind) for each in first.differences] == [("/", "update")]


def test_conditions_are_asked_after_the_change_and_before_a_deletion(
    store: khepri.Store, told: Told
) -> None:
    store.subscribe(["a", khepri.IfDataMatches(khepri.Ge(10))], told)
    store.put("/a/x", 1)
    store.put("/a/x", 10)
    assert told.changes() == [("/a/x", "update", 10)]
    store.put("/a/x", 2)  # after the change it does not match
    store.put("/a/y", 11)
    assert told.changes() == [("/a/y", "create", 11)]
    store.delete("/a/x")
    store.delete("/a/y")
    assert told.changes() == [("/a/y", "delete", None)]
    assert told.nothing_more(store)


def test_it_tells_since_an_earlier_view(store: khepri.Store, told: Told) -> None:
    store.put("/a/one", 1)
    before = store.view()
    store.put("/a/two", 2)
    store.subscribe("/a/*", told, since=before)
    assert told.changes() == [("/a/two", "create", 2)]
    store.put("/a/three", 3)
    assert told.changes() == [("/a/three", "create", 3)]


def test_nothing_falls_between_the_view_and_the_subscription(store: khepri.Store) -> None:
    """Others write all the time; each subscription begins where its view ends."""
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            store.increment("/n")

    store.put("/n", 0)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            told = Told()
            subscription = store.subscribe("/n", told, since=store.view())
            seen = 0
            for _ in range(5):
                event = told.next()
                assert isinstance(event, messages.TreeChanged)
                (each,) = event.differences
                assert each.old is not None
                assert seen in {0, each.old["data"]}
                seen = (each.new or {})["data"]
            subscription.close()
    finally:
        over.set()
        writer.join(PATIENCE_SECONDS)


def test_a_function_that_raises_harms_nobody_and_is_logged_once(
    store: khepri.Store, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_event: object) -> None:
        raise ValueError("told to fail")

    def exits(_event: object) -> None:
        raise SystemExit(1)

    def cancelled(_event: object) -> None:
        raise asyncio.CancelledError

    store.subscribe("/n", broken)
    store.subscribe("/n", exits)
    store.subscribe("/n", cancelled)
    before = feed()
    store.subscribe("/n", told)
    for number in range(5):
        store.put("/n", number)
        told.next()
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "<subscription to /n of 'orders'> failed"
    ] * 3
    assert feed() is before


def test_a_function_may_write_and_close_its_subscription(store: khepri.Store) -> None:
    told = Told()

    def once(event: Event) -> None:
        assert isinstance(event, messages.TreeChanged)
        event.subscription.close()
        store.put("/done", True)
        told(event)

    store.subscribe("/n", once)
    store.put("/n", 1)
    assert told.changes() == [("/n", "create", 1)]
    assert store.get("/done") is True
    store.put("/n", 2)
    assert told.nothing_more(store)


def test_the_module_has_the_same_functions(store: khepri.Store, told: Told) -> None:
    subscription = khepri.subscribe("/n", told, store_id="orders")
    store.put("/n", 1)
    assert told.changes() == [("/n", "create", 1)]
    khepri.unsubscribe(subscription, store_id="orders")
    assert not subscription.is_open
    assert repr(subscription) == "<subscription to /n of 'orders'>"


def test_two_stores_tell_their_own(store: khepri.Store, told: Told) -> None:
    with khepri.open("other", "other") as other:
        store.subscribe("/n", told)
        other.put("/n", 1)
        store.put("/n", 2)
        assert told.changes() == [("/n", "create", 2)]


async def unawaited(*_told: object) -> None:
    """What it would give nobody would await."""


def test_misuse_is_told_at_once(store: khepri.Store, told: Told) -> None:
    with khepri.open("other", "other") as other:
        foreign = other.view()
    wrong: list[tuple[Callable[[], object], type[MisuseError]]] = [
        (lambda: store.subscribe(5, told), InvalidPathError),  # type: ignore[arg-type]
        (lambda: store.subscribe("/a", "told"), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.subscribe("/a", None), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.subscribe("/a", unawaited), WrongTypeError),
        (lambda: store.subscribe("/a", told, since=5), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.subscribe("/a", told, since=foreign), InvalidOptionError),
        (lambda: store.subscribe("/a", told, props_to_return=["x"]), InvalidOptionError),
        (lambda: store.unsubscribe("it"), WrongTypeError),  # type: ignore[arg-type]
    ]
    for call, error in wrong:
        with pytest.raises(error):
            call()
    assert not store.access.outlet.listens


def test_a_store_that_does_not_run_tells_nothing(told: Told) -> None:
    with pytest.raises(NoSuchServerError):
        khepri.Store("nowhere").subscribe("/n", told)
