"""What spec §2 says of the functions, one test per statement, through a real store.

Paths, conditions, walking, versions, keep-while and events (§2.1, §3) have theirs in
``tests/machine``, where they can be seen without a server.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors.server_messages import AskCore
from khepri.errors import ManyNodesDeniedError
from khepri.raft.events import TimePassed
from khepri.testing.memory_store import memory_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from khepri.options import Favor

FAVORS: tuple[Favor, ...] = ("low_latency", "consistency")


@pytest.fixture(scope="module")
def shared() -> Iterator[khepri.Store]:
    with memory_store("orders") as store:
        yield store


@pytest.fixture
def tree(shared: khepri.Store) -> khepri.Store:
    """Give a store with /a (1), /a/b without data, /a/b/c (2)."""
    shared.delete("/")
    shared.put("/a", 1)
    shared.put("/a/b/c", 2)
    return shared


# --- §2.2 payloads


def test_payloads_are_equal_only_if_they_are_the_same_data(tree: khepri.Store) -> None:
    assert tree.adv.put("/a", 1)[khepri.Path("/a")]["payload_version"] == 1
    assert tree.adv.put("/a", 1.0)[khepri.Path("/a")]["payload_version"] == 2
    assert math.isclose(tree.get("/a"), 1)


# --- §2.3 node properties


def test_each_property_is_told_by_its_name(tree: khepri.Store) -> None:
    def told(path: str, *names: str) -> dict[str, object]:
        return tree.adv.get(path, props_to_return=names)

    assert told("/a", "payload") == {"data": 1}
    assert told("/a", "has_payload") == {"has_data": True}
    assert told("/a/b", "payload", "has_payload") == {}
    assert told("/a", "payload_version", "child_list_version", "child_list_length") == {
        "payload_version": 1,
        "child_list_version": 2,
        "child_list_length": 1,
    }
    assert told("/a", "child_names") == {"child_names": ["b"]}
    assert told("/a", "delete_reason") == {}
    assert isinstance(told("/a", "raw_payload")["raw_payload"], bytes)
    assert told("/a") == {}


def test_the_conditions_of_a_tree_node_are_told_as_a_put_takes_them(tree: khepri.Store) -> None:
    conditions = {
        "/a": khepri.IfAll(khepri.IfHasData(), khepri.IfPayloadVersion(khepri.Le(7))),
        "../../*": khepri.IfNot(khepri.IfDataMatches(khepri.DictWith({"k": int}))),
    }
    tree.put("/kept/here", 1, keep_while=conditions, ttl=600)
    told = tree.adv.get("/kept/here", props_to_return=["keep_while"])
    assert told == {
        "keep_while": {
            khepri.Path("/a"): conditions["/a"],
            khepri.realpath("/*"): conditions["../../*"],
        }
    }
    tree.put("/kept/there", 1, keep_while=told["keep_while"])
    assert tree.adv.get("/kept/there", props_to_return=["keep_while"]) == told
    tree.put("/kept/here", 1, keep_while={})
    assert tree.adv.get("/kept/here", props_to_return=["keep_while"]) == {}


def test_without_a_wish_payload_and_its_version_are_told(tree: khepri.Store) -> None:
    assert tree.adv.get("/a") == {"data": 1, "payload_version": 1}
    assert tree.adv.get("/a/b") == {"payload_version": 1}


# --- §2.4 options


def test_a_condition_takes_the_place_of_favor(tree: khepri.Store) -> None:
    """The place is applied here already, so nobody is asked, though the server stands still."""
    view = tree.view()
    here = khepri.applied(view.index, view.term)
    server = tree.access.server
    assert server is not None
    reached, gate = threading.Event(), threading.Event()

    def stand_still(_ticket: object) -> TimePassed:
        reached.set()
        assert gate.wait(20)
        return TimePassed()

    server.cast(AskCore(stand_still))
    assert reached.wait(20)
    tree.access.withdraw_lease()
    try:
        assert tree.get("/a", favor="consistency", condition=here, timeout=0.05) == 1
        with pytest.raises(khepri.KhepriTimeoutError):
            tree.get("/a", favor="consistency", timeout=0.05)
    finally:
        gate.set()


def test_every_way_to_write_a_path_means_the_same(tree: khepri.Store) -> None:
    names: list[Any] = [
        "/a/b/c", "a/b/c", "./a/b/c", "/a/b/c/", "/x/../a/b/c", khepri.Path("/a/b/c"),
        ["a", "b", "c"], ("a", "b", "c"), [khepri.ROOT, "a", khepri.THIS, "b", "c"],
        "/a/%62/c", "../../a/b/c",
    ]  # fmt: skip
    for name in names:
        assert tree.get(name) == 2, name


# --- §2.5 reads


def test_a_store_is_empty_if_its_root_has_no_child(tree: khepri.Store) -> None:
    assert not tree.is_empty()
    tree.delete("/a")
    tree.put("/", "data of the root do not count")
    assert tree.is_empty()


def test_get_gives_none_for_a_node_without_payload_and_an_error_for_none(
    tree: khepri.Store,
) -> None:
    assert tree.get("/a/b") is None
    with pytest.raises(khepri.NodeNotFoundError) as error:
        tree.get("/a/x/y")
    assert error.value.node_name == "x"
    assert error.value.node_path == khepri.Path("/a/x")
    assert error.value.node_is_target is False


def test_get_or_has_a_default_for_no_payload_and_for_no_node(tree: khepri.Store) -> None:
    assert tree.get_or("/a", 7) == 1
    assert tree.get_or("/a/b", 7) == 7
    assert tree.get_or("/no", 7) == 7


def test_get_many_gives_every_match_and_nothing_for_none(tree: khepri.Store) -> None:
    assert tree.get_many("/a/**") == {khepri.Path("/a/b"): None, khepri.Path("/a/b/c"): 2}
    assert tree.get_many_or("/a/**", 0)[khepri.Path("/a/b")] == 0
    assert tree.get_many("/no/*") == {}
    assert tree.get_many("/no") == {}


def test_existence_and_data_are_told_apart(tree: khepri.Store) -> None:
    assert [tree.exists(at) for at in ("/a", "/a/b", "/no")] == [True, True, False]
    assert [tree.has_data(at) for at in ("/a", "/a/b", "/no")] == [True, False, False]
    assert [tree.is_sproc(at) for at in ("/a", "/a/b", "/no")] == [False, False, False]


def test_count_counts_with_and_without_payload(tree: khepri.Store) -> None:
    assert [tree.count(at) for at in ("/", "/a", "/**", "/*", "/no", "/no/**")] == [
        1, 1, 3, 1, 0, 0,
    ]  # fmt: skip


def test_folding_over_nothing_gives_the_accumulator(tree: khepri.Store) -> None:
    assert tree.fold("/no/*", lambda _at, _props, acc: acc + 1, 5) == 5


def test_a19_an_exception_of_a_callers_function_reaches_the_caller_and_nobody_else(
    tree: khepri.Store,
) -> None:
    class OwnError(Exception):
        pass

    def fail(_path: khepri.Path, _properties: dict[str, object], *_more: object) -> None:
        raise OwnError

    server = tree._get_node().access("orders").server
    for favor in FAVORS:
        for walk in (tree.foreach, tree.map, tree.filter):
            with pytest.raises(OwnError):
                walk("/a", fail, favor=favor)
        with pytest.raises(OwnError):
            tree.fold("/a", fail, None, favor=favor)
    assert server is tree._get_node().access("orders").server, "it was restarted"
    tree.put("/a", 2)
    assert tree.get("/a", favor="consistency") == 2


def test_map_gives_results_and_filter_gives_data(tree: khepri.Store) -> None:
    names = tree.map("/**", lambda at, _props: at.name)
    assert list(names.values()) == ["a", "b", "c"]
    with_data = tree.filter("/**", lambda _at, props: "data" in props)
    assert with_data == {khepri.Path("/a"): 1, khepri.Path("/a/b/c"): 2}


def test_matches_always_come_in_path_order(tree: khepri.Store) -> None:
    for name in ("z", "é", "10", "9", "", "Z", "a b"):
        tree.put(["o", name], 1)
    names = [at.name for at in tree.get_many("/o/*")]
    assert names == sorted(names)
    assert list(tree.adv.put_many("/o/*", 2)) == [khepri.Path(["o", it]) for it in names]
    assert next(iter(tree.adv.delete("/o"))) == khepri.Path("/o")


# --- §2.5 writes


def test_functions_on_one_node_refuse_patterns_of_many(tree: khepri.Store) -> None:
    calls: list[Callable[[str], object]] = [
        tree.get, tree.exists, tree.has_data, tree.is_sproc, tree.delete, tree.clear_payload,
        tree.adv.get, tree.adv.delete, tree.increment, tree.touch,
        lambda at: tree.get_or(at, 1), lambda at: tree.put(at, 1), lambda at: tree.create(at, 1),
        lambda at: tree.update(at, 1), lambda at: tree.compare_and_swap(at, 1, 2),
        lambda at: tree.copy(at, "/x"), lambda at: tree.move("/a", at),
    ]  # fmt: skip
    for call in calls:
        for pattern in ("/a/*", "/missing/**"):
            with pytest.raises(ManyNodesDeniedError):
                call(pattern)
    assert tree.count("/**") == 3


def test_put_many_of_a_plain_path_is_a_put(tree: khepri.Store) -> None:
    tree.put_many("/new/node", 1)
    assert tree.get("/new/node") == 1
    tree.put_many("/*/tail", 2)
    assert set(tree.get_many("/*/tail")) == {khepri.Path("/a/tail"), khepri.Path("/new/tail")}


def test_deleting_and_clearing_nothing_is_done_already(tree: khepri.Store) -> None:
    tree.delete("/no")
    tree.delete_many("/no/*")
    tree.clear_payload("/no")
    assert tree.adv.delete("/no") == {}
    assert tree.adv.clear_payload("/no") == {}
    assert not tree.exists("/no")


def test_a_delete_with_an_unmet_condition_is_done_already(tree: khepri.Store) -> None:
    tree.delete([khepri.IfAll("a", khepri.IfDataMatches(9))])
    assert tree.exists("/a")


def test_advanced_writes_tell_old_payloads_and_new_versions(tree: khepri.Store) -> None:
    at = khepri.Path("/n")
    assert tree.adv.put("/n", 1) == {at: {"payload_version": 1}}
    assert tree.adv.put("/n", 2) == {at: {"data": 1, "payload_version": 2}}
    assert tree.adv.put("/n", 2) == {at: {"data": 2, "payload_version": 2}}
    assert tree.adv.update("/n", 3) == {at: {"data": 2, "payload_version": 3}}
    assert tree.adv.compare_and_swap("/n", 3, 4) == {at: {"data": 3, "payload_version": 4}}
    assert tree.adv.clear_payload("/n") == {at: {"data": 4, "payload_version": 5}}
    assert tree.adv.create("/m", 1) == {khepri.Path("/m"): {"payload_version": 1}}
    assert tree.adv.delete("/n") == {at: {"payload_version": 5, "delete_reason": "explicit"}}


def test_parents_made_on_the_way_are_not_told(tree: khepri.Store) -> None:
    assert set(tree.adv.put("/x/y/z", 1)) == {khepri.Path("/x/y/z")}


def test_a_delete_tells_the_subtree_and_what_goes_with_it(tree: khepri.Store) -> None:
    tree.put("/x/y/z", 1)
    reasons = {str(at): it["delete_reason"] for at, it in tree.adv.delete("/x/y/z").items()}
    assert reasons == {"/x": "keep_while", "/x/y": "keep_while", "/x/y/z": "explicit"}
    tree.put("/x/y/z", 1)
    assert set(tree.adv.delete("/x/y/z", return_indirect_deletes=False)) == {khepri.Path("/x/y/z")}


def test_clearing_an_implicit_node_without_children_tells_its_removal(
    tree: khepri.Store,
) -> None:
    tree.put("/x/y", 1)
    tree.put("/x", 1)
    tree.delete("/x/y")
    assert tree.adv.clear_payload("/x")[khepri.Path("/x")] == {
        "payload_version": 3,
        "delete_reason": "keep_while",
    }


def test_deleting_the_root_empties_it_and_tells_all(tree: khepri.Store) -> None:
    tree.put("/", 9)
    told = tree.adv.delete("/")
    assert told[khepri.Path()]["data"] == 9
    assert len(told) == 4
    assert tree.is_empty()
    assert tree.get("/") is None


def test_a_put_tells_what_it_ends_by_keep_while(tree: khepri.Store) -> None:
    tree.put("/w/x", 1, keep_while={"/a": khepri.IfDataMatches(1)})
    told = tree.adv.put("/a", 2)
    assert told[khepri.Path("/a")] == {"data": 1, "payload_version": 2}
    assert told[khepri.Path("/w/x")]["delete_reason"] == "keep_while"
    assert set(told) == {khepri.Path(at) for at in ("/a", "/w", "/w/x")}
    tree.put("/w/x", 1, keep_while={"/a": khepri.IfDataMatches(2)})
    told = tree.adv.put("/a", 3, return_indirect_deletes=False)
    assert set(told) == {khepri.Path("/a")}
    assert not tree.exists("/w")


def test_a_clear_whose_condition_is_not_met_is_a_mismatch(tree: khepri.Store) -> None:
    with pytest.raises(khepri.MismatchingNodeError):
        tree.clear_payload([khepri.IfAll("a", khepri.IfDataMatches(9))])
    tree.clear_many_payloads([khepri.IfDataMatches(9)])
    assert tree.get("/a") == 1


def test_the_root_is_written_like_any_other_tree_node(tree: khepri.Store) -> None:
    root = khepri.Path()
    tree.put("/", 1)
    tree.update("/", 2)
    tree.compare_and_swap("/", 2, 3)
    with pytest.raises(khepri.MismatchingNodeError) as error:
        tree.create("/", 4)
    assert error.value.node_path == root
    assert tree.get("/") == 3
    told = tree.adv.clear_payload("/")
    assert told[root]["data"] == 3
    assert tree.get("/") is None


# --- §2.6 errors


def test_an_unmet_keep_while_names_the_node_and_the_reason(tree: khepri.Store) -> None:
    error_class = khepri.errors.KeepWhileConditionsNotMetError
    with pytest.raises(error_class) as error:
        tree.put("/new", 1, keep_while={"/none/*": khepri.IfNodeExists()})
    assert error.value.node_path == khepri.Path("/new")
    assert error.value.keep_while_reason == (khepri.realpath("/none/*"), None)
    with pytest.raises(error_class) as error:
        tree.put("/new", 1, keep_while={"/a": khepri.IfDataMatches(9)})
    assert error.value.keep_while_reason == (khepri.Path("/a"), khepri.IfDataMatches(9))
    assert not tree.exists("/new")


def test_a_mismatch_tells_what_is_there_instead(tree: khepri.Store) -> None:
    with pytest.raises(khepri.MismatchingNodeError) as error:
        tree.create("/a", 2)
    facts = error.value.facts
    assert facts["node_name"] == "a"
    assert facts["node_path"] == khepri.Path("/a")
    assert facts["node_is_target"] is True
    assert facts["node_props"] == {"data": 1, "payload_version": 1}
    assert facts["condition"] == khepri.IfNodeExists(exists=False)


def test_an_update_of_nothing_reports_its_target_with_the_condition(tree: khepri.Store) -> None:
    with pytest.raises(khepri.NodeNotFoundError) as error:
        tree.update("/nope", 1)
    condition = khepri.IfAll("nope", khepri.IfNodeExists(exists=True))
    assert error.value.condition == condition


# --- §2.8 asynchronous commands


def test_asynchronous_writes_are_applied_in_the_order_of_the_calls(tree: khepri.Store) -> None:
    futures = [tree.put("/order", number, async_=True) for number in range(50)]
    swaps = tree.compare_and_swap("/order", 49, "last", async_=True)
    assert swaps.get(timeout=20) is None
    assert all(future.done() for future in futures)
    assert tree.get("/order") == "last"


def test_a_fence_waits_for_what_was_sent_before_it(tree: khepri.Store) -> None:
    for number in range(50):
        tree.put("/order", number, async_=True)
    tree.fence()
    assert tree.get("/order") == 49
