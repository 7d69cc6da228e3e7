"""Locks and ephemeral tree nodes for asyncio: as those for threads, and beside them."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import aio
from khepri.errors import (
    InvalidOptionError,
    KhepriTimeoutError,
    LockLostError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
    WrongTypeError,
)
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually, standing_still

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/locks/printer"
SOON = 0.05
SHORT = 0.3


@pytest.fixture
def tree(store: khepri.Store) -> aio.Store:
    return aio.Store(store.store_id)


def lock_of(tree: aio.Store, **options: Any) -> aio.Lock:
    return aio.Lock(PATH, store=tree, **options)


def fail_after(_what: object) -> None:
    raise ZeroDivisionError


def in_line(store: khepri.Store) -> list[object]:
    return list(store.get_many(f"{PATH}/line/*").values())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is no event of the loop
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("name", ["Lock", "EphemeralNode"])
def test_they_have_what_those_for_threads_have(name: str) -> None:
    here, there = getattr(aio, name), getattr(khepri, name)
    names = {name for name in dir(there) if not name.startswith("_")}
    assert names == {name for name in dir(here) if not name.startswith("_")}
    for each in names:
        function = inspect.getattr_static(there, each)
        if inspect.isfunction(function):
            parameters = [
                (one.name, one.kind, one.default)
                for one in inspect.signature(getattr(here, each)).parameters.values()
            ]
            assert parameters == [
                (one.name, one.kind, one.default)
                for one in inspect.signature(function).parameters.values()
            ]


def test_tasks_and_threads_have_one_lock(store: khepri.Store, tree: aio.Store) -> None:
    async def main() -> None:
        async with lock_of(tree, data="a task") as lock:
            assert lock.held
            assert lock.token == 1
            assert await lock.holder() == "a task"
            assert not await asyncio.to_thread(khepri.Lock(PATH, store=store).acquire, 0)
            async with tree.batch() as batch:
                batch.require(lock.guard)
                batch.put("/printed", 1)
        assert await lock.holder("nobody", favor="consistency") == "nobody"
        with khepri.Lock(PATH, store=store) as other:
            assert other.token == 2
            assert not await lock.acquire(timeout=0)
            assert not await lock.acquire(timeout=SOON)

    asyncio.run(main())
    assert store.get("/printed") == 1


def test_without_a_handle_they_are_of_the_default_store(tmp_path: Any) -> None:
    async def main() -> None:
        async with aio.Lock(PATH), aio.EphemeralNode("/workers/ann", 1):
            assert await aio.get("/workers/ann") == 1

    khepri.start(tmp_path / "data")
    asyncio.run(main())
    assert khepri.count("/**") == 2


def test_a_store_in_memory_is_meant_by_its_node() -> None:
    async def main(store: khepri.Store) -> None:
        async with aio.Lock(PATH, ttl=SHORT, store=aio.Store(store.store_id, store.node)) as lock:
            first = expiry(store, lock)
            await until(lambda: expiry(store, lock) != first)

    with memory_store() as store:
        asyncio.run(main(store))
        assert in_line(store) == []


def expiry(store: khepri.Store, lock: aio.Lock) -> Any:
    return store.adv.get(lock.guard, props_to_return=["expires_at"])["expires_at"]


def test_tasks_have_it_one_after_the_other(tree: aio.Store) -> None:
    async def main() -> None:
        inside = 0
        seen: list[tuple[int, int]] = []

        async def work(lock: aio.Lock) -> None:
            nonlocal inside
            for _ in range(5):
                async with lock:
                    inside += 1
                    await asyncio.sleep(0)
                    seen.append((inside, lock.token))
                    inside -= 1

        shared = lock_of(tree)
        async with asyncio.TaskGroup() as group:
            for lock in (shared, shared, lock_of(tree), lock_of(tree)):
                group.create_task(work(lock))
        assert seen == [(1, number) for number in range(1, 21)]

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves_the_line(store: khepri.Store, tree: aio.Store) -> None:
    async def main() -> None:
        lock = lock_of(tree, data="second")
        async with lock_of(tree, data="first"):
            task = asyncio.create_task(lock.acquire())
            await until(lambda: len(in_line(store)) == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: in_line(store) == ["first"])
        async with lock:
            assert lock.held

    asyncio.run(main())


def test_one_that_is_cancelled_while_it_comes_leaves_nothing(
    store: khepri.Store, tree: aio.Store
) -> None:
    async def main() -> None:
        with standing_still(store):
            task = asyncio.create_task(lock_of(tree).acquire())
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await tree.fence()

    asyncio.run(main())
    eventually(lambda: in_line(store) == [], "an empty line")


def test_it_is_lost_as_those_of_threads(store: khepri.Store, tree: aio.Store) -> None:
    async def main() -> None:
        lock = lock_of(tree, ttl=SHORT)
        assert await lock.acquire(timeout=20)
        guard = lock.guard
        with standing_still(store):
            await until(lambda: not lock.held)
            with pytest.raises(LockLostError):
                lock.check()
        with pytest.raises(LockLostError):
            await lock.release()
        with pytest.raises(MisuseError, match="not acquired"):
            await lock.release()
        with pytest.raises(NodeNotFoundError):
            async with tree.batch() as batch:
                batch.require(guard)
        with pytest.raises(LockLostError):
            async with lock:
                await tree.delete(lock.guard)
        with pytest.raises(ZeroDivisionError):
            async with lock:
                fail_after(store.delete(lock.guard))

    asyncio.run(main())


def test_deadlines_and_misuse(
    store: khepri.Store, tree: aio.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        lock = lock_of(tree)
        with pytest.raises(InvalidOptionError):
            await lock.acquire(timeout=-1)
        with standing_still(store):
            assert not await lock.acquire(timeout=SOON)
            with pytest.raises(KhepriTimeoutError):
                await lock.acquire(timeout=0)

    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", str(SOON))
    khepri.config.reload()
    asyncio.run(main())
    handle: Any = store
    with pytest.raises(InvalidOptionError):
        aio.Lock(PATH, ttl=0)
    with pytest.raises(InvalidOptionError):
        aio.EphemeralNode(PATH, 1, ttl=0)
    with pytest.raises(WrongTypeError):
        aio.Lock(PATH, store=handle)
    with pytest.raises(WrongTypeError):
        aio.EphemeralNode(PATH, 1, store=handle)


def test_something_else_at_the_place(store: khepri.Store, tree: aio.Store) -> None:
    async def main() -> None:
        await lock_of(tree).acquire()

    store.put(PATH, "something")
    with pytest.raises(MismatchingNodeError):
        asyncio.run(main())


def test_an_ephemeral_tree_node(store: khepri.Store, tree: aio.Store) -> None:
    async def main() -> None:
        node = aio.EphemeralNode("/workers/ann", "ann", ttl=SHORT, store=tree)
        async with node:
            assert store.get("/workers/ann") == "ann"
            with pytest.raises(MisuseError):
                await node.start()
            with pytest.raises(MismatchingNodeError):
                await aio.EphemeralNode("/workers/ann", "ann", store=tree).start()
            store.delete("/workers/ann")
            await until(lambda: node.losses > 0 and node.is_there)
        assert store.is_empty()
        await node.stop()
        with pytest.raises(ZeroDivisionError):
            async with node:
                fail_after(store.delete("/workers/ann"))

    asyncio.run(main())
