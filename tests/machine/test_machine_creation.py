"""Which missing tree nodes a put may create (spec §3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from khepri.machine.conditions import (
    Component,
    IfAll,
    IfAny,
    IfDataMatches,
    IfHasData,
    IfNodeExists,
    IfNot,
)
from khepri.machine.names import PARENT, ROOT, THIS
from khepri.machine.outcomes import Found, MismatchingNode, Missing, NodeNotFound
from khepri.machine.paths import Path, PathLike, PathPattern, resolve_path, targets_specific_node
from khepri.machine.patterns import find_one, place_many, place_one
from khepri.machine.unix_paths import STAR_STAR
from tests.machine import walking_model
from tests.machine.pattern_helpers import one_node_patterns, patterns, tree, trees

if TYPE_CHECKING:
    from khepri.machine.outcomes import PlaceOutcome
    from khepri.machine.tree import TreeNode

ABC = tree({"a": {"b": {"c": {}}}}, {"/a/b": 1})
ABSENT = IfNodeExists(exists=False)
PRESENT = IfNodeExists(exists=True)


def place(pattern: PathLike) -> PlaceOutcome:
    return place_one(ABC, resolve_path(pattern))


def places(root: TreeNode, pattern: PathLike) -> list[tuple[str, str]]:
    """All outcomes of a put on many, as (kind, unix path)."""
    return [
        (type(outcome).__name__, str(Path(_path_of(outcome))))
        for outcome in place_many(root, resolve_path(pattern))
    ]


def _path_of(outcome: PlaceOutcome) -> tuple[str, ...]:
    return outcome.path if isinstance(outcome, Found | Missing) else outcome.node_path


# --- one node ----


def test_an_existing_node_is_found() -> None:
    assert place("/a/b") == find_one(ABC, Path("/a/b"))


def test_missing_names_can_be_created() -> None:
    assert place("/a/x") == Missing(("a", "x"), 1)
    assert place("/x/y/z") == Missing(("x", "y", "z"), 0)


def test_demanded_absence_lets_a_node_be_created_on_the_way() -> None:
    assert place([IfAll("n", ABSENT), "x", "b"]) == Missing(("n", "x", "b"), 0)


def test_one_creating_member_of_any_is_enough() -> None:
    either = IfAny(ABSENT, IfDataMatches(9))
    assert place([IfAll("n", either)]) == Missing(("n",), 0)
    outcome = place(["a", IfAll("b", either)])
    node = ABC.children["a"].children["b"]
    assert outcome == MismatchingNode("b", ("a", "b"), True, node, either)


@pytest.mark.parametrize(
    "condition", [IfNot(PRESENT), PRESENT, IfHasData(), IfHasData(False), IfDataMatches(1)]
)
def test_no_other_condition_lets_a_node_be_created(condition: Component) -> None:
    named = IfAll("n", condition)
    assert place([named]) == NodeNotFound("n", ("n",), True, named)
    assert place([named, "x"]) == NodeNotFound("n", ("n",), False, named)
    assert place(["x", named]) == NodeNotFound("n", ("x", "n"), True, named)


def test_an_update_below_a_missing_parent_reports_its_target() -> None:
    condition = IfAll("y", PRESENT)
    assert place(["x", condition]) == NodeNotFound("y", ("x", "y"), True, condition)


def test_an_unmet_condition_on_the_way_is_a_mismatch() -> None:
    node = ABC.children["a"]
    outcome = place([IfAll("a", IfHasData()), "x"])
    assert outcome == MismatchingNode("a", ("a",), False, node, IfHasData())


def test_a_step_up_takes_back_what_was_to_be_created() -> None:
    assert place(["x", "y", PARENT, "z"]) == Missing(("x", "z"), 0)
    assert place([IfAll("x", ABSENT), PARENT, "a"]) == find_one(ABC, Path("/a"))
    assert place([IfAll("x", ABSENT), "y", PARENT, "z"]) == Missing(("x", "z"), 0)


def test_conditions_on_what_is_to_be_created_itself_allow_it_or_not() -> None:
    assert place(["x", IfAll(THIS, ABSENT)]) == Missing(("x",), 0)
    here = IfAll(THIS, IfHasData())
    assert place(["x", here]) == NodeNotFound("x", ("x",), True, here)


def test_the_root_exists() -> None:
    outcome = place([IfAll(ROOT, ABSENT)])
    assert outcome == MismatchingNode(ROOT, (), True, ABC, ABSENT)
    assert place("/") == Found((), ABC)


@given(trees(), one_node_patterns)
def test_a_place_is_what_is_found_unless_nothing_is(
    root: TreeNode, components: list[Component]
) -> None:
    pattern = resolve_path(components)
    names = targets_specific_node(pattern)
    assert names is not None
    where, what = place_one(root, pattern), find_one(root, pattern)
    if isinstance(what, Found):
        assert where == what
    if isinstance(where, Missing):
        assert isinstance(what, NodeNotFound)
        assert where.path == names
        assert where.existing_depth < len(names)
        parent = walking_model.look_up(root, names[: where.existing_depth])
        assert names[where.existing_depth] not in parent.children


# --- many nodes ----


def test_a_named_child_is_created_below_every_match() -> None:
    assert places(ABC, "**/x") == [
        ("Missing", "/a/b/c/x"),
        ("Missing", "/a/b/x"),
        ("Missing", "/a/x"),
    ]


def test_what_exists_already_is_found_and_not_created() -> None:
    root = tree({"a": {"x": {}}, "b": {}})
    assert places(root, "*/x") == [("Found", "/a/x"), ("Missing", "/b/x")]


def test_all_steps_of_names_are_created() -> None:
    assert places(ABC, "*/x/y") == [("Missing", "/a/x/y")]
    assert places(ABC, "/x/y") == [("Missing", "/x/y")]


def test_wildcards_are_never_missing() -> None:
    assert places(ABC, "/nope/*") == []
    assert places(ABC, "/nope/**") == []
    assert places(ABC, "/a/zz*") == []
    assert places(ABC, [IfAny("x", "y")]) == []
    assert places(ABC, [IfAll("n", STAR_STAR)]) == []
    assert places(ABC, ["x", IfAll("n", STAR_STAR)]) == []


def test_one_way_that_allows_creation_is_enough() -> None:
    """/a/x/x is refused as the second step below /a/x, and allowed as the third."""
    root = tree({"a": {"x": {}}}, {"/a/x": 1})
    pattern = PathPattern([STAR_STAR, IfAll("x", IfHasData()), "x"])
    assert places(root, pattern) == [("Missing", "/a/x/x")]


def test_unmet_conditions_are_passed_over() -> None:
    assert places(ABC, [IfAll("a", IfHasData())]) == []
    assert places(ABC, [IfAll("a", IfHasData()), "x"]) == []


def test_a_missing_node_that_may_not_be_created_is_told() -> None:
    assert places(ABC, [IfAll("n", IfHasData())]) == [("NodeNotFound", "/n")]
    assert places(ABC, ["x", IfAll("n", IfHasData())]) == [("NodeNotFound", "/x/n")]


@given(trees(), patterns)
def test_places_are_what_the_model_says(root: TreeNode, components: list[Component]) -> None:
    pattern = resolve_path(components)
    kinds: dict[type, str] = {Found: "found", Missing: "missing", NodeNotFound: "refused"}
    outcomes = place_many(root, pattern)
    told = [(_path_of(outcome), kinds[type(outcome)]) for outcome in outcomes]
    matches = walking_model.matches(root, pattern)
    lacking = walking_model.creatable(root, pattern)
    expected = {path: kind for kind, path in sorted(lacking, reverse=True)}  # missing comes last
    expected |= dict.fromkeys(matches, "found")
    assert told == sorted(expected.items())
    for outcome in outcomes:
        if isinstance(outcome, Missing):
            parent = walking_model.look_up(root, outcome.path[: outcome.existing_depth])
            assert outcome.path[outcome.existing_depth] not in parent.children
