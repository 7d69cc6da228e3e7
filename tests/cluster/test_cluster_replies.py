"""Who answers a write: the member it was given to, once, after it has applied it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.command_pump import CommandPump
from khepri.errors import KhepriTimeoutError, NotAMemberError, WrongTypeError
from khepri.raft.types import ServerId
from khepri.testing.local_cluster import LocalCluster
from khepri.transport.memory_faults import LinkFaults
from tests.cluster.cluster_helpers import (
    QUICK,
    await_equal_trees,
    eventually,
    leader_among,
    others,
)

if TYPE_CHECKING:
    from khepri.machine.sessions import GroupResult


def test_a07_the_reply_comes_from_the_member_that_was_asked_when_it_has_applied_the_write() -> (
    None
):
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        late = others(cluster, leader)[0]
        cluster.network.set_faults(
            LinkFaults(delay_seconds=(0.05, 0.1)),
            sender=cluster.name(leader),
            receiver=cluster.name(late),
        )
        for value in range(4):
            for number in range(3):
                cluster.store(number).put(f"/{number}", value, reply_from="local")
                # Without asking anybody: it is applied here.
                assert cluster.store(number).get(f"/{number}") == value


def test_a07_what_is_no_member_cannot_be_named_and_nothing_is_appended() -> None:
    with LocalCluster(3) as cluster:
        await_equal_trees(cluster)
        before = cluster.manager(0).status(cluster.store_id).last_index
        elsewhere: list[Any] = [
            ("member", cluster.name(1)),
            ServerId(cluster.store_id, "unknown"),
            "unknown",
            17,
        ]
        for reply_from in elsewhere:
            with pytest.raises((WrongTypeError, NotAMemberError)):
                cluster.store(0).put("/a", 1, reply_from=reply_from)
        cluster.store(0).fence()
        assert cluster.manager(0).status(cluster.store_id).last_index == before


def test_a07_a_write_is_applied_though_the_member_that_was_asked_cannot_hear_of_it() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        deaf, witness = others(cluster, leader)
        cluster.store(deaf).put("/before", 1)
        cluster.cut(leader, deaf)
        with pytest.raises(KhepriTimeoutError) as timeout:
            cluster.store(deaf).put("/unknown", 1, timeout=0.3)
        assert timeout.value.facts["outcome"] == "unknown"
        eventually(lambda: cluster.store(witness).exists("/unknown"), "the write elsewhere")
        cluster.heal()
        assert "/unknown" in await_equal_trees(cluster)


def test_a08_a_write_has_its_effect_once_where_it_was_sent_and_none_at_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Replies are the only effects that the machine has; triggers will have theirs."""
    given: Counter[CommandPump] = Counter()
    applied, seen = CommandPump.applied, Counter[CommandPump]()

    def count(pump: CommandPump, result: GroupResult, now: float) -> list[Any]:
        replies = applied(pump, result, now)
        seen[pump] += len(result.replies)
        given[pump] += len(replies)
        return replies

    monkeypatch.setattr(CommandPump, "applied", count)
    with LocalCluster(3, config=QUICK) as cluster:
        leader = leader_among(cluster, range(3))
        store = cluster.store(others(cluster, leader)[0])
        for value in range(20):
            store.put("/a", value)
        await_equal_trees(cluster)
        assert sorted(given[pump] for pump in seen) == [0, 0, 20]
        assert min(seen.values()) >= 20
        cluster.stop()
        seen.clear()
        for number in range(3):
            cluster.restart(number)
        await_equal_trees(cluster)
        assert sum(seen.values()) >= 60, "nothing was replayed"
        assert sum(given.values()) == 20
