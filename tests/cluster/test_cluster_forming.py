"""Nodes that join are one store: every member takes reads and writes."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from khepri.actors.access import StoreAccess
from khepri.actors.node import Node
from khepri.asking import ping
from khepri.calls import Deadline
from khepri.errors import (
    InvalidOptionError,
    JoinError,
    KhepriTimeoutError,
    MisuseError,
    NoSuchServerError,
    WrongTypeError,
)
from khepri.log.shared_file_system import SharedFile, SharedFileSystem
from khepri.management import ClusterManager
from khepri.raft.types import ServerId
from khepri.store import Store
from khepri.testing.local_cluster import DIRECTORY, LocalCluster
from khepri.transport.interface import Message as Parcel
from khepri.transport.memory_network import MemoryNetwork
from khepri.transport.memory_transport import MemoryTransport
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    await_equal_trees,
    eventually,
    leader_among,
    others,
    role,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.transport.interface import OnFailure, Receiver

Transport = Literal["memory", "zmq"]


@pytest.mark.parametrize("transport", ["memory", "zmq"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_write_through_every_member_is_there_at_once_and_soon_everywhere(
    size: int, transport: Transport
) -> None:
    with LocalCluster(size, transport=transport) as cluster:
        for writer in range(size):
            store = cluster.store(writer)
            store.put(f"/by/{writer}", writer)
            assert store.get(f"/by/{writer}") == writer
            assert store.exists(f"/by/{writer}")
            for reader in range(size):
                found = cluster.store(reader).get(f"/by/{writer}", favor="consistency")
                assert found == writer
        await_equal_trees(cluster)


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_all_members_are_voters_and_know_each_other(transport: Transport) -> None:
    with LocalCluster(3, transport=transport) as cluster:
        names = sorted(cluster.name(number) for number in range(3))
        for number in range(3):
            manager = cluster.manager(number)
            manager.wait_for_leader(cluster.store_id, 5)
            assert manager.nodes(cluster.store_id) == names
            assert manager.nodes(cluster.store_id, favor="low_latency") == names
            assert manager.locally_known_nodes(cluster.store_id) == names
            assert manager.members(cluster.store_id) == [
                ServerId(cluster.store_id, name) for name in names
            ]
            assert manager.locally_known_members(cluster.store_id) == manager.members(
                cluster.store_id
            )
        assert [role(cluster, number) for number in range(3)].count("leader") == 1


def test_the_leader_tells_how_far_the_others_are() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        dead, follower = others(cluster, leader)
        manager = cluster.manager(leader)
        cluster.kill(dead)
        cluster.store(leader).put("/a", 1)

        def told() -> bool:
            status = manager.status(cluster.store_id)
            known = {peer.server_id.node: peer for peer in status.peers}
            there, lost = known[cluster.name(follower)], known[cluster.name(dead)]
            assert {peer.kind for peer in status.peers} == {"voter"}
            return (
                there.is_reachable
                and not lost.is_reachable
                and there.match_index == status.last_index > lost.match_index
            )

        eventually(told, "the silence of the dead member")
        assert cluster.manager(follower).status(cluster.store_id).peers == ()


def test_the_leader_of_a_cluster_is_one_that_runs() -> None:
    with LocalCluster(3) as cluster:
        old = cluster.leader()
        cluster.kill(old)
        new = cluster.leader()
        assert new != old
        assert role(cluster, new) == "leader"


def test_a_leader_is_waited_for_at_the_member_that_is_named() -> None:
    with LocalCluster(3) as cluster:
        leader_among(cluster, range(3))
        member = ServerId(cluster.store_id, cluster.name(2))
        cluster.manager(0).wait_for_leader(member, 10)
        cluster.partition([2], [0, 1])
        cluster.manager(0).wait_for_leader(cluster.store_id, 10)
        outcome = timed(lambda: cluster.manager(0).wait_for_leader(member, 1.0))
        assert isinstance(outcome.error, KhepriTimeoutError | JoinError)
        assert outcome.seconds < 1.0 + GRACE_SECONDS


def test_a_stopped_member_is_a_member_and_a_third_favor_is_misuse() -> None:
    with LocalCluster(3) as cluster:
        cluster.stop_node(2)
        manager = cluster.manager(0)
        assert len(manager.members(cluster.store_id)) == 3
        with pytest.raises(InvalidOptionError):
            manager.members(cluster.store_id, favor="best")  # type: ignore[arg-type]
        with pytest.raises(NoSuchServerError):
            manager.members("elsewhere")
        with pytest.raises(NoSuchServerError):
            manager.wait_for_leader("elsewhere", 1)


@pytest.mark.parametrize("size", [0, -1, True, "3"])
def test_a_local_cluster_has_a_number_of_nodes(size: Any) -> None:
    with pytest.raises(InvalidOptionError, match="nodes"):
        LocalCluster(size)
    with pytest.raises(InvalidOptionError, match="carrier pigeon"):
        LocalCluster(3, transport=cast("Any", "carrier pigeon"))


def test_a_local_cluster_refuses_what_its_nodes_are_not_fit_for() -> None:
    with LocalCluster(2) as cluster:
        cluster.kill(1)
        calls: list[Callable[[], object]] = [
            *(partial(call, 2) for call in (cluster.name, cluster.store, cluster.manager)),
            *(partial(call, -1) for call in (cluster.pause, cluster.kill, cluster.restart)),
            *(partial(call, 1) for call in (cluster.node, cluster.kill, cluster.stop_node)),
            *(partial(call, 0) for call in (cluster.restart, cluster.lose_disk)),
            partial(cluster.partition, [0], [2]),
            partial(cluster.cut, 0, 2),
        ]
        for call in calls:
            with pytest.raises(InvalidOptionError, match="node "):
                call()
        assert cluster.running() == [0]
        cluster.restart(1)
        cluster.store(0).put("/a", 1)


def test_a_local_cluster_is_formed_once_and_nobody_leads_where_nobody_runs() -> None:
    cluster = LocalCluster(1)
    with pytest.raises(InvalidOptionError, match="no node runs"):
        cluster.leader()
    with cluster:
        assert cluster.leader() == 0
    with pytest.raises(MisuseError, match="formed once"):
        cluster.__enter__()


def test_a02_a_call_to_a_follower_is_done_once_through_the_leader() -> None:
    with LocalCluster(3) as cluster:
        follower = others(cluster, cluster.leader())[0]
        for value in range(1, 101):
            cluster.store(follower).put("/count", value)
        properties = cluster.store(follower).adv.get("/count")
        assert (properties["data"], properties["payload_version"]) == (100, 100)


def test_a04_pipelined_writes_of_a_follower_are_applied_in_their_order_each_once() -> None:
    count = 5_000
    with LocalCluster(3) as cluster:
        store = cluster.store(others(cluster, cluster.leader())[0])
        futures = [store.put("/last", value, async_=True) for value in range(count)]
        for future in futures:
            future.get(timeout=30)
        properties = store.adv.get("/last")
        assert (properties["data"], properties["payload_version"]) == (count - 1, count)
        await_equal_trees(cluster)


def test_l04_a_restart_with_other_settings_keeps_the_data_and_takes_the_settings() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/a", 1)
        number = others(cluster, cluster.leader())[0]
        manager = cluster.manager(number)
        manager.stop(cluster.store_id)
        manager.stop(cluster.store_id)
        settings = {"cluster_name": cluster.store_id, "snapshot_entries": 7}
        manager.start(DIRECTORY, settings)
        assert cluster.node(number).store_setup(cluster.store_id)[1].config.snapshot_entries == 7
        assert cluster.store(number).get("/a", favor="consistency") == 1


def test_a17_every_member_learns_who_leads_and_that_it_changed() -> None:
    with LocalCluster(3) as cluster:
        for target in (1, 2, 0):
            cluster.manager(0).transfer_leadership(cluster.name(target), cluster.store_id)
            assert leader_among(cluster, range(3)) == target

            def all_caches_know(target: int = target) -> bool:
                views = [cluster.node(n).access(cluster.store_id).membership for n in range(3)]
                return all(
                    view is not None
                    and view.leader is not None
                    and view.leader.node == cluster.name(target)
                    for view in views
                )

            eventually(all_caches_know, "the leader in every cache")
            cluster.store(1).put("/a", target)


class Nodes:
    """Bare nodes on one network, for clusters that `LocalCluster` does not form."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.nodes: dict[str, Node] = {}

    def start(self, name: str, *store_ids: str) -> ClusterManager:
        node = Node(name, file_system=SharedFileSystem(), make_transport=self._make_transport)
        node.start()
        self.nodes[name] = node
        manager = ClusterManager(node)
        for store_id in store_ids:
            manager.start("/data", store_id)
        return manager

    def store(self, name: str, store_id: str) -> Store:
        return Store(store_id, self.nodes[name])

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop(hands_over=False)

    def _make_transport(
        self, name: str, incarnation: bytes, receiver: Receiver, on_failure: OnFailure
    ) -> MemoryTransport:
        return MemoryTransport(self.network, name, incarnation, receiver, on_failure=on_failure)


def test_several_stores_on_the_same_nodes_have_leaders_of_their_own() -> None:
    nodes = Nodes()
    try:
        names = ("a", "b", "c")
        managers = {name: nodes.start(name, "s-a", "s-b", "s-c") for name in names}
        for store_id in ("s-a", "s-b", "s-c"):
            managers["b"].join("a", store_id, 10)
            managers["c"].join("a", store_id, 10)
        for name in names:
            managers["a"].transfer_leadership(name, f"s-{name}", 10)
        for name in names:
            for writer in names:
                nodes.store(writer, f"s-{name}").put(f"/from/{writer}", name)
        for name in names:
            leader = managers[name].status(f"s-{name}").leader
            assert leader is not None
            assert leader.node == name
            for reader in names:
                store = nodes.store(reader, f"s-{name}")
                assert set(store.get_many("/from/*", favor="consistency").values()) == {name}
        # One store in the minority does not hold up another one.
        managers["a"].reset("s-b", 10)
        assert managers["b"].nodes("s-b") == ["b", "c"]
        assert managers["b"].nodes("s-a") == ["a", "b", "c"]
    finally:
        nodes.stop()


def test_m24_clusters_of_the_same_store_id_do_not_hear_each_other() -> None:
    nodes = Nodes()
    try:
        managers = {name: nodes.start(name, "same") for name in ("a", "b", "c", "d")}
        managers["b"].join("a", "same", 10)
        managers["d"].join("c", "same", 10)
        nodes.store("a", "same").put("/who", "first")
        nodes.store("c", "same").put("/who", "second")
        # A wrong address book: c believes that it is to talk to a. Its messages name the cluster.
        before = managers["a"].status("same")
        access = nodes.nodes["c"].access("same")
        for _ in range(100):
            parcel = Parcel(access.cluster_id, "same", 1, b"\x93\xa0\xa0\x90")
            nodes.nodes["c"].transport.send("a", [parcel])

        def dropped() -> int:
            counters = nodes.nodes["a"].transport.counters.snapshot()
            return counters.get("dropped_wrong_cluster", 0)

        eventually(lambda: dropped() == 100, "a hundred drops")
        after = managers["a"].status("same")
        assert (after.term, after.leader, after.members) == (
            before.term,
            before.leader,
            before.members,
        )
        assert nodes.store("b", "same").get("/who", favor="consistency") == "first"
        assert nodes.store("d", "same").get("/who", favor="consistency") == "second"
    finally:
        nodes.stop()


def let_the_cache_know_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is when the server has started, and the cache has not had its turn yet."""

    def nobody(_access: StoreAccess) -> tuple[()]:
        return ()

    monkeypatch.setattr(StoreAccess, "known_members", nobody)


def test_a_lone_store_that_starts_again_is_complete_though_the_cache_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(1) as cluster:
        cluster.store(0).put("/a", 1)
        cluster.kill(0)
        let_the_cache_know_nothing(monkeypatch)
        sync = SharedFile.fdatasync

        def slow_sync(file: SharedFile) -> None:
            threading.Event().wait(0.05)
            sync(file)

        monkeypatch.setattr(SharedFile, "fdatasync", slow_sync)
        cluster.restart(0)
        assert cluster.store(0).get("/a") == 1


def test_a_reset_leaves_the_cluster_though_the_cache_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(3) as cluster:
        let_the_cache_know_nothing(monkeypatch)
        cluster.manager(1).reset(cluster.store_id, 10)
        assert cluster.manager(0).nodes(cluster.store_id) == ["node0", "node2"]


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_what_is_no_name_of_a_node_is_refused_and_harms_nothing(transport: Transport) -> None:
    with LocalCluster(2, transport=transport) as cluster:
        manager, node = cluster.manager(0), cluster.node(0)
        wrong: list[Any] = [manager.members(cluster.store_id)[1], 5, b"node1", None]
        for each in wrong * 3:  # more often than a supervisor puts up with
            with pytest.raises(WrongTypeError, match="name"):
                ping(node, each, Deadline(1))
            with pytest.raises(WrongTypeError, match="name"):
                manager.wait_for_leader(ServerId(cluster.store_id, each), 1)
        if transport == "zmq":
            with pytest.raises(InvalidOptionError, match="name@host:port"):
                ping(node, "zed", Deadline(1))
            with pytest.raises(InvalidOptionError, match="name@host:port"):
                manager.join("zed", cluster.store_id, 5)
        assert ping(node, cluster.name(1), Deadline(5))
        cluster.store(0).put("/a", 1)


def test_the_facts_of_an_error_from_elsewhere_are_there() -> None:
    with LocalCluster(2) as cluster:
        cluster.manager(1).reset(cluster.store_id)
        with pytest.raises(NoSuchServerError) as raised:
            cluster.manager(0).join(cluster.name(1), cluster.store_id, 2)
        assert raised.value.reason is None
