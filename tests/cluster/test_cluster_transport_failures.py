"""The thread of a node's transport ends by a bug: the Router is restarted with another one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import pytest

from khepri.actors.future import KhepriFuture
from khepri.errors import JoinError, KhepriTimeoutError, ServerStoppedError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    PATIENCE_SECONDS,
    Writers,
    actors_of,
    await_equal_trees,
    eventually,
    leader_among,
    others,
)
from tests.transport.transport_helpers import end_by_a_bug

if TYPE_CHECKING:
    from khepri.transport.interface import Transport

TransportName = Literal["memory", "zmq"]


def end_transport(cluster: LocalCluster, number: int) -> Transport:
    """Let a bug end a node's transport, and wait for the next one."""
    before = cluster.node(number).transport
    end_by_a_bug(before)
    eventually(lambda: cluster.node(number).transport is not before, "another transport")
    return before


@pytest.mark.parametrize("on", ["leader", "follower"])
@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_a_transport_ends_under_load_and_nothing_is_lost_or_doubled(
    transport: TransportName, on: str
) -> None:
    with LocalCluster(3, transport=transport) as cluster:
        leader = leader_among(cluster, range(3))
        victim = leader if on == "leader" else others(cluster, leader)[0]
        router = actors_of(cluster, victim)["router"]
        with Writers(cluster, range(3)) as writers:
            writers.await_progress(60)
            before = end_transport(cluster, victim)
            writers.await_progress(100)
        assert router.down.done()
        assert cluster.node(victim).transport.incarnation != before.incarnation
        leader_among(cluster, range(3))
        writers.check(await_equal_trees(cluster))
        cluster.store(victim).put("/through/the/victim", 1)


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_the_transport_of_every_node_ends_in_turn(transport: TransportName) -> None:
    with LocalCluster(3, transport=transport) as cluster, Writers(cluster, range(3)) as writers:
        for number in (0, 1, 2):
            writers.await_progress(30)
            end_transport(cluster, number)
        writers.await_progress(30)
        writers.stop()
        writers.check(await_equal_trees(cluster))


def test_who_waits_for_another_node_is_told_at_once_that_the_transport_has_ended() -> None:
    with LocalCluster(2, transport="zmq") as cluster, ThreadPoolExecutor(1) as pool:
        asked: KhepriFuture[Any] = KhepriFuture()
        never: KhepriFuture[Any] = KhepriFuture()

        def never_answer() -> KhepriFuture[Any]:
            asked.set(None)
            return never

        cluster.node(1).offer({"never": never_answer})
        call = cluster.node(0).call
        waiting = pool.submit(call, cluster.name(1), "never", (), None)
        asked.get(timeout=PATIENCE_SECONDS)
        end_transport(cluster, 0)
        error = waiting.exception(PATIENCE_SECONDS)
        assert isinstance(error, ServerStoppedError)
        assert error.facts["outcome"] == "unknown"
        assert "the transport of" in str(error)


def test_a_transport_that_ends_again_and_again_takes_the_network_down_and_no_store() -> None:
    with LocalCluster(3, transport="zmq") as cluster:
        cluster.store(0).put("/a", 1)
        await_equal_trees(cluster)
        victim = others(cluster, leader_among(cluster, range(3)))[0]
        rest = others(cluster, victim)
        node = cluster.node(victim)
        told: list[str] = []
        node.on_failure = told.append
        network = actors_of(cluster, victim)["network"]
        seen: list[Transport] = []
        while not network.down.done():
            seen.append(node.transport)
            end_by_a_bug(seen[-1])
            eventually(lambda: node.transport is not seen[-1] or network.down.done())

        eventually(lambda: told)  # whoever is told of the end may be told after who asks
        assert len(told) == 1
        with pytest.raises(JoinError, match=r"is down: gave up: .* ended too often"):
            node.call(cluster.name(rest[0]), "ping", (), 5)
        assert cluster.store(victim).get("/a") == 1
        with pytest.raises(KhepriTimeoutError):
            cluster.store(victim).put("/a", 2, timeout=0.5)
        cluster.store(rest[0]).put("/a", 3)
        assert node.registry().is_alive()

        cluster.stop_node(victim)
        cluster.restart(victim)
        leader_among(cluster, range(3))
        cluster.store(victim).put("/b", 1)
        await_equal_trees(cluster)


def test_a_node_that_was_stopped_is_not_started_by_a_call() -> None:
    with LocalCluster(2) as cluster:
        node = cluster.node(0)
        cluster.stop_node(0)
        with pytest.raises(JoinError):
            node.call(cluster.name(1), "ping", (), 5)
