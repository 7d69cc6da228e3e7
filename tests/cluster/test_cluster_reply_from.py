"""A write can be answered by another member: what was written is then found there at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from khepri import aio, messages
from khepri.errors import (
    InvalidOptionError,
    KhepriTimeoutError,
    MismatchingNodeError,
    NotAMemberError,
    ServerStoppedError,
)
from khepri.raft.types import ServerId
from khepri.server_ref import ServerRef
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import await_equal_trees, eventually, leader_among, others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.store import Store
    from khepri.types import KhepriFuture


@pytest.fixture(autouse=True)
def questions_that_are_soon_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("khepri.actors.confirmer.ANSWER_MILLISECONDS", 200)


@pytest.fixture(scope="module")
def formed() -> Iterator[LocalCluster]:
    with LocalCluster(3) as cluster:
        yield cluster


@pytest.fixture
def cluster(formed: LocalCluster) -> Iterator[LocalCluster]:
    leader_among(formed, formed.running())
    yield formed
    formed.heal()
    await_equal_trees(formed)


def through_each(cluster: LocalCluster) -> Iterator[tuple[int, Store]]:
    for number in cluster.running():
        yield number, cluster.store(number)


def test_a07_what_a_named_member_has_answered_is_read_there_at_once(cluster: LocalCluster) -> None:
    for writer, store in through_each(cluster):
        for reader in cluster.running():
            path = f"/named/{writer}/{reader}"
            store.put(path, 1, reply_from=cluster.name(reader))
            assert cluster.store(reader).get(path) == 1
            store.put(
                path, 2, reply_from=ServerId("khepri", cluster.name(reader)), async_=True
            ).get(timeout=30)
            assert cluster.store(reader).get(path) == 2


def test_a07_what_the_leader_has_answered_is_read_there_at_once(cluster: LocalCluster) -> None:
    leader = leader_among(cluster, cluster.running())
    for writer, store in through_each(cluster):
        path = f"/leader/{writer}"
        store.put(path, 1, reply_from="leader")
        assert cluster.store(leader).get(path) == 1
        assert store.get(path) == 1


def test_every_write_has_the_option(cluster: LocalCluster) -> None:
    leader = leader_among(cluster, cluster.running())
    writer, reader = others(cluster, leader)
    store, there, name = cluster.store(writer), cluster.store(reader), cluster.name(reader)
    assert store.increment("/every/n", 5, reply_from=name) == 5
    assert there.get("/every/n") == 5
    with store.batch(reply_from=name) as batch:
        batch.put("/every/a", 1)
        batch.increment("/every/n")
    assert (there.get("/every/a"), there.get("/every/n")) == (1, 6)
    assert len(store.adv.delete("/every", reply_from=name)) == 3
    assert not there.exists("/every")
    batch = store.batch(reply_from=name)
    batch.increment("/every/n", 3)
    assert batch.commit(async_=True).get(timeout=30) == [3]
    assert there.get("/every/n") == 3


def test_a_write_that_is_refused_asks_no_other_member(cluster: LocalCluster) -> None:
    leader = leader_among(cluster, cluster.running())
    (cut_off, _) = others(cluster, leader)
    store = cluster.store(leader)
    store.put("/refused", 1)
    cluster.partition({leader, *others(cluster, leader, cut_off)}, {cut_off})
    name = cluster.name(cut_off)
    with pytest.raises(MismatchingNodeError):
        store.create("/refused", 2, reply_from=name)
    with pytest.raises(MismatchingNodeError):
        store.create("/refused", 2, reply_from=name, async_=True).get(timeout=30)


def test_a07_a_member_that_cannot_be_reached_lets_the_call_time_out_with_the_write_applied(
    cluster: LocalCluster,
) -> None:
    leader = leader_among(cluster, cluster.running())
    cut_off, connected = others(cluster, leader)
    store, name = cluster.store(leader), cluster.name(cut_off)
    cluster.partition({leader, connected}, {cut_off})
    with pytest.raises(KhepriTimeoutError) as error:
        store.put("/far", 1, reply_from=name, timeout=0.5)
    assert error.value.outcome == "applied"
    assert store.get("/far") == 1
    late = store.put("/far", 2, reply_from=name, timeout=0.5, async_=True)
    eventually(late.done, "the end of its time")
    with pytest.raises(KhepriTimeoutError) as error:
        late.get()
    assert error.value.outcome == "applied"


def test_a_message_waits_for_the_other_member_as_long_as_its_asker(
    cluster: LocalCluster,
) -> None:
    leader = leader_among(cluster, cluster.running())
    cut_off, connected = others(cluster, leader)
    ref = ServerRef(cluster.store(leader), cluster.node(leader))
    message = messages.Put("/asked", 1, reply_from=cluster.name(cut_off))
    cluster.partition({leader, connected}, {cut_off})
    for question in (
        message,
        messages.Batch([messages.Put("/asked", 1)], reply_from=message.reply_from),
    ):
        late = ref.ask(question, timeout=0.5, block=False)
        with pytest.raises(KhepriTimeoutError) as error:
            late.get(timeout=20)  # less than the default timeout
        assert error.value.outcome == "applied"


def test_without_a_majority_the_time_of_a_future_ends_too_and_the_write_is_not_done_later(
    cluster: LocalCluster,
) -> None:
    alone, *connected = cluster.running()
    store, manager = cluster.store(alone), cluster.manager(alone)
    cluster.partition({alone}, connected)
    eventually(lambda: manager.status(cluster.store_id).leader is None, "the loss of the leader")
    ref = ServerRef(store, cluster.node(alone))
    futures = [
        store.put("/nobody", 1, reply_from="leader", timeout=0.3, async_=True),
        ref.ask(messages.Put("/nobody", 1, reply_from="leader"), timeout=0.3, block=False),
    ]
    for future in futures:
        eventually(future.done, "the end of its time")
        with pytest.raises(KhepriTimeoutError) as error:
            future.get()
        assert error.value.outcome == "unknown"
    cluster.heal()
    store.fence()
    assert not store.exists("/nobody")


def test_a07_the_answer_comes_when_the_member_has_caught_up_and_not_before(
    cluster: LocalCluster,
) -> None:
    leader = leader_among(cluster, cluster.running())
    cut_off, connected = others(cluster, leader)
    store, name = cluster.store(leader), cluster.name(cut_off)
    cluster.partition({leader, connected}, {cut_off})
    waiting = store.put("/late", 1, reply_from=name, async_=True)
    eventually(lambda: store.exists("/late"), "the write here")
    assert not waiting.done()
    cluster.heal()
    waiting.get(timeout=30)
    assert cluster.store(cut_off).get("/late") == 1


def test_a07_a_member_that_is_none_is_named_and_nothing_is_sent(cluster: LocalCluster) -> None:
    store = cluster.store(0)
    for nobody in ("nobody", ServerId("khepri", "nobody")):
        with pytest.raises(NotAMemberError, match="nobody") as error:
            store.put("/none", 1, reply_from=nobody)
        assert error.value.outcome == "not_applied"
        assert error.value.members == [cluster.name(number) for number in range(3)]
        with pytest.raises(NotAMemberError):
            store.put("/none", 1, reply_from=nobody, async_=True)
    with pytest.raises(InvalidOptionError, match="other_store"):
        store.put("/none", 1, reply_from=ServerId("other_store", cluster.name(1)))
    store.fence()
    assert not store.exists("/none")


def test_a_member_removed_meanwhile_is_told_with_the_write_applied() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, cluster.running())
        gone, _ = others(cluster, leader)
        store, name = cluster.store(leader), cluster.name(gone)
        cluster.kill(gone)
        waiting = store.put("/a", 1, reply_from=name, async_=True)
        eventually(lambda: store.exists("/a"), "the write here")
        cluster.manager(leader).remove_member(name, "khepri", 30)
        with pytest.raises(NotAMemberError) as error:
            waiting.get(timeout=30)
        assert error.value.outcome == "applied"


def test_a_restart_of_the_confirmer_answers_who_waits_and_the_next_call_works() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, cluster.running())
        cut_off, connected = others(cluster, leader)
        store, node = cluster.store(leader), cluster.node(leader)
        cluster.partition({leader, connected}, {cut_off})
        waiting = store.put("/a", 1, reply_from=cluster.name(cut_off), async_=True)
        eventually(lambda: store.exists("/a"), "the write here")
        confirmer = node.confirmer()
        confirmer.cast("no message for it")
        with pytest.raises(ServerStoppedError) as error:
            waiting.get(timeout=30)
        assert error.value.outcome == "applied"
        cluster.heal()
        eventually(lambda: node.confirmer() is not confirmer, "the restart")
        store.put("/a", 2, reply_from=cluster.name(cut_off))
        assert cluster.store(cut_off).get("/a") == 2


def test_a_restart_of_the_server_here_does_not_end_the_wait_for_the_other_member() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, cluster.running())
        cut_off, connected = others(cluster, leader)
        store, access = cluster.store(leader), cluster.node(leader).access(cluster.store_id)
        cluster.partition({leader, connected}, {cut_off})
        waiting = store.put("/a", 1, reply_from=cluster.name(cut_off), async_=True)
        eventually(lambda: store.exists("/a"), "the write here")
        before = access.server
        assert before is not None
        before.cast("no message for it")
        eventually(lambda: access.server is not before, "the restart")
        with pytest.raises(KhepriTimeoutError):  # it goes on waiting
            waiting.get(timeout=0.1)
        cluster.heal()
        waiting.get(timeout=30)
        assert cluster.store(cut_off).get("/a") == 1


def test_a07_a_member_made_again_does_not_answer_for_the_one_before() -> None:
    with LocalCluster(3) as cluster:
        writer, made_again = 0, 2
        cluster.store(writer).put("/a", 1)
        cluster.kill(made_again)
        cluster.lose_disk(made_again)
        cluster.restart(made_again)
        for number in range(40):
            cluster.store(made_again).put("/b", number)
        with pytest.raises(KhepriTimeoutError) as raised:
            cluster.store(writer).put("/c", 1, reply_from=cluster.name(made_again), timeout=1)
        assert raised.value.outcome == "applied"


def test_a_callback_may_send_what_another_member_is_to_answer() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, cluster.running())
        store = cluster.store(others(cluster, leader)[0])
        sent: list[KhepriFuture[None]] = []

        def go_on(_: KhepriFuture[None]) -> None:
            sent.append(store.put("/b", 1, reply_from="leader", async_=True))

        store.put("/a", 1, async_=True).add_done_callback(go_on)
        eventually(lambda: sent, "the second write")
        sent[0].get(timeout=30)
        assert cluster.store(leader).get("/b") == 1


def test_a_cancelled_write_leaves_no_question_for_the_member_behind(cluster: LocalCluster) -> None:
    leader = leader_among(cluster, cluster.running())
    silent = others(cluster, leader)[0]
    node = cluster.node(leader)
    cluster.pause(silent)

    async def give_up() -> None:
        store = aio.Store(cluster.store_id, node)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await store.put("/a", 1, reply_from=cluster.name(silent), timeout=None)

    asyncio.run(give_up())
    confirmer: Any = node.confirmer()._actor_weakref()
    eventually(lambda: not confirmer._questions, "that nobody is asked any more")
