"""The same store for asyncio: nothing blocks the loop, and no call has a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import aio
from khepri.actors.future import KhepriFuture
from khepri.actors.ra_server import RaServer
from khepri.async_calls import wait_for
from khepri.calls import Deadline
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    KhepriTimeoutError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
    NoSuchServerError,
    NotAMemberError,
    ServerStoppedError,
)
from khepri.testing.local_cluster import LocalCluster
from tests.facade.facade_helpers import actors_of, eventually, standing_still

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Path = khepri.Path


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(main(), debug=False)


def parameters_of(function: Any) -> list[tuple[str, object, object]]:
    return [
        (name, parameter.kind, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in {"async_", "self"}
    ]


# --- it mirrors the others


CLASSES = {"Store", "AsyncAdvancedStore", "AsyncBatch", "Lock", "EphemeralNode"}

NOT_MIRRORED = {"access", "node", "change"} | {
    "subscribe",
    "unsubscribe",
    "register_projection",
    "unregister_projections",
    "has_projection",
    "projection",
    "info",
}
"""Not functions of a store, but parts for the inside; and what a task uses as a thread does: what
waits for nothing, or is done once, or is for a person (`aio.follow` is for tasks)."""


def test_its_store_has_every_function_of_a_store_with_the_same_arguments() -> None:
    for one, other in (
        (khepri.Store, aio.Store),
        (type(khepri.Store("s").adv), type(aio.Store("s").adv)),
    ):
        for name, function in inspect.getmembers(one, inspect.isfunction):
            if name.startswith("_") or name in NOT_MIRRORED:
                continue
            twin = getattr(other, name)
            if name != "fence":  # its one option is named there, and given by keyword here
                assert parameters_of(function) == parameters_of(twin), name
            assert inspect.iscoroutinefunction(twin) is (name not in {"batch", "follow"}), name


def test_the_module_has_every_data_function_of_khepri() -> None:
    names = {name for name, _ in inspect.getmembers(khepri.Store, inspect.isfunction)}
    functions = {name for name in names - NOT_MIRRORED if not name.startswith("_")}
    assert functions | CLASSES == set(aio.__all__)
    for name in functions:
        twin, function = getattr(aio, name), getattr(khepri, name)
        assert parameters_of(function) == parameters_of(twin), name


def test_every_read_awaited(store: khepri.Store) -> None:
    store.put("/a", 1)
    store.put("/a/b", 2)

    async def main() -> None:
        one = aio.Store("orders")
        for options in ({}, {"favor": "consistency"}, {"timeout": None}, {"timeout": 5}):
            how: Any = options
            assert await one.get("/a", **how) == 1
            assert await one.get_or("/none", 7, **how) == 7
            assert await one.exists("/a", **how)
            assert await one.has_data("/a", **how)
            assert not await one.is_sproc("/a", **how)
            assert not await one.is_empty(**how)
            assert await one.get_many("**", **how) == {Path("/a"): 1, Path("/a/b"): 2}
            assert list(await one.get_many_or("**", 0, limit=1, **how)) == [Path("/a")]
            assert await one.count("**", **how) == 2
            assert await one.fold("**", lambda _p, it, sum_: sum_ + it["data"], 0, **how) == 3
            seen: list[khepri.Path] = []
            await one.foreach("**", lambda path, _it: seen.append(path), **how)  # noqa: B023
            assert seen == [Path("/a"), Path("/a/b")]
            doubled = await one.map("**", lambda _p, it: it["data"] * 2, **how)
            assert list(doubled.values()) == [2, 4]
            assert await one.filter("**", lambda p, _it: p.name == "b", **how) == {Path("/a/b"): 2}
            view = await one.view(**how)
            assert view.get("/a") == 1
            assert await one.diff("/", view, **how) == []
            assert (await one.adv.get("/a", **how))["data"] == 1
            assert len(await one.adv.get_many("**", **how)) == 2
        with pytest.raises(NodeNotFoundError):
            await one.get("/none")

    run(main)


def test_every_write_awaited(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        await one.put("/a", 1, ttl=600)
        await one.create("/b", 1, keep_while={"/a": khepri.IfNodeExists()})
        await one.update("/b", 2)
        await one.compare_and_swap("/b", 2, 3)
        await one.put_many("/*", 4)
        assert store.get_many("/*") == {Path("/a"): 4, Path("/b"): 4}
        assert await one.increment("/a", 2) == 6
        await one.copy("/a", "/c")
        await one.move("/c", "/d")
        await one.touch("/d", ttl=60)
        await one.clear_payload("/d")
        await one.clear_many_payloads("/*")
        assert set(store.get_many("/*").values()) == {None}
        await one.delete("/d")
        await one.delete_many("/*")
        assert store.is_empty()
        await one.fence(timeout=20)
        with pytest.raises(NodeNotFoundError):
            await one.update("/none", 1)

    run(main)


def test_the_writes_that_return_properties(store: khepri.Store) -> None:
    async def main() -> None:
        adv = aio.Store("orders").adv
        assert await adv.put("/a", 1) == {Path("/a"): {"payload_version": 1}}
        told = await adv.put("/a", 2, props_to_return=["payload"])
        assert told == {Path("/a"): {"data": 1}}
        assert set(await adv.create("/b/c", 1)) == {Path("/b/c")}
        assert set(await adv.update("/a", 3)) == {Path("/a")}
        assert set(await adv.compare_and_swap("/a", 3, 4)) == {Path("/a")}
        assert set(await adv.put_many("/*", 5)) == {Path("/a"), Path("/b")}
        assert set(await adv.increment("/a")) == {Path("/a")}
        assert set(await adv.copy("/a", "/d")) == {Path("/d")}
        assert set(await adv.move("/d", "/e")) == {Path("/d"), Path("/e")}
        assert set(await adv.touch("/e", ttl=60)) == {Path("/e")}
        assert set(await adv.clear_payload("/e")) == {Path("/e")}
        assert len(await adv.clear_many_payloads("/*")) == 3
        assert len(await adv.delete("/b")) == 2
        assert len(await adv.delete_many("/*")) == 2

    run(main)
    assert store.is_empty()


def test_the_functions_of_the_module_use_the_default_store() -> None:
    async def main() -> None:
        await asyncio.to_thread(khepri.start, "data")
        await aio.put("/a", 1)
        assert await aio.get("/a") == khepri.get("/a") == 1
        assert await aio.increment("/a") == 2
        async with aio.batch() as batch:
            batch.put("/b", 1)
        assert await aio.count("/*", favor="consistency") == 2
        await aio.fence()
        await asyncio.to_thread(khepri.stop)
        for call in (aio.get("/a"), aio.put("/a", 1), aio.fence()):
            with pytest.raises(NoSuchServerError):
                await call

    run(main)


# --- batches


def test_a_batch_is_committed_at_the_end_of_its_block(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        async with one.batch(timeout=20) as batch:
            batch.put("/n", 1)
            batch.increment("/n")
            assert not store.exists("/n")
        assert store.get("/n") == 2
        batch = one.batch(priority="low")
        batch.increment("/n", 3)
        assert await batch.commit() == [5]
        with pytest.raises(MisuseError):
            await batch.commit()
        with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
            async with one.batch() as batch:
                batch.put("/lost", 1)
                raise KeyError
        with pytest.raises(MismatchingNodeError) as error:  # noqa: PT012 - the same
            async with one.batch() as batch:
                batch.put("/lost", 1)
                batch.create("/n", 1)
        assert error.value.batch_position == 1
        assert not store.exists("/lost")
        with pytest.raises(MisuseError, match="async with"), one.batch():
            pass  # pragma: no cover

    run(main)


# --- the loop


def test_the_loop_goes_on_while_calls_wait(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        turns = 0
        with standing_still(store):
            waiting = [
                asyncio.create_task(call)
                for call in (
                    one.put("/a", 1),
                    one.get("/a", favor="consistency"),
                    one.fence(),
                    one.adv.put("/b", 1),
                )
            ]
            while turns < 100:
                await asyncio.sleep(0)
                turns += 1
            assert not any(task.done() for task in waiting)
            assert not await one.exists("/a")  # a local read waits for nobody
        await asyncio.gather(*waiting)
        assert waiting[1].result() == 1

    run(main)


def test_a_thousand_calls_at_once_need_no_thread_more(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        await one.put("/before", 1)
        threads = set(threading.enumerate())
        with standing_still(store):
            calls = [one.put(["n", f"{n:04}"], n) for n in range(500)]
            reads = [one.get("/before", favor="consistency") for _ in range(500)]
            tasks = [asyncio.create_task(call) for call in (*calls, *reads)]
            await asyncio.sleep(0)
            assert set(threading.enumerate()) <= threads
        await asyncio.gather(*tasks)
        assert set(threading.enumerate()) <= threads
        assert await one.count("/n/*") == 500

    run(main)


def test_writes_are_applied_in_the_order_their_tasks_were_made(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        await asyncio.gather(*(one.put("/last", n) for n in range(300)))
        assert await one.get("/last") == 299

    run(main)
    assert store.adv.get("/last", props_to_return=["payload_version"]) == {"payload_version": 300}


def test_two_loops_in_two_threads_share_a_store(store: khepri.Store) -> None:
    async def count() -> None:
        await asyncio.gather(*(aio.Store("orders").increment("/n") for _ in range(200)))

    threads = [threading.Thread(target=asyncio.run, args=(count(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert store.get("/n") == 400


# --- time


def test_a_timeout_is_a_budget_and_the_write_may_still_be_done(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        with standing_still(store):
            for call in (
                one.put("/a", 1, timeout=0.05),
                one.adv.put("/b", 1, timeout=0.05),
                one.get("/a", favor="consistency", timeout=0.05),
                one.fence(timeout=0.05),
                one.increment("/n", timeout=0),
            ):
                begin = time.monotonic()
                with pytest.raises(KhepriTimeoutError) as error:
                    await call
                assert error.value.outcome == "unknown"
                assert time.monotonic() - begin < 5
            with pytest.raises(KhepriTimeoutError):
                async with one.batch(timeout=0.05) as batch:
                    batch.put("/c", 1)
        await one.fence()
        assert await one.get_many("/*") == {Path(f"/{it}"): 1 for it in "abcn"}

    run(main)


def test_impossible_arguments_are_refused_before_anything_is_sent(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        wrong: dict[str, Any] = {"timeout": -1}
        for call in (one.put("/a", 1, **wrong), one.get("/a", **wrong), one.fence(**wrong)):
            with pytest.raises(InvalidOptionError):
                await call
        with pytest.raises(InvalidOptionError):
            one.batch(**wrong)
        unknown: dict[str, Any] = {"nonsense": 1}
        for call in (
            one.put("/a", 1, **unknown),
            one.get("/a", **unknown),
            one.count("/a", **unknown),
            one.fence(**unknown),
            one.adv.get("/a", **unknown),
            one.adv.put("/a", 1, **unknown),
        ):
            with pytest.raises(TypeError, match="nonsense"):
                await call
        with pytest.raises(InvalidPathError):
            await one.put(5, 1)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError):
            await one.get("/a", favor="speed")  # type: ignore[arg-type]

    run(main)
    assert store.is_empty()


def test_a_timeout_around_a_call_is_the_caller_s_own(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        with standing_still(store):
            with pytest.raises(TimeoutError) as error:
                async with asyncio.timeout(0.05):
                    await one.put("/a", 1)
            assert not isinstance(error.value, KhepriTimeoutError)
        await one.fence()
        assert await one.get("/a") == 1

    run(main)


@pytest.mark.usefixtures("store")
def test_a_read_can_wait_for_a_place_in_the_log() -> None:
    async def main() -> None:
        one = aio.Store("orders")
        await one.put("/before", 1)  # opens the session, which is an entry too
        view = await one.view()
        later = khepri.applied(view.index + 1, view.term)
        waiting = asyncio.create_task(one.get("/a", condition=later))
        await asyncio.sleep(0)
        await one.put("/a", 1)
        assert await waiting == 1
        never = khepri.applied(view.index + 10_000, view.term)
        with pytest.raises(KhepriTimeoutError):
            await one.get("/a", condition=never, timeout=0.05)

    run(main)


# --- cancellation


def test_a_cancelled_task_leaves_its_write_to_be_done_once(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        with standing_still(store):
            tasks = [asyncio.create_task(one.increment("/n")) for _ in range(100)]
            reads = [asyncio.create_task(one.get("/n", favor="consistency")) for _ in range(10)]
            await asyncio.sleep(0)
            cancelled = [*tasks[::2], *reads]
            for task in cancelled:
                task.cancel()
            for task in cancelled:
                with pytest.raises(asyncio.CancelledError):
                    await task
        numbers = await asyncio.gather(*tasks[1::2])
        assert numbers == list(range(2, 101, 2))  # each write was done in its place
        assert await one.get("/n") == 100

    run(main)


def test_what_was_cancelled_before_it_began_is_not_sent(store: khepri.Store) -> None:
    async def main() -> None:
        task = asyncio.create_task(aio.Store("orders").put("/a", 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    store.fence()
    assert not store.exists("/a")


def test_a_loop_that_is_closed_while_calls_wait_harms_nobody(store: khepri.Store) -> None:
    async def leave() -> None:
        tasks.append(asyncio.ensure_future(aio.Store("orders").put("/a", 1)))
        await asyncio.sleep(0)

    tasks: list[asyncio.Future[None]] = []
    with standing_still(store):
        asyncio.run(leave())
    assert tasks[0].cancelled()
    store.put("/b", 1)
    assert store.get("/a") == 1


# --- trouble


@pytest.mark.usefixtures("store")
def test_a_server_that_is_restarted_is_waited_for() -> None:
    async def main() -> None:
        one = aio.Store("orders")
        await one.put("/a", 1)
        server = actors_of("orders")["ra_server"]
        server.cast(object())
        for number in range(200):
            try:
                await one.put("/a", number, timeout=20)
            except ServerStoppedError as error:
                assert error.outcome == "unknown"  # noqa: PT017 - most are not raised
        eventually(lambda: actors_of("orders").get("ra_server") is not server)
        await one.put("/a", "after", timeout=20)
        assert await one.get("/a", favor="consistency") == "after"

    run(main)


@pytest.mark.usefixtures("store")
def test_no_write_overtakes_those_that_wait_for_a_server_that_is_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_start, start = threading.Event(), RaServer.on_start

    def start_late(server: RaServer) -> None:
        assert may_start.wait(30)
        start(server)

    async def main() -> None:
        one, access = aio.Store("orders"), khepri.Store("orders").access
        server = actors_of("orders")["ra_server"]
        monkeypatch.setattr(RaServer, "on_start", start_late)
        server.cast(object())
        eventually(lambda: not server.is_alive())
        earlier = [asyncio.create_task(one.increment("/n", timeout=20)) for _ in range(3)]
        await asyncio.sleep(0)
        may_start.set()
        eventually(lambda: access.server is not server)
        later = asyncio.create_task(one.increment("/n", timeout=20))
        assert await asyncio.gather(*earlier, later) == [1, 2, 3, 4]

    run(main)


def test_a_store_that_is_stopped_tells_those_who_wait(store: khepri.Store) -> None:
    async def main() -> None:
        one = aio.Store("orders")
        with standing_still(store):
            waiting = asyncio.create_task(one.put("/a", 1))
            await asyncio.sleep(0)
            stopping = asyncio.create_task(asyncio.to_thread(khepri.stop, "orders"))
            await asyncio.sleep(0)
        with contextlib.suppress(khepri.KhepriError):
            await waiting
        await stopping
        with pytest.raises(NoSuchServerError):
            await one.put("/a", 2)

    run(main)


def test_another_member_can_answer(tmp_path: object) -> None:
    del tmp_path
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        cut_off, connected = (number for number in range(3) if number != leader)
        one = aio.Store("khepri", cluster.node(leader))
        name = cluster.name(cut_off)

        async def main() -> None:
            await one.put("/a", 1, reply_from=name)
            assert cluster.store(cut_off).get("/a") == 1
            assert await one.increment("/n", reply_from="leader", priority="low") == 1
            with pytest.raises(NotAMemberError):
                await one.put("/a", 2, reply_from="nobody")
            cluster.partition({leader, connected}, {cut_off})
            with pytest.raises(KhepriTimeoutError) as error:
                await one.put("/a", 3, reply_from=name, timeout=0.5)
            assert error.value.outcome == "applied"
            assert await one.get("/a") == 3
            waiting = asyncio.create_task(one.put("/a", 4, reply_from=name))
            await asyncio.to_thread(eventually, lambda: cluster.store(leader).get("/a") == 4)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        run(main)


def test_the_server_sees_that_a_task_that_was_cancelled_waits_no_more() -> None:
    """What it parks for want of a leader is dropped then, and what it has not sent never is."""
    asked: KhepriFuture[int] = KhepriFuture()

    async def main() -> None:
        task = asyncio.ensure_future(wait_for(asked, Deadline(20)))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    run(main)
    assert asked.done()
