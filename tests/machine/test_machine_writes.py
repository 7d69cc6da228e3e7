"""Writing to the tree: one test per statement of the specification (§2.5, §3.3, §3.4, §3.6).

Long, because the specification makes so many statements.
"""

from __future__ import annotations

import pytest

from khepri.errors import (
    CommandFailedError,
    InvalidOptionError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    NodeNotFoundError,
)
from khepri.machine import commands
from khepri.machine.conditions import (
    IfAll,
    IfAny,
    IfDataMatches,
    IfHasData,
    IfNameMatches,
    IfNodeExists,
    IfNot,
    IfPayloadVersion,
)
from khepri.machine.names import ROOT, Special
from khepri.machine.paths import Path, resolve_path
from khepri.machine.properties import DEFAULT_PROPERTIES, property_mask
from khepri.machine.values import ProcedureName
from tests.machine.machine_helpers import ALL, Origin, error_of, path, value


@pytest.fixture
def origin() -> Origin:
    return Origin()


# --- put ---


def test_put_creates_a_node_with_its_missing_parents(origin: Origin) -> None:
    origin.put("/a/b/c", 1)
    assert origin.tree() == {"/a": None, "/a/b": None, "/a/b/c": 1}


def test_put_replaces_the_payload_and_keeps_the_children(origin: Origin) -> None:
    origin.put("/a/b", 1)
    origin.put("/a", 2)
    assert origin.tree() == {"/a": 2, "/a/b": 1}


def test_put_of_no_payload_creates_an_empty_node(origin: Origin) -> None:
    origin.put_nothing("/a")
    assert origin.tree() == {"/a": None}


def test_put_may_target_the_root(origin: Origin) -> None:
    origin.put("/", 5)
    told = origin.told(commands.put(path("/"), value(6), returning=ALL))
    assert told == {"/": {"data": 5, "payload_version": 3, "child_list_version": 1}}


def test_put_tells_new_versions_and_the_old_payload(origin: Origin) -> None:
    put = commands.put(path("/a/b"), value(1), returning=DEFAULT_PROPERTIES)
    assert origin.told(put) == {"/a/b": {"payload_version": 1}}
    put = commands.put(path("/a/b"), value(2), returning=DEFAULT_PROPERTIES)
    assert origin.told(put) == {"/a/b": {"data": 1, "payload_version": 2}}
    assert origin.told(put) == {"/a/b": {"data": 2, "payload_version": 2}}


def test_only_the_asked_properties_are_told(origin: Origin) -> None:
    origin.put("/a/b", 1)
    names = ["has_payload", "child_list_length", "child_names", "raw_payload"]
    put = commands.put(path("/a"), value(2), returning=property_mask(names))
    assert origin.told(put) == {"/a": {"child_list_length": 1, "child_names": ["b"]}}
    assert origin.told(put) == {
        "/a": {
            "has_data": True,
            "raw_payload": value(2),
            "child_list_length": 1,
            "child_names": ["b"],
        }
    }
    assert origin.told(commands.put(path("/a"), value(3), returning=0)) == {"/a": {}}


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(InvalidOptionError):
        property_mask(["colour"])


def test_a_stored_procedure_is_told_apart_from_data(origin: Origin) -> None:
    origin.put("/p", ProcedureName("clean up"))
    mask = property_mask(["payload", "has_payload"])
    told = origin.told(commands.put(path("/p"), value(1), returning=mask))
    assert told == {"/p": {"sproc": "clean up", "is_sproc": True}}


def test_put_with_a_pattern_for_one_node_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ManyNodesDeniedError):
        commands.put(path("/a/*"), value(1))


def test_put_below_a_specific_node_with_a_condition_needs_the_condition(origin: Origin) -> None:
    target = resolve_path([IfAll("a", IfHasData()), "b"])
    origin.put_nothing("/a")
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.put(target, value(1)))
    assert error.value.facts["node_path"] == Path("/a")
    assert error.value.facts["node_is_target"] is False
    origin.put("/a", 1)
    origin.run(commands.put(target, value(1)))
    assert origin.tree() == {"/a": 1, "/a/b": 1}


@pytest.mark.parametrize(
    "condition",
    [IfNodeExists(exists=False), IfAny(IfNodeExists(exists=False), IfDataMatches(9))],
)
def test_a_condition_may_allow_creation_once(
    origin: Origin, condition: IfNodeExists | IfAny
) -> None:
    target = resolve_path([IfAll("n", condition), "b"])
    origin.run(commands.put(target, value(1)))
    assert origin.tree() == {"/n": None, "/n/b": 1}
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.put(target, value(1)))
    assert error.value.facts["condition"] == condition


def test_a_negation_does_not_allow_creation(origin: Origin) -> None:
    target = resolve_path([IfAll("n", IfNot(IfNodeExists(exists=True)))])
    with pytest.raises(NodeNotFoundError):
        origin.run(commands.put(target, value(1)))
    assert origin.tree() == {}


# --- create, update, compare and swap ---


def test_create_makes_a_node_only_once(origin: Origin) -> None:
    origin.run(commands.create(path("/a/b"), value(1)))
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.create(path("/a/b"), value(2)))
    assert origin.tree() == {"/a": None, "/a/b": 1}
    assert error.value.facts == {
        "node_name": "b",
        "node_path": Path("/a/b"),
        "node_is_target": True,
        "node_props": {"data": 1, "payload_version": 1},
        "condition": IfNodeExists(exists=False),
    }


def test_update_needs_the_node(origin: Origin) -> None:
    with pytest.raises(NodeNotFoundError) as error:
        origin.run(commands.update(path("/nope/x"), value(1)))
    assert error.value.facts == {
        "node_name": "x",
        "node_path": Path("/nope/x"),
        "node_is_target": True,
        "condition": IfAll("x", IfNodeExists(exists=True)),
    }
    assert origin.tree() == {}


@pytest.mark.parametrize("tells", [None, ALL])
def test_create_and_update_answer_alike_with_and_without_results(
    origin: Origin, tells: int | None
) -> None:
    origin.put("/a", 1)
    with pytest.raises(MismatchingNodeError) as mismatch:
        origin.run(commands.create(path("/a"), value(2), returning=tells))
    with pytest.raises(NodeNotFoundError) as missing:
        origin.run(commands.update(path("/b"), value(2), returning=tells))
    assert mismatch.value.facts["condition"] == IfNodeExists(exists=False)
    assert missing.value.facts["condition"] == IfAll("b", IfNodeExists(exists=True))


def test_compare_and_swap_swaps_what_matches(origin: Origin) -> None:
    origin.put("/a", 1)
    swap = commands.compare_and_swap(path("/a"), 1, value(2))
    origin.run(swap)
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(swap)
    assert error.value.facts["node_props"] == {"data": 2, "payload_version": 2}
    assert origin.tree() == {"/a": 2}


def test_compare_and_swap_can_swap_on_a_version(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.run(commands.compare_and_swap(path("/a"), IfPayloadVersion(1), value(2)))
    with pytest.raises(MismatchingNodeError):
        origin.run(commands.compare_and_swap(path("/a"), IfPayloadVersion(1), value(3)))


def test_compare_and_swap_of_a_missing_node_is_not_found(origin: Origin) -> None:
    with pytest.raises(NodeNotFoundError) as error:
        origin.run(commands.compare_and_swap(path("/nope/x"), 1, value(2)))
    assert error.value.facts["node_path"] == Path("/nope/x")


def test_compare_and_swap_does_not_take_1_for_1_point_0(origin: Origin) -> None:
    origin.put("/a", 1)
    with pytest.raises(MismatchingNodeError):
        origin.run(commands.compare_and_swap(path("/a"), 1.0, value(2)))


def test_the_root_can_be_updated_swapped_and_cleared_but_not_created(origin: Origin) -> None:
    origin.run(commands.update(path("/"), value(1)))
    origin.run(commands.compare_and_swap(path("/"), 1, value(2)))
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.create(path("/"), value(3)))
    assert error.value.facts["node_name"] in {ROOT, Special.ROOT}
    assert error.value.facts["node_path"] == ()
    told = origin.told(commands.clear_payload(path("/"), returning=ALL))
    assert told == {"/": {"data": 2, "payload_version": 4, "child_list_version": 1}}


# --- many ---


def test_put_many_updates_every_match_and_says_so(origin: Origin) -> None:
    """Upstream loses updates of inner nodes here (BUG-1)."""
    origin.put("/a/b/c", 1)
    told = origin.told(commands.put(path("/**"), value(5), many=True, returning=ALL))
    assert list(told) == ["/a", "/a/b", "/a/b/c"]
    assert origin.tree() == {"/a": 5, "/a/b": 5, "/a/b/c": 5}


def test_put_many_creates_literal_tails(origin: Origin) -> None:
    origin.put("/a/b", 1)
    origin.put("/c", 1)
    origin.run(commands.put(path("/*/x"), value(2), many=True))
    assert origin.tree() == {"/a": None, "/a/b": 1, "/a/x": 2, "/c": 1, "/c/x": 2}


def test_put_many_below_every_descendant_reaches_inner_nodes_too(origin: Origin) -> None:
    origin.put("/a/b", 1)
    origin.run(commands.put(path("/**/x"), value(2), many=True))
    assert origin.tree() == {"/a": None, "/a/x": 2, "/a/b": 1, "/a/b/x": 2}


def test_put_many_without_a_match_creates_nothing(origin: Origin) -> None:
    assert origin.told(commands.put(path("/no/*"), value(1), many=True, returning=ALL)) == {}
    assert origin.tree() == {}


def test_put_many_skips_what_does_not_meet_the_condition(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.put_nothing("/b")
    pattern = resolve_path([IfAll(IfNameMatches(), IfHasData())])
    origin.run(commands.put(pattern, value(2), many=True))
    assert origin.tree() == {"/a": 2, "/b": None}


def test_put_many_can_include_the_root(origin: Origin) -> None:
    origin.put("/a", 1)
    put = commands.put(path("/*"), value(2), many=True, include_root=True, returning=ALL)
    assert list(origin.told(put)) == ["/", "/a"]


# --- delete ---


def test_delete_removes_the_node_and_all_below(origin: Origin) -> None:
    origin.put("/a/b/c", 1)
    origin.put("/a/d", 2)
    told = origin.told(commands.delete(path("/a/b"), returning=ALL))
    assert told == {
        "/a/b": {"payload_version": 1, "child_list_version": 1, "delete_reason": "explicit"},
        "/a/b/c": {
            "data": 1,
            "payload_version": 1,
            "child_list_version": 1,
            "delete_reason": "explicit",
        },
    }
    assert origin.tree() == {"/a": None, "/a/d": 2}


def test_delete_of_what_is_not_there_is_done_already(origin: Origin) -> None:
    origin.delete("/nope")
    assert origin.told(commands.delete(path("/nope/x"), returning=ALL)) == {}


def test_delete_with_an_unmet_condition_does_nothing(origin: Origin) -> None:
    origin.put("/a", 1)
    target = resolve_path([IfAll("a", IfDataMatches(2))])
    assert origin.told(commands.delete(target, returning=ALL)) == {}
    assert origin.tree() == {"/a": 1}


def test_delete_many_deletes_all_it_reports(origin: Origin) -> None:
    """Upstream leaves /a/x behind here (BUG-2)."""
    origin.put("/a/x", 1)
    origin.put("/a/b/x", 2)
    origin.put("/a/b/y", 3)
    told = origin.told(commands.delete(path("/**/x"), many=True, returning=ALL))
    assert list(told) == ["/a/b/x", "/a/x"]
    assert origin.tree() == {"/a": None, "/a/b": None, "/a/b/y": 3}


def test_deleting_the_root_empties_it(origin: Origin) -> None:
    origin.put("/", 1)
    origin.put("/a/b", 2)
    told = origin.told(commands.delete(path("/"), returning=ALL))
    assert told["/"] == {
        "data": 1,
        "payload_version": 2,
        "child_list_version": 2,
        "delete_reason": "explicit",
    }
    assert list(told) == ["/", "/a", "/a/b"]
    assert origin.tree() == {}
    assert origin.versions("/") == (3, 3)


def test_deleting_an_empty_root_changes_no_version(origin: Origin) -> None:
    origin.delete("/")
    assert origin.versions("/") == (1, 1)


# --- clear ---


def test_clear_takes_the_payload_and_leaves_the_node(origin: Origin) -> None:
    origin.put("/a", 1)
    told = origin.told(commands.clear_payload(path("/a"), returning=ALL))
    assert told == {"/a": {"data": 1, "payload_version": 2, "child_list_version": 1}}
    assert origin.tree() == {"/a": None}


@pytest.mark.parametrize("many", [False, True])
def test_clear_of_a_missing_node_is_done_and_creates_nothing(origin: Origin, many: bool) -> None:
    assert origin.told(commands.clear_payload(path("/no"), many=many, returning=ALL)) == {}
    assert origin.tree() == {}


def test_clear_many_clears_inner_nodes_too(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.put("/a/b", 2)
    origin.run(commands.clear_payload(path("/**"), many=True))
    assert origin.tree() == {"/a": None, "/a/b": None}


# --- versions ---


def test_versions_begin_at_one_and_count_payload_changes(origin: Origin) -> None:
    origin.put("/a", 1)
    assert origin.versions("/a") == (1, 1)
    origin.put("/a", 1)
    assert origin.versions("/a") == (1, 1)
    origin.put("/a", 1.0)
    assert origin.versions("/a") == (2, 1)
    origin.run(commands.clear_payload(path("/a")))
    assert origin.versions("/a") == (3, 1)


def test_only_direct_children_count_in_the_child_list_version(origin: Origin) -> None:
    origin.put("/a/b", 1)
    assert (origin.versions("/a"), origin.versions("/")) == ((1, 1), (1, 2))
    origin.put("/a/c", 1)
    assert (origin.versions("/a"), origin.versions("/")) == ((1, 2), (1, 2))
    origin.put("/a/b/x", 1)
    assert (origin.versions("/a"), origin.versions("/a/b")) == ((1, 2), (1, 2))
    origin.delete("/a/c")
    assert origin.versions("/a") == (1, 3)
    origin.put("/a/b", 2)
    assert origin.versions("/a") == (1, 3)


def test_one_operation_raises_a_version_once(origin: Origin) -> None:
    for name in "abc":
        origin.put(f"/x/{name}", 1)
    before = origin.versions("/x")
    origin.put("/x/stays", 1)
    origin.run(commands.delete(resolve_path(["x", IfAny("a", "b", "c")]), many=True))
    assert origin.versions("/x") == (1, before[1] + 2)


def test_each_operation_of_a_batch_counts_for_itself(origin: Origin) -> None:
    origin.put_nothing("/x")
    puts = [commands.put(path(f"/x/{name}"), value(1)) for name in "abc"]
    origin.run(commands.batch(puts))
    assert origin.versions("/x") == (1, 4)


def test_a_node_made_again_starts_at_one(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.put("/a", 2)
    origin.delete("/a")
    origin.put("/a", 3)
    assert origin.versions("/a") == (1, 1)


# --- batches ---


def test_a_batch_does_all(origin: Origin) -> None:
    operations = [
        commands.put(path("/a"), value(1)),
        commands.put(path("/a"), value(2), returning=ALL),
        commands.create(path("/b/c"), value(3)),
        commands.delete(path("/a")),
    ]
    done, told, created, deleted = origin.run(commands.batch(operations))
    assert (done, created, deleted) == (None, None, None)
    assert told == {Path("/a"): {"data": 1, "payload_version": 2, "child_list_version": 1}}
    assert origin.tree() == {"/b": None, "/b/c": 3}


def test_a_batch_with_nothing_to_tell_tells_nothing(origin: Origin) -> None:
    assert origin.run(commands.batch([commands.put(path("/a"), value(1))])) is None
    assert origin.run(commands.batch([])) is None


def test_a_batch_that_fails_does_nothing_and_says_where(origin: Origin) -> None:
    origin.put("/a", 1)
    operations = [
        commands.put(path("/a"), value(2)),
        commands.delete(path("/a")),
        commands.update(path("/b"), value(3)),
        commands.put(path("/c"), value(4)),
    ]
    with pytest.raises(NodeNotFoundError) as error:
        origin.run(commands.batch(operations))
    assert error.value.facts["batch_position"] == 2
    assert origin.tree() == {"/a": 1}
    assert origin.versions("/a") == (1, 1)


def test_a_batch_cannot_hold_a_batch(origin: Origin) -> None:
    inner = commands.batch([])
    with pytest.raises(InvalidOptionError):
        commands.batch([inner])
    with pytest.raises(CommandFailedError):
        origin.run([commands.BATCH, [inner]])


# --- implicit parents ---


def test_implicit_parents_go_with_their_last_child(origin: Origin) -> None:
    origin.put("/x/y/z", 1)
    told = origin.told(commands.delete(path("/x/y/z"), returning=ALL))
    assert {at: properties["delete_reason"] for at, properties in told.items()} == {
        "/x": "keep_while",
        "/x/y": "keep_while",
        "/x/y/z": "explicit",
    }
    assert origin.tree() == {}


def test_indirect_deletes_are_left_out_on_request(origin: Origin) -> None:
    origin.put("/x/y/z", 1)
    delete = commands.delete(path("/x/y/z"), returning=ALL, return_indirect_deletes=False)
    assert list(origin.told(delete)) == ["/x/y/z"]
    assert origin.tree() == {}


def test_a_payload_keeps_an_implicit_parent(origin: Origin) -> None:
    origin.put("/x/y", 1)
    origin.put("/x", 2)
    origin.delete("/x/y")
    assert origin.tree() == {"/x": 2}
    told = origin.told(commands.clear_payload(path("/x"), returning=ALL))
    assert told == {
        "/x": {"payload_version": 3, "child_list_version": 2, "delete_reason": "keep_while"}
    }
    assert origin.tree() == {}


def test_an_explicit_node_stays_when_its_children_go(origin: Origin) -> None:
    origin.put_nothing("/x")
    origin.put("/x/y", 1)
    origin.delete("/x/y")
    assert origin.tree() == {"/x": None}


def test_putting_an_implicit_node_does_not_make_it_explicit(origin: Origin) -> None:
    origin.put("/x/y", 1)
    origin.put_nothing("/x")
    origin.delete("/x/y")
    assert origin.tree() == {}


def test_empty_conditions_make_an_implicit_node_explicit(origin: Origin) -> None:
    origin.put("/x/y", 1)
    origin.put_nothing("/x", keep_while={})
    origin.delete("/x/y")
    assert origin.tree() == {"/x": None}


# --- large families ---


def test_a_family_grows_large_and_small_again(origin: Origin) -> None:
    """It changes its form on the way up, in one entry and over many, and on the way down."""
    puts = [commands.put(Path(["f", f"{number}"]), value(number)) for number in range(400)]
    origin.replies(*puts[:300])
    for put in puts[300:]:
        origin.run(put)
    assert len(origin.tree()) == 401
    origin.replies(*[commands.put(Path(["f", f"{n}"]), value(-n)) for n in range(400)])
    assert origin.tree()["/f/399"] == -399
    for number in range(399):
        origin.delete(f"/f/{number}")
    assert origin.tree() == {"/f": None, "/f/399": -399}


@pytest.mark.parametrize("wants_changes", [False, True])
@pytest.mark.parametrize("names", [{"a": 1}, "ab", b"ab", None, 7, ["a", 7]])
@pytest.mark.parametrize("in_batch", [False, True])
def test_a_path_that_is_no_list_of_names_is_refused_by_every_way(
    names: object, in_batch: bool, wants_changes: bool
) -> None:
    """Members may run different Pythons, and some may want to know what changes."""
    origin = Origin()
    origin.machine.wants_changes = wants_changes
    put = [commands.PUT, names, value(1)]
    (reply,) = origin.replies([commands.BATCH, [put]] if in_batch else put)
    assert "TypeError" in str(error_of(reply))
    assert origin.tree() == {}
