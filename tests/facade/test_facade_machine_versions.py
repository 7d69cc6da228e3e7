"""Rolling upgrades: members of two releases make one tree, and go over to the new one together.

The new release of these tests has one command more. Which release a member is of is decided when
it is started.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors.server_messages import TakeSnapshotNow
from khepri.calls import call
from khepri.errors import (
    CommandFailedError,
    InvalidOptionError,
    JoinError,
    KhepriTimeoutError,
    UnknownFormatError,
    WrongTypeError,
)
from khepri.machine import machine_version
from khepri.machine.commands import encode
from khepri.machine.operations import OPERATIONS
from khepri.machine.replies import raise_or_return, value_reply
from khepri.testing import LocalCluster
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from khepri.machine.edit import Edit
    from khepri.machine.replies import Reply

_NEW_COMMAND = 99


def _new_operation(edit: Edit) -> Reply:
    del edit
    return value_reply(["done"])


class Releases:
    """Says of which release a node is that is started now."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setitem(machine_version.SINCE, _NEW_COMMAND, 2)
        patch.setitem(OPERATIONS, _NEW_COMMAND, _new_operation)

    def use(self, version: int) -> None:
        self._patch.setattr(machine_version, "MACHINE_VERSION", version)


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Releases:
    return Releases(monkeypatch)


def use_new_command(store: khepri.Store) -> Any:
    command = encode([_NEW_COMMAND])
    node = store._node
    assert node is not None
    return call(node, store.store_id, command, raise_or_return, 20)


def upgrade(cluster: LocalCluster, number: int) -> None:
    cluster.stop_node(number)
    cluster.restart(number)
    cluster.leader()


def test_x10_a_rolling_upgrade_under_load_loses_nothing_and_ends_with_the_new_version(
    releases: Releases,
) -> None:
    with LocalCluster(3) as cluster:
        written: list[int] = []
        is_over = threading.Event()

        def write() -> None:
            number = 0
            while not is_over.is_set():
                store = cluster.store(cluster.running()[0])
                try:
                    store.put(["n", str(number)], number, timeout=20)
                except khepri.KhepriError:
                    continue  # its node was just being stopped
                written.append(number)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in (2, 1, 0):
                with pytest.raises(CommandFailedError, match="unknown command"):
                    use_new_command(cluster.store(cluster.leader()))
                assert cluster.manager(number).status().machine_version == 1
                releases.use(2)
                upgrade(cluster, number)
            for number in range(3):
                cluster.manager(number).wait_for_effective_machine_version(2, timeout=20)
        finally:
            is_over.set()
            writer.join()
        for number in range(3):
            store = cluster.store(number)
            store.fence(timeout=20)
            assert store.count("/n/*") >= len(written) > 0
            assert use_new_command(store) == ["done"]
            assert cluster.manager(number).status().machine_version == 2


def test_a_member_that_holds_an_upgrade_up_is_named(releases: Releases) -> None:
    with LocalCluster(3) as cluster:
        old = cluster.leader()
        releases.use(2)
        for number in set(range(3)) - {old}:
            upgrade(cluster, number)
        with pytest.raises(KhepriTimeoutError, match="not all members are known to run a release"):
            cluster.manager(next(iter(set(range(3)) - {old}))).wait_for_effective_machine_version(
                timeout=0.3
            )
        leader = cluster.manager(cluster.leader())
        eventually(lambda: all(peer.machine_version for peer in leader.status().peers))
        known = {peer.server_id.node: peer.machine_version for peer in leader.status().peers}
        known[cluster.name(cluster.leader())] = 1 if cluster.leader() == old else 2
        assert known[cluster.name(old)] == 1
        assert sorted(known.values()) == [1, 2, 2]
        # It is done without the old one as soon as that is no member.
        others = sorted(set(range(3)) - {old})
        cluster.kill(old)
        cluster.leader()
        cluster.manager(others[0]).remove_member(cluster.name(old), timeout=20)
        cluster.manager(others[1]).wait_for_effective_machine_version(2, timeout=20)


def test_a_release_that_is_too_old_refuses_the_data_untouched(releases: Releases) -> None:
    releases.use(2)
    with LocalCluster(1) as cluster:
        cluster.store(0).put("/a", 1)
        cluster.manager(0).wait_for_effective_machine_version(2, timeout=20)
        cluster.stop_node(0)
        releases.use(1)
        with pytest.raises(UnknownFormatError, match="machine version 2") as refused:
            cluster.restart(0)
        assert refused.value.facts["version"] == 2
        cluster.stop_node(0)
        releases.use(2)
        cluster.restart(0)
        assert cluster.store(0).get("/a") == 1


def test_a_snapshot_carries_the_version(releases: Releases) -> None:
    releases.use(2)
    with LocalCluster(1) as cluster:
        cluster.manager(0).wait_for_effective_machine_version(2, timeout=20)
        server = cluster.store(0).access.server
        assert server is not None
        server.ask(TakeSnapshotNow(), timeout=20)
        upgrade(cluster, 0)
        assert use_new_command(cluster.store(0)) == ["done"]
        cluster.stop_node(0)
        releases.use(1)
        with pytest.raises(UnknownFormatError, match="machine version 2"):
            cluster.restart(0)


def test_a_node_of_an_old_release_cannot_join_and_keeps_its_data(releases: Releases) -> None:
    releases.use(2)
    with LocalCluster(2) as cluster:
        cluster.manager(0).wait_for_effective_machine_version(2, timeout=20)
        cluster.manager(1).reset(timeout=20)
        cluster.stop_node(1)
        cluster.lose_disk(1)
        releases.use(1)
        cluster.restart(1)
        cluster.store(1).put("/mine", 1)
        with pytest.raises(JoinError, match="machine version 2"):
            cluster.manager(1).join(cluster.name(0), timeout=10)
        assert cluster.store(1).get("/mine") == 1


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (0, InvalidOptionError),
        (2, InvalidOptionError),
        ("1", WrongTypeError),
        (True, WrongTypeError),
    ],
)
def test_an_impossible_version_is_refused(version: Any, error: type[Exception]) -> None:
    with LocalCluster(1) as cluster:
        manager = cluster.manager(0)
        manager.wait_for_effective_machine_version(timeout=5)
        manager.wait_for_effective_machine_version(1, timeout=0)
        with pytest.raises(error, match="version"):
            manager.wait_for_effective_machine_version(version)
