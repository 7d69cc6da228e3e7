"""Following a part of the tree: nothing falls between two tellings, and nothing hangs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import aio
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    KhepriTimeoutError,
    ManyNodesDeniedError,
    NoSuchServerError,
    ServerStoppedError,
    WrongTypeError,
)
from khepri.following import Follow
from tests.facade.facade_helpers import actors_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from khepri import Changes


def told(changes: Changes) -> list[tuple[str, str, object]]:
    """Give path, kind and new data of each difference."""
    return [
        (str(each.path), each.kind, (each.new or {}).get("data")) for each in changes.differences
    ]


def after_a_moment(call: Callable[[], object]) -> threading.Timer:
    """Do something while somebody else waits."""
    timer = threading.Timer(0.05, call)
    timer.start()
    return timer


def test_a_change_is_told_with_the_view_that_has_it(store: khepri.Store) -> None:
    changes = store.follow("/config")
    after_a_moment(lambda: store.put("/config/colour", "green"))
    first = next(changes)
    assert told(first) == [
        ("/config", "create", None),
        ("/config/colour", "create", "green"),
    ]
    assert first.view.get("/config/colour") == "green"
    store.delete("/config/colour")
    assert told(next(changes)) == [
        ("/config", "delete", None),
        ("/config/colour", "delete", None),
    ]


def test_what_happened_before_it_began_to_wait_is_told_at_once(store: khepri.Store) -> None:
    changes = store.follow("/config", timeout=10)
    for number in range(10):
        store.put("/config/size", number)
    size = khepri.Path("/config/size")
    assert [each.path for each in next(changes).differences][-1] == size
    seen = store.get(size)
    while seen != 9:
        seen = next(changes).view.get(size)


def test_it_goes_on_since_an_earlier_view(store: khepri.Store) -> None:
    before = store.view()
    store.put("/a", 1)
    store.put("/b", 2)
    changes = next(store.follow("/", since=before, timeout=10))
    assert told(changes) == [("/", "update", None), ("/a", "create", 1), ("/b", "create", 2)]
    store.put("/b", 3)
    assert told(next(store.follow("/b", since=changes.view, timeout=10))) == [("/b", "update", 3)]


def test_what_changes_elsewhere_is_not_told(store: khepri.Store) -> None:
    changes = store.follow("/config", timeout=0.3)
    timers = [threading.Timer(0.05 * n, store.put, ["/else", n]) for n in range(1, 5)]
    for timer in timers:
        timer.start()
    with pytest.raises(KhepriTimeoutError, match=r"nothing has changed at /config for 0\.3 s"):
        next(changes)
    for timer in timers:
        timer.join()


def test_the_time_is_for_each_change(store: khepri.Store) -> None:
    changes = store.follow("/n", timeout=1.0)
    store.put("/n", 0)
    for number in range(1, 4):
        assert next(changes).view.get("/n") == number - 1
        threading.Event().wait(0.4)  # busy for a while
        store.put("/n", number)


def test_the_properties_are_those_asked_for(store: khepri.Store) -> None:
    changes = store.follow("/n", timeout=10, props_to_return=["payload_version"])
    store.put("/n", 1)
    assert next(changes).differences[0].new == {"payload_version": 1}


def test_names_of_properties_may_come_from_an_iterator(store: khepri.Store) -> None:
    changes = store.follow("/n", props_to_return=iter(["payload"]))
    store.put("/n", 1)
    assert next(changes).differences[0].new == {"data": 1}


def test_it_outlives_a_crash_of_the_server(store: khepri.Store) -> None:
    changes: Generator[Changes] = store.follow("/n", timeout=20)
    found: list[Changes] = []
    thread = threading.Thread(target=lambda: found.append(next(changes)))
    thread.start()
    server = actors_of("orders")["ra_server"]
    server.cast(object())
    eventually(lambda: actors_of("orders").get("ra_server") not in (None, server))
    store.put("/n", 1, timeout=20)
    thread.join(20)
    assert told(found[0]) == [("/n", "create", 1)]


def test_it_ends_with_the_store(store: khepri.Store) -> None:
    changes = store.follow("/n", timeout=20)
    after_a_moment(lambda: khepri.stop("orders"))
    with pytest.raises(ServerStoppedError):
        next(changes)


def test_it_ends_with_the_store_that_stops_just_when_it_is_asked(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Follow.question

    def ask_at_the_wrong_moment(follow: Follow) -> Any:
        question = ask(follow)
        khepri.stop(store.store_id)
        return question

    async def follow_in_a_task() -> None:
        async for _ in aio.follow("/config", store_id=store.store_id):
            pass

    monkeypatch.setattr(Follow, "question", ask_at_the_wrong_moment)
    with pytest.raises(ServerStoppedError):
        next(store.follow("/config"))
    khepri.start(store_id_or_config=store.store_id)
    with pytest.raises(ServerStoppedError):
        asyncio.run(follow_in_a_task())


def test_another_tree_of_the_same_name_is_not_followed(store: khepri.Store) -> None:
    store.put("/n", 1)
    changes = store.follow("/n", timeout=20)
    khepri.reset("orders")
    khepri.start(store_id_or_config="orders")
    with pytest.raises(ServerStoppedError):
        next(changes)


def test_misuse_is_told_at_once(store: khepri.Store) -> None:
    wrong: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: store.follow("/a/*"), ManyNodesDeniedError),
        (lambda: store.follow(["a", khepri.IfHasData()]), ManyNodesDeniedError),
        (lambda: store.follow([khepri.IfAll("a", khepri.IfHasData())]), InvalidPathError),
        (lambda: store.follow("/a", timeout=-1), InvalidOptionError),
        (lambda: store.follow("/a", since="yesterday"), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.follow("/a", props_to_return=["colour"]), InvalidOptionError),
        (lambda: khepri.follow("/a", store_id="nowhere"), NoSuchServerError),
    ]
    for call, error in wrong:
        with pytest.raises(error):
            call()


def test_the_module_has_it_too(store: khepri.Store) -> None:
    changes = khepri.follow("/n", store_id=store.store_id, timeout=10)
    store.put("/n", 1)
    assert told(next(changes)) == [("/n", "create", 1)]


@pytest.mark.usefixtures("store")
def test_tasks_follow_with_async_for() -> None:
    async def main() -> list[Any]:
        one = aio.Store("orders")
        seen: list[Any] = []
        changes = one.follow("/n")
        await one.put("/n", 1)
        async for each in changes:
            seen.append(each.view.get("/n"))
            if len(seen) == 3:
                break
            await one.put("/n", seen[-1] + 1)
        with pytest.raises(KhepriTimeoutError, match="nothing has changed at /n"):
            await anext(aio.follow("/n", store_id="orders", timeout=0.1))
        waiting = asyncio.ensure_future(anext(one.follow("/n")))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return seen

    assert asyncio.run(main()) == [1, 2, 3]
