"""The data functions as a program uses them; what the tree does in detail is in tests/machine."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import IfHasData, IfPayloadVersion
from khepri.errors import (
    KeepWhileConditionsNotMetError,
    KhepriTimeoutError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
    NoSuchServerError,
    WrongTypeError,
)
from khepri.management import ClusterManager
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually, standing_still

if TYPE_CHECKING:
    from pathlib import Path

VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "text",
    "é☃",
    b"bytes",
    [1, [2, {"a": None}]],
    (1, (2, 3)),
    {"k": [1], "n": {}},
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    uuid.UUID(int=5),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was_put(value: object, store: khepri.Store) -> None:
    store.put("/a/b", value)
    found = store.get("/a/b")
    assert found == value
    assert type(found) is type(value)


def test_every_reader_owns_its_copy(store: khepri.Store) -> None:
    value = {"list": [1]}
    store.put("/a", value)
    value["list"].append(2)
    store.get("/a")["list"].append(3)
    assert store.get("/a") == {"list": [1]}


def test_a_path_is_text_a_path_or_names(store: khepri.Store) -> None:
    store.put("/a/b c/d", 1)
    assert store.get(["a", "b c", "d"]) == 1
    assert store.get(khepri.Path(["a", "b c", "d"])) == 1
    assert store.get("/a/b%20c/d") == 1


def test_what_is_not_there_is_an_error_that_is_a_key_error_too(store: khepri.Store) -> None:
    store.put("/a/b", 1)
    with pytest.raises(NodeNotFoundError) as caught:
        store.get("/a/x/y")
    assert isinstance(caught.value, KeyError)
    assert caught.value.node_path == khepri.Path("/a/x")
    assert caught.value.node_is_target is False
    assert store.get_or("/a/x", 7) == 7
    assert store.get("/a") is None
    assert store.get_or("/a", 7) == 7


def test_create_update_and_compare_and_swap(store: khepri.Store) -> None:
    store.create("/a", 1)
    with pytest.raises(MismatchingNodeError):
        store.create("/a", 2)
    store.update("/a", 2)
    with pytest.raises(NodeNotFoundError):
        store.update("/b", 2)
    store.compare_and_swap("/a", 2, 3)
    with pytest.raises(MismatchingNodeError) as caught:
        store.compare_and_swap("/a", 2, 4)
    assert caught.value.node_props == {"data": 3, "payload_version": 3}
    store.compare_and_swap("/a", IfPayloadVersion(3), 5)
    assert store.get("/a") == 5


def test_delete_and_clear(store: khepri.Store) -> None:
    store.put("/a/b/c", 1)
    store.delete("/nothing")
    store.delete("/a/b/c")
    assert store.is_empty()
    store.put("/a", 1)
    store.clear_payload("/a")
    assert store.exists("/a")
    assert not store.has_data("/a")


def test_patterns_find_many(store: khepri.Store) -> None:
    for path in ("/wood/oak", "/wood/maple", "/stone/slate"):
        store.put(path, path)
    assert list(store.get_many("/wood/*")) == [
        khepri.Path("/wood/maple"),
        khepri.Path("/wood/oak"),
    ]
    assert store.count("/**") == 5
    assert store.count(["wood", IfHasData()]) == 2
    assert store.get_many("/nothing/*") == {}
    assert store.get_many_or("/*", 0) == {khepri.Path("/stone"): 0, khepri.Path("/wood"): 0}
    with pytest.raises(ManyNodesDeniedError):
        store.get("/wood/*")
    store.put_many("/wood/*", 1)
    assert store.get_many("/wood/*") == {
        khepri.Path("/wood/maple"): 1,
        khepri.Path("/wood/oak"): 1,
    }
    store.clear_many_payloads("/wood/*")
    assert store.get("/wood/oak") is None
    store.delete_many("/wood/m*")
    assert store.count("/wood/*") == 1


def test_folding_over_matches(store: khepri.Store) -> None:
    for number in range(3):
        store.put(["n", str(number)], number)
    assert store.fold("/n/*", lambda _path, props, total: total + props["data"], 0) == 3
    assert store.map("/n/*", lambda path, _props: path.name) == {
        khepri.Path(["n", str(n)]): str(n) for n in range(3)
    }
    assert store.filter("/n/*", lambda _path, props: props["data"] > 1) == {khepri.Path("/n/2"): 2}
    seen: list[str] = []
    store.foreach("/n/*", lambda path, _props: seen.append(path.name))
    assert seen == ["0", "1", "2"]


def test_the_function_of_a_fold_may_use_the_store(store: khepri.Store) -> None:
    store.put("/n/1", 1)
    store.foreach("/n/*", lambda path, _props: store.put(path / "seen", True))
    assert store.get("/n/1/seen") is True


def test_the_advanced_functions_return_properties(store: khepri.Store) -> None:
    assert store.adv.put("/a/b", 1) == {khepri.Path("/a/b"): {"payload_version": 1}}
    assert store.adv.put("/a/b", 2) == {khepri.Path("/a/b"): {"data": 1, "payload_version": 2}}
    assert store.adv.get("/a/b") == {"data": 2, "payload_version": 2}
    assert khepri.adv.get("/a", store_id="orders", props_to_return=["child_names"]) == {
        "child_names": ["b"]
    }
    deleted = store.adv.delete("/a/b")
    assert deleted[khepri.Path("/a/b")]["delete_reason"] == "explicit"
    assert deleted[khepri.Path("/a")]["delete_reason"] == "keep_while"


def test_keep_while_ties_a_tree_node_to_another(store: khepri.Store) -> None:
    store.put("/boss", 1)
    store.put("/helper", 1, keep_while={"/boss": khepri.IfNodeExists()})
    store.delete("/boss")
    assert not store.exists("/helper")
    with pytest.raises(KeepWhileConditionsNotMetError):
        store.put("/helper", 1, keep_while={"/boss": khepri.IfNodeExists()})


def test_conditions_on_one_tree_node_under_several_keys_are_all_shown(store: khepri.Store) -> None:
    store.put("/boss", 1)
    shown: khepri.types.KeepWhileOption = {
        "/boss": khepri.IfHasData(),
        "../boss": khepri.IfDataMatches(1),
    }
    store.put("/helper", 1, keep_while=shown)
    kept = store.adv.get("/helper", props_to_return=["keep_while"])["keep_while"]
    assert list(kept) == [khepri.Path("/boss")]
    store.put("/other", 1, keep_while=kept)  # means the same
    store.put("/boss", 2)
    assert not store.exists("/helper")
    assert not store.exists("/other")
    for one in (khepri.IfHasData(), khepri.IfDataMatches(1)):
        assert repr(one) in repr(kept)


def test_a_batch_is_all_or_nothing(store: khepri.Store) -> None:
    with store.batch() as batch:
        batch.put("/a", 1)
        batch.create("/b", 2)
        batch.delete("/c")
    assert (store.get("/a"), store.get("/b")) == (1, 2)
    failing = store.batch()
    failing.put("/a", 9)
    failing.create("/b", 9)
    with pytest.raises(MismatchingNodeError) as caught:
        failing.commit()
    assert caught.value.batch_position == 1
    assert store.get("/a") == 1


def test_a_batch_is_one_log_entry(store: khepri.Store) -> None:
    store.put("/a", 0)
    before = khepri.cluster.status("orders").last_index
    with store.batch() as batch:
        for number in range(500):
            batch.put(["n", str(number)], number)
    assert khepri.cluster.status("orders").last_index == before + 1
    assert store.count("/n/*") == 500


def test_an_exception_in_its_block_drops_a_batch(store: khepri.Store) -> None:
    def fail_in_the_middle() -> None:
        with store.batch() as batch:
            batch.put("/a", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    assert not store.exists("/a")


def test_a_batch_is_committed_once(store: khepri.Store) -> None:
    batch = store.batch()
    batch.put("/a", 1)
    batch.commit()
    with pytest.raises(khepri.MisuseError, match="sent already"):
        batch.put("/a", 2)


def test_futures_of_asynchronous_writes(store: khepri.Store) -> None:
    futures = [store.put("/n", number, async_=True) for number in range(1000)]
    assert [future.get(timeout=20) for future in futures] == [None] * 1000
    assert store.adv.get("/n") == {"data": 999, "payload_version": 1000}
    refused = store.create("/n", 1, async_=True)
    with pytest.raises(MismatchingNodeError):
        refused.get(timeout=20)


def test_a_callback_is_called_when_a_write_is_done(store: khepri.Store) -> None:
    done = threading.Event()
    store.put("/a", 1, async_=True).add_done_callback(lambda _future: done.set())
    assert done.wait(20)


def test_a_write_can_be_awaited_without_blocking_the_loop(store: khepri.Store) -> None:
    async def write() -> list[None]:
        return await asyncio.gather(*(put(number) for number in range(100)))

    async def put(number: int) -> None:
        await store.put(["n", str(number)], number, async_=True)

    asyncio.run(write())
    assert store.count("/n/*") == 100


def test_module_functions_use_the_default_store(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.start(tmp_path / "data", "other")
    khepri.put("/a", 1)
    khepri.put("/a", 2, store_id="other")
    assert khepri.get("/a") == 1
    assert khepri.get("/a", store_id="other") == 2
    assert khepri.Store("other").get("/a") == 2
    with khepri.batch() as batch:
        batch.put("/b", 3)
    assert khepri.count("/*") == 2
    khepri.fence()


def test_a_consistent_read_sees_every_write_sent_before_it(store: khepri.Store) -> None:
    for number in range(200):
        store.put("/n", number, async_=True)
    assert store.get("/n", favor="consistency") == 199


def test_a_written_value_is_visible_to_the_next_read_of_every_thread(store: khepri.Store) -> None:
    wrong: list[tuple[int, object]] = []

    def write_and_read(thread: int) -> None:
        for number in range(200):
            store.put(["t", str(thread)], number)
            found = store.get(["t", str(thread)])
            if found != number:
                wrong.append((number, found))

    threads = [threading.Thread(target=write_and_read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_long_fold_does_not_see_later_writes(store: khepri.Store) -> None:
    for number in range(10):
        store.put(["n", str(number)], number)
    seen: list[int] = []

    def look(path: khepri.Path, properties: dict[str, object]) -> None:
        seen.append(int(str(properties["data"])))
        store.delete(path.parent / str(9 - int(path.name)))

    store.foreach("/n/*", look)
    assert seen == list(range(10))
    assert store.is_empty()


def test_a_snapshot_is_taken_and_the_log_cut_behind_it(tmp_path: Path) -> None:
    config = {"cluster_name": "orders", "snapshot_entries": 50, "snapshot_interval_seconds": 0}
    with khepri.open(tmp_path / "data", config) as store:
        for number in range(300):
            store.put(["n", str(number % 10)], number)
        eventually(lambda: khepri.cluster.status("orders").snapshot_index > 0, "a snapshot")
    with khepri.open(tmp_path / "data", config) as store:
        assert store.get_many("/n/*") == {khepri.Path(["n", str(n)]): 290 + n for n in range(10)}


def test_a_timeout_says_what_was_asked_and_who_leads(store: khepri.Store) -> None:
    with standing_still(store):
        with pytest.raises(
            KhepriTimeoutError, match=r"the write was not.*the leader is here"
        ) as it:
            store.put("/a", 1, timeout=0.02)
        assert it.value.outcome == "unknown"
        with pytest.raises(KhepriTimeoutError, match="what is committed was not answered within"):
            store.get("/a", favor="consistency", timeout=0.02)
        with pytest.raises(
            KhepriTimeoutError, match=r"the write was not answered within 0\.02 sec"
        ):
            asyncio.run(khepri.aio.Store("orders").put("/a", 1, timeout=0.02))


def test_a_batch_keeps_what_its_operations_have_given(store: khepri.Store) -> None:
    with store.batch() as batch:
        batch.put("/a", 1)
        batch.increment("/n", 5)
        with pytest.raises(MisuseError, match="once the batch is committed"):
            _ = batch.results
    assert batch.results == [None, 5]
    failing = store.batch()
    failing.create("/a", 2)
    with pytest.raises(khepri.MismatchingNodeError):
        failing.commit()
    with pytest.raises(MisuseError, match="has not failed"):
        _ = failing.results

    async def later() -> list[object]:
        async with khepri.aio.Store("orders").batch() as awaited:
            awaited.increment("/n")
        return awaited.results

    assert asyncio.run(later()) == [6]


def test_a_handle_wants_a_node_of_this_process() -> None:
    wrong: Any = "bob@127.0.0.1:5701"
    for make in (khepri.Store, khepri.aio.Store):
        with pytest.raises(WrongTypeError, match=r"bob@127\.0\.0\.1:5701"):
            make("orders", wrong)
    with pytest.raises(WrongTypeError, match="node"):
        ClusterManager(wrong)


def test_a_server_is_found_by_a_handle_on_any_node() -> None:
    with memory_store("orders") as store:
        assert khepri.server_ref(store).ask(khepri.messages.Increment("/n")) == 1
        assert store.get("/n") == 1
        with pytest.raises(NoSuchServerError):
            khepri.server_ref("orders")


def test_an_acknowledgement_counts_only_while_the_claim_is_still_mine(
    store: khepri.Store,
) -> None:
    claim: khepri.types.PathLike = ["claims", khepri.IfAll("7", khepri.IfDataMatches("ann"))]

    def acknowledge() -> None:
        with store.batch() as batch:
            batch.require(claim)
            batch.delete("/claims/7")
            batch.put("/done/7", "by ann")

    store.put("/claims/7", "bob")
    with pytest.raises(MismatchingNodeError):
        acknowledge()
    assert store.get("/claims/7") == "bob"
    store.put("/claims/7", "ann")
    acknowledge()
    assert store.get_many("/*/*") == {khepri.Path("/done/7"): "by ann"}
    with pytest.raises(NodeNotFoundError):
        acknowledge()
