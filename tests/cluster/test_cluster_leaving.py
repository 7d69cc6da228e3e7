"""Leaving, removing, handing over, and the last resort."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from khepri.actors.node import Node
from khepri.errors import (
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotAKhepriStoreError,
    NotAMemberError,
    NotDoneError,
)
from khepri.testing.local_cluster import DIRECTORY, LocalCluster
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    PATIENCE_SECONDS,
    Timed,
    Writers,
    await_equal_trees,
    eventually,
    leader_among,
    others,
    role,
    timed,
)


def await_being_left_alone(cluster: LocalCluster, number: int) -> None:
    """Wait until a removed member has been told so and hears no leader any more."""

    def knows() -> bool:
        status = cluster.manager(number).status(cluster.store_id)
        return status.leader is None and status.server_id not in status.members

    eventually(knows, "the news of the removal")


# --- reset


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_m14_l07_reset_leaves_the_cluster_and_the_others_go_on(who: str) -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        leaver = leader if who == "leader" else others(cluster, leader)[0]
        rest = others(cluster, leaver)
        with Writers(cluster, rest) as writers:
            writers.await_progress(50)
            cluster.manager(leaver).reset(cluster.store_id, 10)
            writers.await_progress(100)
        assert not writers.failures
        # The others do not wait for an election timeout.
        assert writers.longest_stall_seconds() < 1.0
        manager = cluster.manager(leaver)
        assert manager.get_store_ids() == []
        with pytest.raises(NoSuchServerError):
            cluster.store(leaver).put("/a", 1)
        with pytest.raises(NotAKhepriStoreError):
            manager.reset(cluster.store_id)
        assert cluster.manager(rest[0]).nodes(cluster.store_id) == [
            cluster.name(number) for number in rest
        ]
        # Started again it is empty and alone, and may join again.
        manager.start(DIRECTORY, cluster.store_id)
        assert cluster.store(leaver).is_empty()
        manager.join(cluster.name(rest[0]), cluster.store_id, 10)
        writers.check(await_equal_trees(cluster))


def test_m18_two_members_leave_one_after_the_other_and_the_last_is_alone() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/a", 1)
        for _ in range(2):
            leader = leader_among(cluster, cluster.running())
            cluster.manager(leader).reset(cluster.store_id, 10)
            cluster.stop_node(leader)
            (rest) = cluster.running()
            leader_among(cluster, rest)
            cluster.store(rest[0]).put("/a", 2)
        last = cluster.running()[0]
        assert cluster.manager(last).nodes(cluster.store_id) == [cluster.name(last)]
        cluster.manager(last).reset(cluster.store_id, 10)
        cluster.manager(last).start(DIRECTORY, cluster.store_id)
        assert cluster.store(last).is_empty()


def test_m19_two_members_leave_at_once() -> None:
    with LocalCluster(5) as cluster:
        leader = leader_among(cluster, range(5))
        first, second, *_ = others(cluster, leader)
        errors: list[BaseException] = []

        def leave(number: int) -> None:
            try:
                cluster.manager(number).reset(cluster.store_id, 15)
            except KhepriError as error:
                errors.append(error)

        threads = [threading.Thread(target=leave, args=(number,)) for number in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not errors
        assert len(cluster.manager(leader).members(cluster.store_id)) == 3


def test_l06_a_reset_without_a_majority_times_out_and_the_member_stays_one() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/a", 1)
        await_equal_trees(cluster)
        number = others(cluster, leader_among(cluster, range(3)))[0]
        cluster.partition([number], others(cluster, number))
        outcome = timed(lambda: cluster.manager(number).reset(cluster.store_id, 0.5))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert outcome.seconds < 0.5 + GRACE_SECONDS
        assert cluster.store(number).get("/a") == 1
        cluster.heal()
        assert len(cluster.manager(number).members(cluster.store_id)) == 3
        cluster.store(number).put("/a", 2)


@pytest.mark.parametrize("function", ["reset", "transfer_leadership"])
def test_who_waits_for_a_cluster_hears_that_the_local_store_was_stopped(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_asked = threading.Event()
    call = Node.call

    def noted(node: Node, *arguments: Any) -> Any:
        has_asked.set()
        return call(node, *arguments)

    with LocalCluster(3) as cluster:
        number = others(cluster, leader_among(cluster, range(3)))[0]
        cluster.partition([number], others(cluster, number))
        manager = cluster.manager(number)
        outcomes: list[Timed] = []
        wait_in_vain = partial(getattr(manager, function), store_id=cluster.store_id, timeout=25)
        waiter = threading.Thread(target=lambda: outcomes.append(timed(wait_in_vain)))
        monkeypatch.setattr(Node, "call", noted)
        waiter.start()
        assert has_asked.wait(PATIENCE_SECONDS)
        manager.stop(cluster.store_id)
        waiter.join(PATIENCE_SECONDS)
        assert isinstance(outcomes[0].error, NoSuchServerError)


# --- remove_member


def test_a_dead_member_is_removed_and_the_majority_is_smaller() -> None:
    with LocalCluster(3) as cluster:
        dead = others(cluster, leader_among(cluster, range(3)))[0]
        cluster.kill(dead)
        manager = cluster.manager(others(cluster)[0])
        manager.remove_member(cluster.name(dead), cluster.store_id, 10)
        with pytest.raises(NotAMemberError) as told:
            manager.remove_member(cluster.name(dead), cluster.store_id, 10)
        assert told.value.members == manager.nodes(cluster.store_id)
        assert len(manager.members(cluster.store_id)) == 2
        # M13: it comes back, is none, and disturbs nobody.
        term = manager.status(cluster.store_id).term
        cluster.restart(dead)
        await_being_left_alone(cluster, dead)
        outcome = timed(lambda: cluster.store(dead).put("/a", 1, timeout=0.5))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert manager.status(cluster.store_id).term == term
        cluster.manager(dead).join(manager.nodes(cluster.store_id)[0], cluster.store_id, 10)
        await_equal_trees(cluster)


def remove_a_dead_member(cluster: LocalCluster) -> tuple[int, list[int]]:
    """Put 1 to /a, then kill a follower and remove it; give it, and the others."""
    victim = others(cluster, leader_among(cluster, range(3)))[0]
    rest = others(cluster, victim)
    cluster.store(0).put("/a", 1)
    cluster.kill(victim)
    cluster.manager(rest[0]).remove_member(cluster.name(victim), cluster.store_id, 10)
    return victim, rest


def test_l08_a_removed_member_with_its_old_data_joins_as_another_one() -> None:
    with LocalCluster(3) as cluster:
        victim, rest = remove_a_dead_member(cluster)
        cluster.store(rest[0]).put("/a", 2)
        cluster.restart(victim)
        assert cluster.store(victim).get_or("/a", None) in {None, 1}
        cluster.manager(victim).join(cluster.name(rest[1]), cluster.store_id, 10)
        assert cluster.store(victim).get("/a") == 2
        await_equal_trees(cluster)


@pytest.mark.parametrize("was_told", [True, False])
def test_a_removed_member_can_be_reset_and_begins_anew(was_told: bool) -> None:
    with LocalCluster(3) as cluster:
        victim, rest = remove_a_dead_member(cluster)
        cluster.restart(victim)
        if was_told:
            await_being_left_alone(cluster, victim)
        manager = cluster.manager(victim)
        manager.reset(cluster.store_id, 10)
        manager.start(DIRECTORY, cluster.store_id)
        assert not cluster.store(victim).exists("/a")
        assert len(cluster.manager(rest[0]).members(cluster.store_id)) == 2


def test_the_last_member_cannot_be_removed() -> None:
    with LocalCluster(1) as cluster:
        with pytest.raises(NotDoneError):
            cluster.manager(0).remove_member(cluster.name(0), cluster.store_id, 5)
        cluster.store(0).put("/a", 1)


# --- transfer_leadership


def test_t01_t07_leadership_goes_where_it_is_sent_under_writes() -> None:
    with LocalCluster(3) as cluster:
        with Writers(cluster, range(3)) as writers:
            for target in (1, 2, 0, 2, 1):
                writers.await_progress(40)
                asked = (target + 1) % 3
                cluster.manager(asked).transfer_leadership(
                    cluster.name(target), cluster.store_id, 10
                )
                assert leader_among(cluster, range(3)) == target
            writers.await_progress(40)
        assert not writers.failures
        assert writers.longest_stall_seconds() < 1.0
        writers.check(await_equal_trees(cluster))


def test_t01_leadership_goes_to_the_best_when_nobody_is_named() -> None:
    with LocalCluster(3) as cluster:
        before = leader_among(cluster, range(3))
        cluster.manager(before).transfer_leadership(store_id=cluster.store_id, timeout=10)
        assert leader_among(cluster, range(3)) != before


def test_t03_to_itself_to_nobody_and_to_the_dead() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        manager = cluster.manager(leader)
        manager.transfer_leadership(cluster.name(leader), cluster.store_id, 5)
        assert role(cluster, leader) == "leader"
        with pytest.raises(NotDoneError):
            manager.transfer_leadership("nobody", cluster.store_id, 5)
        dead = others(cluster, leader)[0]
        cluster.kill(dead)
        # The leader takes no commands while it tries, so it must not try again and again.
        outcome = timed(
            lambda: manager.transfer_leadership(cluster.name(dead), cluster.store_id, 20)
        )
        assert isinstance(outcome.error, NotDoneError)
        assert outcome.error.reason == "transfer_timed_out"
        assert outcome.seconds < 3.0
        # It goes on leading and takes writes again.
        cluster.store(leader).put("/a", 1)
        assert role(cluster, leader) == "leader"


def test_t04_two_members_hand_over() -> None:
    with LocalCluster(2) as cluster:
        for target in (1, 0, 1):
            cluster.manager(0).transfer_leadership(cluster.name(target), cluster.store_id, 5)
            assert leader_among(cluster, range(2)) == target
            cluster.store(1 - target).put("/a", target)


def test_e22_a_leader_that_is_stopped_in_order_hands_over() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        with Writers(cluster, others(cluster, leader)) as writers:
            writers.await_progress(50)
            cluster.stop_node(leader)
            writers.await_progress(100)
        assert not writers.failures
        assert writers.longest_stall_seconds() < 0.6
        cluster.restart(leader)
        writers.check(await_equal_trees(cluster))


# --- force_single_member


@pytest.mark.parametrize("was_leader", [True, False])
def test_m23_the_survivor_of_a_lost_majority_goes_on_alone(was_leader: bool) -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        survivor = leader if was_leader else others(cluster, leader)[0]
        cluster.store(survivor).put("/a", 1)
        await_equal_trees(cluster)
        lost = others(cluster, survivor)
        for number in lost:
            cluster.kill(number)
        manager = cluster.manager(survivor)
        manager.force_single_member(cluster.store_id, 5)
        assert manager.nodes(cluster.store_id) == [cluster.name(survivor)]
        cluster.store(survivor).put("/a", 2)
        assert cluster.store(survivor).get("/a", favor="consistency") == 2
        # New members take the place of the lost ones.
        for number in lost:
            cluster.lose_disk(number)
            cluster.restart(number)
            cluster.manager(number).join(cluster.name(survivor), cluster.store_id, 10)
        assert len(manager.members(cluster.store_id)) == 3
        await_equal_trees(cluster)


def test_m23_an_old_member_that_returns_after_the_force_is_not_heard() -> None:
    with LocalCluster(3) as cluster:
        survivor = leader_among(cluster, range(3))
        cluster.store(survivor).put("/a", 1)
        await_equal_trees(cluster)
        first, second = others(cluster, survivor)
        cluster.kill(first)
        cluster.kill(second)
        cluster.manager(survivor).force_single_member(cluster.store_id, 5)
        cluster.store(survivor).put("/a", 2)
        cluster.restart(first)
        await_being_left_alone(cluster, first)
        outcome = timed(lambda: cluster.store(first).put("/a", 3, timeout=0.5))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert cluster.store(survivor).get("/a", favor="consistency") == 2
        assert len(cluster.manager(survivor).members(cluster.store_id)) == 1


# --- growing and shrinking


def test_m22_from_one_to_seven_and_back_under_load() -> None:
    numbers = range(1, 7)
    with LocalCluster(7) as cluster:
        with Writers(cluster, [0], per_node=3) as writers:
            for number in numbers:
                writers.await_progress(20)
                cluster.manager(number).reset(cluster.store_id, 15)
            assert cluster.manager(0).nodes(cluster.store_id) == ["node0"]
            for number in numbers:
                writers.await_progress(20)
                cluster.manager(number).start(DIRECTORY, cluster.store_id)
                cluster.manager(number).join("node0", cluster.store_id, 15)
            writers.await_progress(20)
        assert not writers.failures
        assert writers.longest_stall_seconds() < 1.5
        writers.check(await_equal_trees(cluster))


def test_members_on_other_nodes_are_not_touched_by_a_stop() -> None:
    with LocalCluster(3) as cluster:
        number = others(cluster, leader_among(cluster, range(3)))[0]
        cluster.manager(number).stop(cluster.store_id)
        cluster.manager(number).stop(cluster.store_id)
        rest = others(cluster, number)
        cluster.store(rest[0]).put("/a", 1)
        assert len(cluster.manager(rest[0]).members(cluster.store_id)) == 3
        cluster.manager(number).start(DIRECTORY, cluster.store_id)
        eventually(lambda: cluster.store(number).get_or("/a", None) == 1, "catching up")


def test_a_leader_that_lost_its_disk_does_not_speak_for_the_cluster() -> None:
    """It leads a cluster of its own by then, and knows nobody else."""
    with LocalCluster(5) as cluster:
        leader = leader_among(cluster, range(5))
        leaves, stays = others(cluster, leader)[:2]
        cluster.kill(leader)
        cluster.lose_disk(leader)
        cluster.restart(leader)
        cluster.manager(leaves).reset(cluster.store_id, 20)
        assert cluster.name(leaves) not in cluster.manager(stays).nodes(cluster.store_id, 20)


def test_who_joined_and_has_not_heard_that_it_is_a_member_is_one_until_the_others_let_it_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by chance: they made a voter of it while it was being deleted, and had no majority."""
    with LocalCluster(2) as cluster:
        first, second = cluster.manager(0), cluster.manager(1)
        second.reset(cluster.store_id, 20)
        second.start(DIRECTORY, cluster.store_id, 20)
        node = cluster.node(1)
        really_call = node.call

        def deaf_from_its_addition_on(asked: str, function: str, *rest: Any) -> Any:
            if function == "add_member":
                cluster.cut(0, 1)
            return really_call(asked, function, *rest)

        monkeypatch.setattr(node, "call", deaf_from_its_addition_on)
        with pytest.raises(KhepriTimeoutError):
            second.join(cluster.name(0), cluster.store_id, 1.0)
        eventually(lambda: len(first.locally_known_nodes(cluster.store_id)) == 2, "the addition")
        outcome = timed(lambda: second.reset(cluster.store_id, 1.0))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert outcome.seconds < 1.0 + GRACE_SECONDS
        cluster.heal()
        second.reset(cluster.store_id, 20)
        assert first.nodes(cluster.store_id, 20) == [cluster.name(0)]


def test_who_is_left_of_a_cluster_that_is_no_more_can_leave_and_join_another() -> None:
    with LocalCluster(3) as cluster:
        cluster.kill(2)
        cluster.manager(0).remove_member(cluster.name(2), cluster.store_id, 20)
        for number in (1, 0):
            cluster.manager(number).reset(cluster.store_id, 20)
            cluster.manager(number).start(DIRECTORY, {"cluster_name": cluster.store_id})
        cluster.store(0).put("/new", 1)
        cluster.restart(2)
        cluster.manager(2).join(cluster.name(0), cluster.store_id, 20)
        assert cluster.store(2).get("/new") == 1
