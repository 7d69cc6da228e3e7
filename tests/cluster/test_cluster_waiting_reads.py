"""A read that waits for a leader gets an answer when its own server ends, whoever waits how."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from khepri import aio
from khepri.actors.server_messages import ConsistentRead
from khepri.errors import ServerStoppedError
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, eventually, others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.actors.reference import ActorReference


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2, config={"read_leases": False}) as cluster:
        yield cluster


def cut_off(cluster: LocalCluster) -> tuple[int, ActorReference]:
    """Give a follower that hears its leader no more."""
    (number,) = others(cluster, cluster.leader())
    cluster.partition([0], [1])
    server = cluster.node(number).access(cluster.store_id).server
    assert server is not None
    return number, server


def is_asked(server: ActorReference) -> bool:
    core: Any = server._actor_weakref()
    return bool(core._core.tickets())


@pytest.mark.parametrize("way", ["stop", "crash"])
def test_the_callback_of_a_waiting_read_is_called_when_its_server_ends(
    cluster: LocalCluster, way: str
) -> None:
    number, server = cut_off(cluster)
    future = server.request(ConsistentRead())
    eventually(lambda: is_asked(server), "that the read waits in the core")
    if way == "stop":
        cluster.node(number).stop_store(cluster.store_id)
    else:
        server.cast(object())
    server.down.get(timeout=PATIENCE_SECONDS)
    eventually(future.done, "the answer")
    with pytest.raises(ServerStoppedError):
        future.get(timeout=0)


def test_a_task_that_waits_for_ever_ends_when_the_store_is_stopped(cluster: LocalCluster) -> None:
    number, server = cut_off(cluster)
    node = cluster.node(number)

    async def read_until_the_stop() -> None:
        store = aio.Store(cluster.store_id, node)
        task = asyncio.create_task(store.exists("/a", favor="consistency", timeout=None))
        await asyncio.to_thread(eventually, lambda: is_asked(server), "that the read waits")
        await asyncio.to_thread(node.stop_store, cluster.store_id)
        with pytest.raises(ServerStoppedError):
            await asyncio.wait_for(task, PATIENCE_SECONDS)

    asyncio.run(read_until_the_stop())
