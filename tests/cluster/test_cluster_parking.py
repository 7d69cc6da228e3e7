"""What waits at a member that knows no leader: bounded, and gone when its caller has given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from khepri import aio, messages
from khepri.actors import remote_functions
from khepri.actors.ra_server import RaServer
from khepri.actors.remote_functions import RemoteFunctions
from khepri.errors import KhepriTimeoutError
from khepri.server_ref import ServerRef
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    QUICK,
    await_equal_trees,
    eventually,
    leader_among,
    others,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIG = b"x" * 100_000


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(3, config=QUICK) as formed:
        formed.store(0).put("/known", 1)
        await_equal_trees(formed)
        yield formed


def cut_off_a_follower(cluster: LocalCluster) -> int:
    number = others(cluster, leader_among(cluster, range(3)))[0]
    cluster.partition([number], others(cluster, number))
    manager = cluster.manager(number)
    eventually(lambda: manager.status(cluster.store_id).leader is None, "the loss of the leader")
    return number


def server_of(cluster: LocalCluster, number: int) -> RaServer:
    reference = cluster.node(number).access(cluster.store_id).server
    assert reference is not None
    server = reference._actor_weakref()
    assert isinstance(server, RaServer)
    return server


def put_from_a_thread(cluster: LocalCluster, number: int) -> None:
    cluster.store(number).put("/given/up", 1, timeout=0.2)


def put_from_a_task(cluster: LocalCluster, number: int) -> None:
    asyncio.run(aio.Store(cluster.store_id, cluster.node(number)).put("/given/up", 1, timeout=0.2))


def put_by_message(cluster: LocalCluster, number: int) -> None:
    reference = ServerRef(cluster.store(number), cluster.node(number))
    reference.ask(messages.Put("/given/up", 1), timeout=0.2)


def put_by_message_that_the_leader_answers(cluster: LocalCluster, number: int) -> None:
    reference = ServerRef(cluster.store(number), cluster.node(number))
    reference.ask(messages.Put("/given/up", 1, reply_from="leader"), timeout=0.2)


@pytest.mark.parametrize(
    "give_up",
    [
        put_from_a_thread,
        put_from_a_task,
        put_by_message,
        put_by_message_that_the_leader_answers,
    ],
)
def test_rule_21_r27_a_write_whose_caller_gave_up_is_not_executed_later(
    cluster: LocalCluster, give_up: Callable[[LocalCluster, int], None]
) -> None:
    number = cut_off_a_follower(cluster)
    store = cluster.store(number)
    still_wanted = [store.put("/wanted/first", 1, async_=True)]
    with pytest.raises(KhepriTimeoutError):
        give_up(cluster, number)
    still_wanted.append(store.put("/wanted/second", 1, async_=True))
    cluster.heal()
    for future in still_wanted:
        future.get(timeout=30)
    store.fence()
    assert set(await_equal_trees(cluster)) == {
        "/known",
        "/wanted",
        "/wanted/first",
        "/wanted/second",
    }


def test_rule_21_what_waits_costs_no_memory_when_its_caller_has_given_up(
    cluster: LocalCluster,
) -> None:
    number = cut_off_a_follower(cluster)
    store, manager = cluster.store(number), cluster.manager(number)
    server = server_of(cluster, number)
    held_before = server._flow.pump.origin.waiting_bytes
    for _ in range(30):
        with pytest.raises(KhepriTimeoutError):
            store.put("/big", BIG, timeout=0.001)
        with pytest.raises(KhepriTimeoutError):
            store.get("/known", favor="consistency", timeout=0.001)
        with pytest.raises(KhepriTimeoutError):
            manager.wait_for_leader(cluster.store_id, timeout=0.001)
    eventually(lambda: not server._waiters.futures(), "an empty room")
    eventually(
        lambda: server._flow.pump.origin.waiting_bytes - held_before < len(BIG), "the bytes to go"
    )
    cluster.heal()
    store.put("/big", b"small")
    assert store.get("/big", favor="consistency") == b"small"


def test_rule_21_a_node_that_asks_for_a_majority_is_not_waited_for_for_ever(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = cut_off_a_follower(cluster)
    monkeypatch.setattr(remote_functions, "QUESTION_LIFE_SECONDS", -1.0)
    functions = RemoteFunctions(cluster.name(number), cluster.node(number).stores)
    first = functions.has_quorum(cluster.store_id)
    second = functions.has_quorum(cluster.store_id)
    with pytest.raises(KhepriTimeoutError):
        first.get(timeout=0)
    assert not second.done()
    cluster.heal()
    second.get(timeout=30)
