"""The registry: names and stores of a node, read by any thread, never a dead one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from khepri.actors.actor_errors import NameTakenError
from khepri.actors.label import ActorLabel
from khepri.actors.published_names import Namespace, PublishedNames
from khepri.actors.registry import (
    GetStoreIds,
    IsStoreRunning,
    Registry,
    WhereIs,
    register,
    unregister,
)
from tests.actors.actors_helpers import WAIT_SECONDS, Echo

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("registry", node="alice")


def echo(name: str) -> ActorReference:
    return Echo.start(ActorLabel(name))


def started(published: PublishedNames) -> ActorReference:
    registry = Registry.start(LABEL, published)
    registry.started.get(timeout=WAIT_SECONDS)
    return registry


def name_store(registry: ActorReference, store_id: str, server: ActorReference) -> None:
    register(registry, store_id, server, Namespace.STORE).get(timeout=WAIT_SECONDS)


def await_gone(published: PublishedNames, name: str, namespace: Namespace) -> None:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while name in published.all(namespace):
        assert time.monotonic() < give_up_at


def test_a_name_is_published_when_the_registration_is_answered() -> None:
    published = PublishedNames()
    registry, router = started(published), echo("router")
    register(registry, "router", router).get(timeout=WAIT_SECONDS)
    assert published.where_is("router") is router
    assert registry.ask(WhereIs(Namespace.ACTOR, "router"), timeout=WAIT_SECONDS) is router
    assert published.where_is("nobody") is None


def test_a_store_and_an_actor_may_have_the_same_name() -> None:
    published = PublishedNames()
    registry, router = started(published), echo("router")
    register(registry, "router", router).get(timeout=WAIT_SECONDS)
    assert not published.is_store_running("router")


def test_the_stores_that_run_are_listed_sorted() -> None:
    published = PublishedNames()
    registry = started(published)
    for store_id in ("zebra", "apple", "mango"):
        name_store(registry, store_id, echo(store_id))
    assert published.get_store_ids() == ["apple", "mango", "zebra"]
    assert registry.ask(GetStoreIds(), timeout=WAIT_SECONDS) == ["apple", "mango", "zebra"]
    assert published.is_store_running("apple")
    assert registry.ask(IsStoreRunning("apple"), timeout=WAIT_SECONDS) is True
    assert registry.ask(IsStoreRunning("pear"), timeout=WAIT_SECONDS) is False


def test_a_dead_actor_is_not_given_out_even_before_the_registry_knows() -> None:
    published = PublishedNames()
    server = echo("orders")
    published.publish(Namespace.STORE, {"orders": server})  # no registry hears of the end
    server.stop()
    assert published.get_store_ids() == []
    assert not published.is_store_running("orders")
    assert published.where_is("orders", Namespace.STORE) is None


def test_a_dead_actor_is_dropped() -> None:
    published = PublishedNames()
    registry, server = started(published), echo("orders")
    name_store(registry, "orders", server)
    server.stop()
    await_gone(published, "orders", Namespace.STORE)


def test_a_name_of_the_living_is_not_given_twice() -> None:
    published = PublishedNames()
    registry, first, second = started(published), echo("first"), echo("second")
    register(registry, "router", first).get(timeout=WAIT_SECONDS)
    register(registry, "router", first).get(timeout=WAIT_SECONDS)
    with pytest.raises(NameTakenError) as caught:
        register(registry, "router", second).get(timeout=WAIT_SECONDS)
    assert caught.value.facts["reference"] is first


def test_a_restarted_actor_takes_its_name_again_and_keeps_it() -> None:
    published = PublishedNames()
    registry, first = started(published), echo("orders")
    name_store(registry, "orders", first)
    first.stop()
    second = echo("orders")
    name_store(registry, "orders", second)
    # The first one's end, heard of late, does not take the name from the second one.
    registry.ask(GetStoreIds(), timeout=WAIT_SECONDS)
    assert published.where_is("orders", Namespace.STORE) is second


def test_a_name_can_be_taken_away() -> None:
    published = PublishedNames()
    registry, router = started(published), echo("router")
    register(registry, "router", router).get(timeout=WAIT_SECONDS)
    unregister(registry, "router").get(timeout=WAIT_SECONDS)
    unregister(registry, "router").get(timeout=WAIT_SECONDS)
    assert published.where_is("router") is None
    assert router.is_alive()


def test_a_reader_s_mapping_never_changes() -> None:
    published = PublishedNames()
    registry = started(published)
    before = published.all(Namespace.STORE)
    name_store(registry, "orders", echo("orders"))
    assert dict(before) == {}
    assert list(published.all(Namespace.STORE)) == ["orders"]


def test_a_restarted_registry_goes_on_with_what_is_published() -> None:
    published = PublishedNames()
    first, alive, dead = started(published), echo("alive"), echo("dead")
    name_store(first, "alive", alive)
    name_store(first, "dead", dead)
    first.stop()
    dead.stop()
    started(published)
    await_gone(published, "dead", Namespace.STORE)
    alive.stop()
    await_gone(published, "alive", Namespace.STORE)
