"""Consistent reads by the leader's lease: in the caller's own thread, without the server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import aio, messages
from khepri.actors import ra_server, ra_server_config
from khepri.actors.access import NO_LEASE, ReadLease
from khepri.actors.ra_server import RaServer
from khepri.actors.server_clock import COUNTS_SUSPENSION, choose_clock, server_clock
from khepri.actors.server_messages import AskCore
from khepri.actors.server_waiters import ServerWaiters
from khepri.errors import KhepriTimeoutError, NoSuchServerError, WrongTypeError
from khepri.raft.effects import Send
from khepri.testing.local_cluster import LocalCluster
from tests.facade.facade_helpers import actors_of, eventually, standing_still

if TYPE_CHECKING:
    from pathlib import Path

    from khepri.raft.events import TimePassed

SOON = 0.05

pytestmark = pytest.mark.skipif(not COUNTS_SUSPENSION, reason="there are no leases here")


def in_another_thread(function: Any) -> Any:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result(timeout=20)


def must_ask(store: khepri.Store) -> None:
    """The read goes to the server, which stands still."""
    with pytest.raises(KhepriTimeoutError):
        store.get("/a", favor="consistency", timeout=SOON)


# --- with a lease --------------------------------------------------------------------------


def test_while_the_lease_lasts_nobody_is_asked(store: khepri.Store) -> None:
    store.put("/a", 1)
    ref = khepri.server_ref("orders")
    with standing_still(store):
        assert store.get("/a", favor="consistency") == 1
        assert store.get("/a", favor="consistency", timeout=SOON) == 1
        assert store.count("/**", favor="consistency") == 1
        assert store.adv.get("/a", favor="consistency")["data"] == 1
        assert store.view(favor="consistency").get("/a") == 1
        assert ref.ask(messages.Get("/a", favor="consistency"), timeout=SOON) == 1
        assert asyncio.run(aio.Store("orders").get("/a", favor="consistency", timeout=SOON)) == 1
        with pytest.raises(KhepriTimeoutError):
            store.fence(timeout=SOON)


def test_without_a_lease_the_server_is_asked(store: khepri.Store) -> None:
    store.put("/a", 1)
    with standing_still(store):
        store.access.withdraw_lease()
        must_ask(store)
        store.access.publish_lease(server_clock(), 0)
        must_ask(store)
    assert store.get("/a", favor="consistency") == 1


def test_a_tree_behind_the_commit_index_of_the_lease_is_not_read(store: khepri.Store) -> None:
    store.put("/a", 1)
    with standing_still(store):
        store.access.publish_lease(inf, store.view().index + 1)
        must_ask(store)
        store.access.publish_lease(inf, store.view().index)
        assert store.get("/a", favor="consistency", timeout=SOON) == 1


def test_leases_can_be_switched_off(tmp_path: Path) -> None:
    config = {"cluster_name": "trusting nobody", "read_leases": False}
    store = khepri.Store(khepri.start(tmp_path / "data", config))
    store.put("/a", 1)
    assert store.access.lease == NO_LEASE
    assert store.get("/a", favor="consistency") == 1
    with standing_still(store):
        must_ask(store)


def test_the_switch_is_true_or_false() -> None:
    with pytest.raises(WrongTypeError, match="read_leases"):
        khepri.RaServerConfig(cluster_name="orders", read_leases=1)  # type: ignore[arg-type]


# --- what a thread has sent before ---------------------------------------------------------


def sent_asynchronously(store: khepri.Store) -> None:
    store.put("/a", 2, async_=True)


def sent_with_reply_from(store: khepri.Store) -> None:
    store.put("/a", 2, async_=True, reply_from="leader")


def sent_in_a_batch(store: khepri.Store) -> None:
    batch = store.batch()
    batch.put("/a", 2)
    batch.commit(async_=True)


def sent_as_a_message(store: khepri.Store) -> None:
    khepri.server_ref(store.store_id).tell(messages.Put("/a", 2))


def sent_and_given_up(store: khepri.Store) -> None:
    with pytest.raises(KhepriTimeoutError):
        store.put("/a", 2, timeout=SOON)


def sent_by_a_task_that_was_cancelled(store: khepri.Store) -> None:
    async def main() -> None:
        task = asyncio.create_task(aio.Store(store.store_id).put("/a", 2))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


SENDERS = [
    sent_asynchronously,
    sent_with_reply_from,
    sent_in_a_batch,
    sent_as_a_message,
    sent_and_given_up,
    sent_by_a_task_that_was_cancelled,
]


@pytest.mark.parametrize("send", SENDERS, ids=lambda send: send.__name__)
def test_a_consistent_read_does_not_overtake_what_its_thread_has_sent(
    store: khepri.Store, send: Any
) -> None:
    store.put("/a", 1)
    with standing_still(store):
        send(store)
        must_ask(store)
        # The others have sent nothing.
        assert in_another_thread(lambda: store.get("/a", favor="consistency", timeout=SOON)) == 1
    seen = store.get("/a", favor="consistency")
    assert seen == 2 or send == sent_and_given_up  # what is given up may never be done
    with standing_still(store):
        assert store.get("/a", favor="consistency", timeout=SOON) == seen


def test_the_read_of_one_task_does_not_overtake_the_write_of_another(store: khepri.Store) -> None:
    store.put("/a", 1)

    async def main() -> int:
        tree = aio.Store("orders")
        write = asyncio.create_task(tree.put("/a", 2))
        await asyncio.sleep(0)
        with contextlib.ExitStack() as stack:
            stack.enter_context(standing_still(store))
            assert await tree.get("/a") in {1, 2}
        seen: int = await tree.get("/a", favor="consistency")
        await write
        return seen

    assert asyncio.run(main()) == 2


def test_a_write_that_a_task_awaited_leaves_no_mark(store: khepri.Store) -> None:
    async def main() -> int:
        tree = aio.Store("orders")
        await tree.put("/a", 1)
        with standing_still(store):
            seen: int = await tree.get("/a", favor="consistency", timeout=SOON)
        return seen

    assert asyncio.run(main()) == 1


def test_writes_of_low_priority_are_not_waited_for(store: khepri.Store) -> None:
    store.put("/a", 1)
    with standing_still(store):
        store.put("/a", 2, async_=True, priority="low")
        assert store.get("/a", favor="consistency", timeout=SOON) == 1


def test_a_message_that_asks_the_server_clears_the_mark_too(store: khepri.Store) -> None:
    ref = khepri.server_ref("orders")
    ref.tell(messages.Put("/a", 1))
    assert ref.ask(messages.Get("/a", favor="consistency")) == 1
    with standing_still(store):
        assert store.get("/a", favor="consistency", timeout=SOON) == 1


# --- when the lease is published -----------------------------------------------------------


def test_lease_and_commit_index_are_published_before_any_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong: list[object] = []
    execute = RaServer._execute

    def checking(self: RaServer, one: Any) -> None:
        core = self._core
        expected = ReadLease(core.lease_until, core.commit_index)
        found = self._access.lease
        if found != (NO_LEASE if core.lease_until == -inf else expected):
            wrong.append((one, found, expected))
        if isinstance(one, Send) and core.lease_until > -inf:
            sent.append(one)
        execute(self, one)

    sent: list[object] = []
    monkeypatch.setattr(RaServer, "_execute", checking)
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        for number in range(20):
            cluster.store(leader).put("/a", number)
        cluster.manager(leader).transfer_leadership(store_id=cluster.store_id)
    assert wrong == []
    assert len(sent) > 20


def test_a_store_that_was_stopped_leaves_no_lease(tmp_path: Path) -> None:
    store = khepri.Store(khepri.start(tmp_path / "data", "orders"))
    access = store.access
    assert access.lease.until == inf
    khepri.stop("orders")
    assert access.lease == NO_LEASE
    with pytest.raises(NoSuchServerError):
        store.get("/a", favor="consistency")


def test_a_server_that_crashed_leaves_no_lease_until_it_leads_again(store: khepri.Store) -> None:
    store.put("/a", 1)
    access = store.access

    def crash(_ticket: object) -> TimePassed:
        raise ZeroDivisionError

    leases: list[ReadLease] = []
    server = actors_of("orders")["ra_server"]
    server.down.add_done_callback(lambda _down: leases.append(access.lease))
    server.cast(AskCore(crash))
    eventually(lambda: leases, "the crash")
    assert leases == [NO_LEASE]
    eventually(lambda: access.lease.until == inf, "the next lease")
    assert store.get("/a", favor="consistency") == 1


# --- in a cluster --------------------------------------------------------------------------


def test_a_leader_that_is_cut_off_stops_reading_before_another_leads() -> None:
    with LocalCluster(3) as cluster:
        old = cluster.leader()
        others = [number for number in range(3) if number != old]
        cluster.store(old).put("/a", 1)
        access = cluster.store(old).access
        eventually(access.leased_view, "a lease")
        cluster.partition([old], others)
        cluster.store(others[0]).put("/a", 2, timeout=30)
        assert access.leased_view() is None
        with pytest.raises(khepri.KhepriError):
            cluster.store(old).get("/a", favor="consistency", timeout=0.2)


def test_at_followers_a_consistent_read_asks_the_leader() -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        for number in range(3):
            cluster.store(leader).put("/a", number)
            for other in range(3):
                assert cluster.store(other).get("/a", favor="consistency") == number
                assert (cluster.store(other).access.lease == NO_LEASE) or other == leader


# --- the clock -----------------------------------------------------------------------------


def test_where_no_clock_counts_suspension_there_are_no_leases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, counts_suspension = choose_clock("another system")
    assert (clock, counts_suspension) == (time.monotonic, False)
    config = khepri.RaServerConfig(cluster_name="orders")
    assert config.raft_settings().read_leases
    monkeypatch.setattr(ra_server_config, "COUNTS_SUSPENSION", False)
    assert not config.raft_settings().read_leases


def test_the_clock_of_a_server_goes_on() -> None:
    before = server_clock()
    eventually(lambda: server_clock() > before, "time")


def test_a_read_that_waits_for_a_place_is_kept_by_its_callers_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's clock is ahead of the callers' by all the time the machine was suspended."""
    looked = threading.Event()
    forget = ServerWaiters.forget_abandoned

    def forget_and_tell(self: ServerWaiters, now: float) -> None:
        forget(self, now)
        looked.set()

    monkeypatch.setattr(ra_server, "server_clock", lambda: time.monotonic() + 1e6)
    monkeypatch.setattr(ServerWaiters, "forget_abandoned", forget_and_tell)
    store = khepri.Store(khepri.start(tmp_path / "data", "orders"))
    view = store.view()
    there = khepri.applied(view.index + 1, view.term)
    waiting = khepri.server_ref("orders").ask(messages.Exists("/a", condition=there), block=False)
    with standing_still(store):
        looked.clear()
    assert looked.wait(20)
    store.put("/a", 1)
    assert waiting.get(timeout=20) is True
