"""Triggers on one node: called after changes, in order, at least once, whatever happens."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.actors.access import StoreAccess
from khepri.actors.default_node import default_node
from khepri.actors.server_messages import AskCore
from khepri.actors.supervision import which_children
from khepri.errors import (
    InvalidOptionError,
    ManyNodesDeniedError,
    ServerStoppedError,
    WrongTypeError,
)
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from khepri.raft.events import TimePassed
    from khepri.types import TriggerEvent


class Log:
    """A procedure that notes what it is called with."""

    def __init__(self) -> None:
        self.events: list[TriggerEvent] = []

    def __call__(self, event: TriggerEvent) -> None:
        self.events.append(event)

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(event.change, str(event.path)) for event in self.events]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    khepri.register_procedure("log", log)
    yield log
    khepri.unregister_procedure("log")


def watch(store: khepri.Store, pattern: str = "/stock/*") -> None:
    store.put("/procedures/log", khepri.ProcedureName("log"))
    store.register_trigger("stock", pattern, "/procedures/log")


def none_is_owed(store: khepri.Store) -> bool:
    return not any(trigger.calls_owed for trigger in store.triggers().values())


def await_all_called(store: khepri.Store) -> None:
    eventually(lambda: none_is_owed(store), "the end of all that was owed")


def test_a_procedure_is_called_after_each_change(store: khepri.Store, log: Log) -> None:
    watch(store)
    store.put("/stock/oak", 1)
    store.put("/stock/oak", 2)
    store.put("/elsewhere", 2)
    store.delete("/stock/oak")
    await_all_called(store)
    assert log.changes == [
        ("create", "/stock/oak"),
        ("update", "/stock/oak"),
        ("delete", "/stock/oak"),
    ]
    first = log.events[0]
    assert (first.store_id, first.trigger_id) == ("orders", "stock")
    assert khepri.Store(first.store_id, first.node).exists("/procedures/log")
    assert [event.number for event in log.events] == [1, 2, 3]


def test_calls_come_in_the_order_of_what_has_happened(store: khepri.Store, log: Log) -> None:
    watch(store)
    sent = [store.put("/stock/oak", number, async_=True) for number in range(200)]
    sent += [store.put(f"/stock/{number:04}", 0, async_=True) for number in range(200)]
    for future in sent:
        future.get(timeout=20)
    await_all_called(store)
    assert log.changes == [
        ("create", "/stock/oak"),
        *[("update", "/stock/oak")] * 199,
        *[("create", f"/stock/{number:04}") for number in range(200)],
    ]


def test_a_procedure_reads_and_writes_the_store_that_it_is_called_for(
    store: khepri.Store,
) -> None:
    def count(event: TriggerEvent) -> None:
        in_store = khepri.Store(event.store_id, event.node)
        in_store.increment("/counted")
        in_store.put("/last", str(event.path))

    khepri.register_procedure("log", count)
    watch(store)
    for name in ("oak", "elm"):
        store.put(f"/stock/{name}", 1)
    await_all_called(store)
    assert store.get("/counted") == 2
    assert store.get("/last") == "/stock/elm"


def test_a_trigger_may_cause_what_it_is_for(store: khepri.Store) -> None:
    def count_down(event: TriggerEvent) -> None:
        number = store.get(event.path)
        if number:
            store.put(event.path, number - 1)

    khepri.register_procedure("log", count_down)
    watch(store)
    store.put("/stock/oak", 20)
    eventually(lambda: store.get("/stock/oak") == 0, "the end of the chain")
    await_all_called(store)


def test_what_a_procedure_raises_is_logged_once_and_then_counted(
    store: khepri.Store, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    def fail(event: TriggerEvent) -> None:
        called.append(str(event.path))
        if event.change == "delete":
            raise SystemExit(1)
        raise ValueError("no such wood")

    khepri.register_procedure("log", fail)
    watch(store)
    with caplog.at_level(logging.ERROR, "khepri.actors"):
        for number in range(5):
            store.put("/stock/oak", number)
        store.delete("/stock/oak")
        await_all_called(store)
    assert called == ["/stock/oak"] * 6
    told = [record.getMessage() for record in caplog.records if record.exc_info]
    who = "the trigger 'stock' of the store 'orders': the procedure 'log' for /stock/oak"
    assert told == [f"{who} failed", f"{who} failed (after 4 more like those before)"]
    assert store.put("/stock/oak", 7) is None


def test_calls_wait_for_a_procedure_that_is_not_registered(
    store: khepri.Store, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    watch(store)
    store.put("/procedures/later", khepri.ProcedureName("later"))
    store.register_trigger("later", "/stock/*", "/procedures/later")
    with caplog.at_level(logging.ERROR, "khepri.actors.event_handler"):
        store.put("/stock/oak", 1)
        store.put("/stock/elm", 1)
        eventually(lambda: len(log.events) == 2, "the calls of the other trigger")
        eventually(lambda: len(caplog.records) == 1, "a word of what is missing")
    assert "'later'" in caplog.text
    assert store.triggers()["later"].calls_owed == 2
    later = Log()
    khepri.register_procedure("later", later)
    try:
        await_all_called(store)
    finally:
        khepri.unregister_procedure("later")
    assert later.changes == [("create", "/stock/oak"), ("create", "/stock/elm")]
    assert len(log.events) == 2


def test_what_is_owed_outlives_the_program(tmp_path: Path, log: Log) -> None:
    with khepri.open(tmp_path / "data", "orders") as store:
        watch(store)
        khepri.unregister_procedure("log")
        store.put("/stock/oak", 1)
        assert not none_is_owed(store)
    khepri.register_procedure("log", log)
    with khepri.open(tmp_path / "data", "orders") as store:
        await_all_called(store)
        assert log.changes == [("create", "/stock/oak")]
        store.put("/stock/elm", 1)
        await_all_called(store)
    assert len(log.events) == 2


def test_what_was_called_is_not_called_again_by_the_next_program(tmp_path: Path, log: Log) -> None:
    for number in range(3):
        with khepri.open(tmp_path / "data", "orders") as store:
            watch(store)
            store.put("/stock/oak", number)
            await_all_called(store)
    assert len(log.events) == 3


def test_a_removed_trigger_asks_for_nothing_and_is_owed_nothing(
    store: khepri.Store, log: Log
) -> None:
    store.put("/procedures/never", khepri.ProcedureName("never registered"))
    store.register_trigger("never", "/stock/*", "/procedures/never", on_actions=["create"])
    store.put("/stock/oak", 1)
    assert store.triggers()["never"] == (
        khepri.realpath("/stock/*"),
        khepri.Path("/procedures/never"),
        ("create",),
        0,
        1,
    )
    assert store.unregister_trigger("never") is True
    assert store.unregister_trigger("never") is False
    assert store.triggers() == {}
    watch(store)
    store.put("/stock/elm", 1)
    await_all_called(store)
    assert log.changes == [("create", "/stock/elm")]


def test_calls_that_wait_are_dropped_with_their_trigger(store: khepri.Store) -> None:
    reached, gate = threading.Event(), threading.Event()
    called: list[str] = []

    def stand(event: TriggerEvent) -> None:
        called.append(str(event.path))
        reached.set()
        assert gate.wait(20)

    khepri.register_procedure("log", stand)
    watch(store)
    store.put("/stock/oak", 1)
    store.put("/stock/elm", 1)
    assert reached.wait(20)
    store.unregister_trigger("stock")
    gate.set()
    store.register_trigger("other", "/other", "/procedures/log")
    store.put("/other", 1)
    await_all_called(store)
    assert called == ["/stock/oak", "/other"]


def test_the_actor_that_calls_may_crash(store: khepri.Store, log: Log) -> None:
    watch(store)
    node = default_node()
    store.put("/stock/oak", 1)
    await_all_called(store)

    def handler() -> object:
        children = which_children(node.supervisor()).get(timeout=5)
        return next(it.reference for it in children if it.id == "event_handler")

    crashed = handler()
    crashed.cast("no such message")  # type: ignore[attr-defined]
    store.put("/stock/elm", 1)
    await_all_called(store)
    eventually(lambda: handler() not in {None, crashed}, "its restart")
    store.put("/stock/ash", 1)
    await_all_called(store)
    assert sorted(set(log.changes)) == sorted(
        ("create", f"/stock/{name}") for name in ("oak", "elm", "ash")
    )


def test_the_server_may_crash_while_something_is_owed(store: khepri.Store, log: Log) -> None:
    watch(store)

    def crash(_ticket: object) -> TimePassed:
        raise RuntimeError("told to crash")

    for number in range(30):
        store.put("/stock/oak", number)
        if number in {10, 20}:  # as often as its supervisor allows
            server = store.access.server
            assert server is not None
            server.cast(AskCore(crash))
            with suppress(ServerStoppedError):
                store.put("/stock/elm", number)
    await_all_called(store)
    assert store.access.view is not None
    # At least once each.
    asked_for = range(1, store.access.view.state.triggers.next_number)
    assert len(asked_for) >= 30
    assert {event.number for event in log.events} == set(asked_for)


def test_several_stores_share_the_actor_that_calls(tmp_path: Path, log: Log) -> None:
    with (
        khepri.open(tmp_path / "data", "orders") as orders,
        khepri.open(tmp_path / "data", "stock") as stock,
        memory_store() as memory,
    ):
        stores = (orders, stock, memory)
        for store in stores:
            watch(store)
        for number in range(20):
            for store in stores:
                store.put("/stock/oak", number, async_=True)
        for store in stores:
            store.fence()
            await_all_called(store)
        for store in stores:
            of_it = [event for event in log.events if event.store_id == store.store_id]
            assert len(of_it) == 20


def test_a_store_that_was_reset_has_no_triggers(tmp_path: Path, log: Log) -> None:
    khepri.start(tmp_path / "data", "orders")
    store = khepri.Store("orders")
    watch(store)
    store.put("/stock/oak", 1)
    await_all_called(store)
    khepri.reset("orders")
    khepri.start(tmp_path / "data", "orders")
    assert store.triggers() == {}
    watch(store)  # whose numbers begin anew
    store.put("/stock/elm", 1)
    await_all_called(store)
    assert log.changes == [("create", "/stock/oak"), ("create", "/stock/elm")]


def test_a_stopped_store_is_kept_by_nobody(tmp_path: Path) -> None:
    with khepri.open(tmp_path / "data", "forgotten") as store:
        watch(store)  # whose procedure is not registered
        store.put("/stock/oak", 1)
        assert not none_is_owed(store)
        del store

    def is_forgotten() -> bool:
        gc.collect()
        kept = [it for it in gc.get_objects() if isinstance(it, StoreAccess)]
        return not any(access.store_id == "forgotten" for access in kept)

    eventually(is_forgotten, "the end of the last reference")


def test_a_stop_waits_for_no_call_that_is_owed(tmp_path: Path) -> None:
    reached, gate = threading.Event(), threading.Event()

    def stand(_event: TriggerEvent) -> None:
        reached.set()
        assert gate.wait(20)

    khepri.register_procedure("log", stand)
    try:
        with khepri.open(tmp_path / "data", "orders") as store:
            watch(store)
            store.put("/stock/oak", 1)
            assert reached.wait(20)
        assert not gate.is_set()
    finally:
        gate.set()
        khepri.unregister_procedure("log")


def test_tasks_register_triggers_too(store: khepri.Store, log: Log) -> None:
    called = threading.Event()

    @khepri.register_procedure("log")
    def note(event: TriggerEvent) -> None:
        log(event)
        called.set()

    assert callable(note)

    async def main() -> None:
        aio = khepri.aio.Store("orders")
        await aio.put("/procedures/log", khepri.ProcedureName("log"))
        await aio.register_trigger("stock", "/stock/*", "/procedures/log", priority=2)
        await aio.put("/stock/oak", 1)
        assert (await aio.triggers())["stock"].priority == 2
        assert await asyncio.to_thread(called.wait, 20)
        assert await aio.unregister_trigger("stock", timeout=5) is True

    asyncio.run(main())
    assert store.triggers() == {}
    assert log.changes == [("create", "/stock/oak")]


def test_misuse_is_told_before_anything_is_sent(store: khepri.Store) -> None:
    with pytest.raises(WrongTypeError, match="reply_from"):
        store.register_trigger("a", "/a", "/p", reply_from="leader")  # type: ignore[call-overload]
    with pytest.raises(WrongTypeError, match="favour"):
        store.triggers(favour="consistency")  # type: ignore[call-arg]
    with pytest.raises(ManyNodesDeniedError):
        store.register_trigger("a", "/a", "/p/*")
    with pytest.raises(InvalidOptionError, match="vanish"):
        store.register_trigger("a", "/a", "/p", on_actions=["vanish"])
    with pytest.raises(InvalidOptionError, match="timeout"):
        store.unregister_trigger("a", timeout=-1)
    assert store.triggers() == {}
