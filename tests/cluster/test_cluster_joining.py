"""Join: every step, every error, repeated and at the same time (spec §1.4)."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest

from khepri import membership
from khepri.asking import ask_cluster, cluster_of, remove
from khepri.calls import Deadline
from khepri.errors import (
    JoinError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotAKhepriStoreError,
    NotDoneError,
    ServerStoppedError,
)
from khepri.raft.types import MemberKind, ServerId
from khepri.testing.local_cluster import DIRECTORY, LocalCluster
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    Writers,
    await_equal_trees,
    eventually,
    leader_among,
    others,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.node import Node


class Apart(LocalCluster):
    """Nodes with one store each, which nobody has joined yet."""

    def _form(self) -> None:
        for number in range(len(self)):
            self.restart(number)

    def __enter__(self) -> Self:
        try:
            self._form()
        except BaseException:
            self.stop()
            raise
        return self

    def join(self, number: int, remote: int, timeout: float = 20.0) -> None:
        self.manager(number).join(self.name(remote), self.store_id, timeout)


def at_once(*functions: Callable[[], object]) -> list[BaseException | None]:
    """Run functions in threads of their own; give what each raised."""
    raised: list[BaseException | None] = [None] * len(functions)

    def run(position: int) -> None:
        try:
            functions[position]()
        except KhepriError as error:
            raised[position] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return raised


def kinds(cluster: LocalCluster, number: int) -> dict[str, MemberKind]:
    """Give how a member takes part, as one node's core has it."""
    access = cluster.node(number).access(cluster.store_id)
    assert access.server is not None
    actor = access.server._actor_weakref()
    assert actor is not None
    return {m.server_id.node: m.kind for m in actor._core.configuration.members}


def test_who_joins_gives_up_its_data_and_has_the_clusters() -> None:
    with Apart(2) as cluster:
        cluster.store(0).put("/of/the/cluster", 1)
        cluster.store(1).put("/of/the/newcomer", 1)
        cluster.join(1, 0)
        # When join returns everything that was there is readable here, without asking anybody.
        assert cluster.store(1).get("/of/the/cluster") == 1
        assert not cluster.store(1).exists("/of/the/newcomer")
        cluster.store(1).put("/by/the/newcomer", 1)
        assert cluster.store(0).get("/by/the/newcomer", favor="consistency") == 1
        status = cluster.manager(1).status(cluster.store_id)
        assert status.leader == ServerId(cluster.store_id, cluster.name(0))


def test_an_unreachable_node_cannot_be_joined_and_nothing_is_touched() -> None:
    with Apart(2) as cluster:
        cluster.store(1).put("/mine", 1)
        cluster.kill(0)
        outcome = timed(lambda: cluster.join(1, 0, 3.0))
        assert isinstance(outcome.error, JoinError)
        assert outcome.seconds < 3.0 + GRACE_SECONDS
        assert outcome.error.node == cluster.name(0)
        with pytest.raises(JoinError):
            cluster.manager(1).join("nobody", cluster.store_id, 0.3)
        cluster.store(1).put("/mine", 2)
        assert cluster.store(1).get("/mine") == 2


def test_to_join_oneself_does_nothing() -> None:
    with Apart(1) as cluster:
        cluster.store(0).put("/mine", 1)
        cluster.join(0, 0)
        assert cluster.store(0).get("/mine") == 1


def test_a_node_without_that_store_cannot_be_joined_and_nothing_is_touched() -> None:
    with Apart(2) as cluster:
        cluster.store(1).put("/mine", 1)
        cluster.manager(0).stop(cluster.store_id)
        outcome = timed(lambda: cluster.join(1, 0, 2.0))
        assert isinstance(outcome.error, NoSuchServerError)
        assert outcome.seconds < 2.0 + GRACE_SECONDS
        assert cluster.store(1).get("/mine") == 1
        cluster.store(1).put("/mine", 2)


def test_a_store_that_does_not_run_here_cannot_join() -> None:
    with Apart(2) as cluster:
        with pytest.raises(NotAKhepriStoreError):
            cluster.manager(1).join(cluster.name(0), "elsewhere", 2.0)
        cluster.manager(1).stop(cluster.store_id)
        with pytest.raises(NotAKhepriStoreError):
            cluster.join(1, 0, 2.0)


@pytest.mark.parametrize("through", ["leader", "follower", "server id"])
def test_join_through_any_member(through: str) -> None:
    with Apart(3) as cluster:
        cluster.join(1, 0)
        leader = leader_among(cluster, [0, 1])
        remote = leader if through == "leader" else 1 - leader
        if through == "server id":
            member = ServerId(cluster.store_id, cluster.name(remote))
            cluster.manager(2).join(member, timeout=20)
        else:
            cluster.join(2, remote)
        assert cluster.manager(2).nodes(cluster.store_id) == ["node0", "node1", "node2"]
        await_equal_trees(cluster)


def test_join_through_a_minority_times_out_with_the_local_data_intact() -> None:
    with Apart(4) as cluster:
        cluster.join(1, 0)
        cluster.join(2, 0)
        cluster.store(3).put("/mine", 1)
        cluster.partition([0, 1], [2, 3])
        outcome = timed(lambda: cluster.join(3, 2, 0.5))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert outcome.seconds < 0.5 + GRACE_SECONDS
        assert cluster.store(3).get("/mine") == 1
        cluster.store(3).put("/mine", 2)
        cluster.heal()
        cluster.join(3, 2)
        assert len(cluster.manager(3).members(cluster.store_id)) == 4


def test_m12_a_member_joins_again() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/a", 1)
        leader = leader_among(cluster, range(3))
        follower, other = others(cluster, leader)
        for number, remote in ((follower, leader), (follower, other), (leader, follower)):
            cluster.manager(number).join(cluster.name(remote), cluster.store_id, 20)
            assert cluster.store(number).get("/a") == 1
            assert len(cluster.manager(remote).members(cluster.store_id)) == 3
        await_equal_trees(cluster)


def test_a_member_of_a_cluster_joins_another_one_and_leaves_the_first() -> None:
    with Apart(4) as cluster:
        cluster.join(1, 0)
        cluster.join(3, 2)
        cluster.store(0).put("/who", "first")
        cluster.store(2).put("/who", "second")
        cluster.join(1, 2)
        assert cluster.manager(0).nodes(cluster.store_id) == ["node0"]
        assert cluster.manager(1).nodes(cluster.store_id) == ["node1", "node2", "node3"]
        assert cluster.store(1).get("/who") == "second"
        assert cluster.store(0).get("/who") == "first"
        cluster.store(0).put("/who", "alone")


def test_m09_a_newcomer_is_no_voter_before_it_has_caught_up() -> None:
    with Apart(3) as cluster:
        cluster.join(1, 0)
        for value in range(300):
            cluster.store(0).put(f"/many/{value}", value)
        # The newcomer hears nobody: it is added, and cannot catch up.
        cluster.cut(0, 2)
        seen: list[MemberKind] = []
        cluster.network.mend("node0", "node2")
        joining = threading.Thread(target=lambda: cluster.join(2, 0))
        joining.start()

        def is_added() -> bool:
            kind = kinds(cluster, 0).get("node2")
            if kind is not None and (not seen or seen[-1] is not kind):
                seen.append(kind)
            return kind is MemberKind.VOTER

        eventually(is_added, "the promotion")
        joining.join(30)
        assert set(seen) <= {MemberKind.PROMOTABLE, MemberKind.VOTER}
        assert kinds(cluster, 2)["node2"] is MemberKind.VOTER


def test_m10_a_newcomer_that_hears_nobody_is_promoted_by_the_next_leader() -> None:
    with Apart(4) as cluster:
        cluster.join(1, 0)
        cluster.join(2, 0)
        joined = threading.Thread(target=lambda: at_once(lambda: cluster.join(3, 0, 30)))
        # Answers of the leader reach the newcomer's node only until the store is gone there.
        joined.start()
        eventually(lambda: kinds(cluster, 0).get("node3") is not None, "the addition")
        cluster.kill(0)

        def agree() -> bool:
            # On the newcomer itself, if it was promoted before: it may win the election.
            known = {cluster.manager(number).status(cluster.store_id).leader for number in (1, 2)}
            return len(known) == 1 and known.isdisjoint(
                {None, ServerId(cluster.store_id, "node0")}
            )

        eventually(agree, "a next leader")
        eventually(
            lambda: kinds(cluster, 1).get("node3") in {MemberKind.VOTER, None}, "the promotion"
        )
        joined.join(40)
        assert not joined.is_alive()


def test_writes_go_on_while_a_node_joins() -> None:
    with Apart(3) as cluster:
        with Writers(cluster, [0]) as writers:
            writers.await_progress(50)
            cluster.join(1, 0)
            writers.await_progress(50)
            cluster.join(2, 1)
            writers.await_progress(50)
        assert not writers.failures
        assert writers.longest_stall_seconds() < 1.0
        writers.check(await_equal_trees(cluster))


@pytest.mark.parametrize("round_", range(4))
def test_a_node_joins_one_that_is_itself_just_joining(round_: int) -> None:
    del round_
    with Apart(3) as cluster:
        raised = at_once(lambda: cluster.join(2, 1), lambda: cluster.join(1, 0))
        assert raised == [None, None]
        members = cluster.manager(0).nodes(cluster.store_id)
        if len(members) == 3:
            await_equal_trees(cluster)
        else:  # it was joined already, and left that cluster for the other one
            assert members == [cluster.name(0), cluster.name(1)]
            assert cluster.manager(2).nodes(cluster.store_id) == [cluster.name(2)]


def test_a_join_waits_a_moment_for_a_store_that_is_between_two_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really_ask = cluster_of
    asked: list[str] = []

    def ask_too_early(node: Node, store_id: str, remote: str, deadline: Deadline) -> Any:
        asked.append(remote)
        if len(asked) < 3:
            raise NoSuchServerError("deleted, and not started again yet", store_id=store_id)
        return really_ask(node, store_id, remote, deadline)

    with Apart(2) as cluster:
        monkeypatch.setattr(membership, "cluster_of", ask_too_early)
        cluster.join(1, 0)
        assert len(cluster.manager(0).members(cluster.store_id)) == 2
        monkeypatch.setattr(membership, "BETWEEN_LIVES_SECONDS", 0.0)
        asked.clear()
        with pytest.raises(NoSuchServerError):
            cluster.join(1, 0)


def test_when_the_node_that_was_asked_is_gone_another_member_is_asked() -> None:
    with LocalCluster(4) as cluster:
        leader_among(cluster, range(4))
        cluster.kill(1)
        node, deadline = cluster.node(0), Deadline(20.0)
        ask = partial(ask_cluster, node, cluster.store_id, cluster.name(1), "has_quorum", ())
        with pytest.raises((JoinError, ServerStoppedError)):
            ask(deadline)
        ask(deadline, others=[cluster.name(2)])


def test_two_nodes_join_at_once() -> None:
    with Apart(3) as cluster:
        cluster.store(0).put("/a", 1)
        raised = at_once(lambda: cluster.join(1, 0), lambda: cluster.join(2, 0))
        assert raised == [None, None]
        for number in range(3):
            assert len(cluster.manager(number).members(cluster.store_id)) == 3
            assert cluster.store(number).get("/a", favor="consistency") == 1


@pytest.mark.parametrize("round_", range(3))
def test_two_nodes_that_join_each_other_do_not_both_lose_their_data(round_: int) -> None:
    with Apart(2, seed=round_) as cluster:
        cluster.store(0).put("/of/0", 1)
        cluster.store(1).put("/of/1", 1)
        at_once(lambda: cluster.join(0, 1, 0.5), lambda: cluster.join(1, 0, 0.5))
        for number in range(2):
            cluster.manager(number).wait_for_leader(cluster.store_id, 10)
        found = cluster.store(0).get_many("/of/*", favor="consistency", timeout=5)
        assert found


def test_an_interrupted_join_is_simply_repeated() -> None:
    with Apart(3) as cluster:
        cluster.join(1, 0)
        cluster.store(0).put("/a", 1)
        # The budget ends anywhere: before, between and after the steps.
        for milliseconds in (1, 3, 5, 8, 12, 20, 30, 50):
            outcome = timed(partial(cluster.join, 2, 0, milliseconds / 1000))
            assert outcome.seconds < milliseconds / 1000 + GRACE_SECONDS
            assert outcome.error is None or isinstance(
                outcome.error, KhepriTimeoutError | JoinError
            ), outcome
        cluster.join(2, 0)
        assert cluster.store(2).get("/a") == 1
        assert len(cluster.manager(0).members(cluster.store_id)) == 3
        cluster.store(2).put("/b", 1)
        await_equal_trees(cluster)


def test_a_join_that_ran_out_of_time_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a slow link none would be done otherwise: each began with an empty store."""

    def run_out() -> object:
        raise KhepriTimeoutError("the time is up", operation="the wait", outcome="unknown")

    with Apart(2) as cluster:
        cluster.store(0).put("/a", 1)
        with monkeypatch.context() as patch:
            patch.setattr(membership, "WaitUntilVoter", run_out)
            with pytest.raises(KhepriTimeoutError):
                cluster.join(1, 0)
        made = uid(cluster, 1)
        cluster.join(1, 0)
        assert uid(cluster, 1) == made
        assert cluster.store(1).get("/a") == 1
        cluster.join(1, 0)  # that one is done: this is another one
        assert uid(cluster, 1) != made
        await_equal_trees(cluster)


def test_a_join_goes_on_though_the_other_node_has_not_heard_yet_whom_it_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its server tells its cache of the members, which another thread then fills."""

    def run_out() -> object:
        raise KhepriTimeoutError("the time is up", operation="the wait", outcome="unknown")

    def of_before(*arguments: Any) -> tuple[bytes, list[str], int]:
        cluster_id, members, version = cluster_of(*arguments)
        return cluster_id, [name for name in members if name != "node1"], version

    with Apart(2) as cluster:

        def join_in_part() -> str:
            with monkeypatch.context() as patch:
                patch.setattr(membership, "WaitUntilVoter", run_out)
                with pytest.raises(KhepriTimeoutError):
                    cluster.join(1, 0)
            return uid(cluster, 1)

        cluster.store(0).put("/a", 1)
        monkeypatch.setattr(membership, "cluster_of", of_before)
        made = join_in_part()
        cluster.join(1, 0)
        assert uid(cluster, 1) == made
        made = join_in_part()
        cluster.manager(0).remove_member("node1", cluster.store_id, 20)
        cluster.join(1, 0)  # nobody counts what it was
        assert uid(cluster, 1) != made
        await_equal_trees(cluster)


@pytest.mark.parametrize(("first", "then"), [(False, True), (False, False), (True, False)])
def test_a_join_that_goes_on_ends_as_the_kind_of_member_it_is_to_be(
    monkeypatch: pytest.MonkeyPatch, first: bool, then: bool
) -> None:
    def run_out() -> object:
        raise KhepriTimeoutError("the time is up", operation="the wait", outcome="unknown")

    with Apart(2) as cluster:
        cluster.store(0).put("/a", 1)
        manager, store_id = cluster.manager(1), cluster.store_id
        with monkeypatch.context() as patch:
            patch.setattr(membership, "ConsistentRead", run_out)
            with pytest.raises(KhepriTimeoutError):
                manager.join("node0", store_id, 10, votes=first)
        made = uid(cluster, 1)
        manager.join("node0", store_id, 20, votes=then)
        # Who is a voter already, and is to be none, begins anew.
        assert (uid(cluster, 1) == made) is (first <= then)
        assert manager.status(store_id).kind == ("voter" if then else "non_voter")
        await_equal_trees(cluster)


def test_a_newcomer_that_was_made_the_only_member_by_force_does_not_go_on_with_its_join(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has a history of its own, so it has to begin anew: the two must not be mixed."""

    def run_out() -> object:
        raise KhepriTimeoutError("the time is up", operation="the wait", outcome="unknown")

    with Apart(3) as cluster:
        cluster.join(1, 0)
        cluster.store(0).put("/a", 1)
        with monkeypatch.context() as patch:
            patch.setattr(membership, "WaitUntilVoter", run_out)
            with pytest.raises(KhepriTimeoutError):
                cluster.join(2, 0)
        eventually(lambda: kinds(cluster, 2).get("node2") is MemberKind.VOTER, "the promotion")
        node, store_id = cluster.node(2), cluster.store_id
        cluster_id = node.access(store_id).cluster_id

        def would_go_on() -> bool:
            deadline = Deadline(10)
            return membership._is_newcomer(node, store_id, cluster_id, deadline, votes=True)

        assert would_go_on()
        cluster.partition({0, 1}, {2})  # for good: it would tell them that they are no members
        cluster.manager(2).force_single_member(store_id)
        cluster.store(2).put("/of/its/own", 1)
        assert not would_go_on()


def test_a_join_goes_on_after_a_restart_that_came_before_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Apart(2) as cluster:
        cluster.store(0).put("/a", 1)

        def ask_and_hear_nothing(*question: Any, **options: Any) -> object:
            _node, store_id, _remote, function, arguments, deadline = question
            if function != "add_member":
                return ask_cluster(*question, **options)
            cluster.cut(0, 1)
            ask_cluster(cluster.node(0), store_id, "node0", function, arguments, deadline)
            raise KhepriTimeoutError("nobody answers", operation="it", outcome="unknown")

        with monkeypatch.context() as patch:
            patch.setattr(membership, "ask_cluster", ask_and_hear_nothing)
            with pytest.raises(KhepriTimeoutError):
                cluster.join(1, 0)
        assert "node1" in kinds(cluster, 0)
        made = uid(cluster, 1)
        cluster.kill(1)
        cluster.restart(1)
        cluster.heal()
        cluster.join(1, 0)
        assert uid(cluster, 1) == made
        assert cluster.store(1).get("/a") == 1


def test_the_only_voter_leaves_when_one_that_was_just_let_in_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Apart(3) as cluster:
        node, store_id = cluster.node(1), cluster.store_id
        cluster_id = cluster.node(0).access(store_id).cluster_id
        handle, setup = node.store_setup(store_id)
        node.delete_store(store_id, will_return=True)
        node.start_store(handle, setup.config, 10, cluster_id)
        cluster.cut(0, 1)
        newcomer = ("node1", uid(cluster, 1), cluster_id)
        ask_cluster(cluster.node(0), store_id, "node0", "add_member", newcomer, Deadline(10))
        refused: list[NotDoneError] = []

        def refuse_and_mend(*arguments: Any, **options: Any) -> None:
            try:
                remove(*arguments, **options)
            except NotDoneError as error:
                refused.append(error)
                cluster.heal()
                raise

        monkeypatch.setattr(membership, "remove", refuse_and_mend)
        cluster.join(0, 2)
        assert refused
        assert kinds(cluster, 1) == {"node1": MemberKind.VOTER}


def uid(cluster: LocalCluster, number: int) -> str:
    """Give which incarnation of its store runs on a node."""
    return cluster.node(number).store_setup(cluster.store_id)[1].uid


def test_a_store_that_another_thread_starts_in_the_middle_of_its_join_joins_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by chance: the join returned, and the store was a cluster of its own."""
    with Apart(2) as cluster:
        cluster.store(0).put("/a", 1)
        node, manager = cluster.node(1), cluster.manager(1)
        really_delete = node.delete_store
        raised: list[BaseException | None] = []

        def delete_and_be_overtaken(store_id: str, **options: Any) -> None:
            really_delete(store_id, **options)
            if not raised:
                raised.extend(at_once(lambda: manager.start(DIRECTORY, store_id, 10)))

        monkeypatch.setattr(node, "delete_store", delete_and_be_overtaken)
        cluster.join(1, 0)
        assert raised == [None]
        assert cluster.store(1).get("/a") == 1
        cluster.store(1).put("/b", 1)
        assert cluster.store(0).get("/b", favor="consistency") == 1
        assert len(cluster.manager(0).members(cluster.store_id)) == 2


def test_a_node_that_dies_in_the_middle_of_its_join_repeats_it_after_its_restart() -> None:
    with Apart(2) as cluster:
        cluster.store(0).put("/a", 1)
        # The newcomer's store is empty and waits to be added; the addition gets lost.
        cluster.cut(1, 0)
        cluster.network.mend("node1", "node0")
        node = cluster.node(1)
        handle, setup = node.store_setup(cluster.store_id)
        cluster_id = cluster.node(0).access(cluster.store_id).cluster_id
        node.delete_store(cluster.store_id, will_return=True)
        node.start_store(handle, setup.config, 10, cluster_id)
        cluster.kill(1)
        cluster.restart(1)
        assert cluster.store(1).is_empty()
        outcome = timed(lambda: cluster.store(1).put("/never", 1, timeout=0.3))
        assert isinstance(outcome.error, KhepriTimeoutError)
        cluster.join(1, 0)
        assert cluster.store(1).get("/a") == 1


def test_a_member_made_again_under_the_same_name_is_another_one() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/a", 1)
        leader = leader_among(cluster, range(3))
        victim, other = others(cluster, leader)
        cluster.kill(victim)
        cluster.lose_disk(victim)
        cluster.restart(victim)  # alone, with a cluster of its own
        cluster.store(victim).put("/foreign", 1)
        cluster.store(other).put("/b", 1)
        # Its votes and acknowledgements do not count over there.
        cluster.kill(other)
        outcome = timed(lambda: cluster.store(leader).put("/c", 1, timeout=0.5))
        assert isinstance(outcome.error, KhepriTimeoutError)
        cluster.restart(other)
        cluster.manager(victim).join(cluster.name(other), cluster.store_id, 20)
        assert not cluster.store(victim).exists("/foreign")
        assert cluster.store(victim).get("/b") == 1
        await_equal_trees(cluster)


def test_a_join_that_waits_for_another_change_here_ends_in_time() -> None:
    with Apart(2) as cluster:
        with cluster.node(1).changing(cluster.store_id):
            (raised,) = at_once(lambda: cluster.join(1, 0, 0.2))
        assert isinstance(raised, KhepriTimeoutError)
        cluster.join(1, 0)
