"""Walking a tree along a pattern (spec §3.2)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given

from khepri.errors import ManyNodesDeniedError
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.condition_rules import named_target
from khepri.machine.conditions import (
    Component,
    IfAll,
    IfAny,
    IfDataMatches,
    IfHasData,
    IfNameMatches,
    IfNodeExists,
    IfNot,
    IfPathMatches,
)
from khepri.machine.names import PARENT, ROOT, THIS
from khepri.machine.outcomes import Found, MismatchingNode, NodeNotFound
from khepri.machine.paths import Path, PathLike, resolve_path, targets_specific_node
from khepri.machine.patterns import find_many, find_one
from khepri.machine.unix_paths import STAR, STAR_STAR
from tests.machine import walking_model
from tests.machine.pattern_helpers import chain, leaf, one_node_patterns, patterns, tree, trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from khepri.machine.tree import TreeNode

ABC = tree({"a": {"b": {"c": {}}}})
SIBLINGS = tree({"a": {"x": {}}, "b": {"x": {}}, "c": {}}, {"/a": 1, "/b": 2})


def found(root: TreeNode, pattern: PathLike, *, include_root: bool = False) -> list[str]:
    """The unix forms of all matches, in the order they come."""
    matches = find_many(root, resolve_path(pattern), include_root=include_root)
    return [str(Path(path)) for path, _node in matches]


# --- many nodes ----


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/c", ["/a/b/c"]),
        ("**/b", ["/a/b"]),
        ("/a/**/c", ["/a/b/c"]),
        ("/a/**/b", []),
        ("**", ["/a", "/a/b", "/a/b/c"]),
        ("**/**", ["/a/b", "/a/b/c"]),
        ("**/*", ["/a/b", "/a/b/c"]),
        ("*/**", ["/a/b", "/a/b/c"]),
        ("**/.", ["/a", "/a/b", "/a/b/c"]),
        ("**/..", ["/", "/a", "/a/b"]),
        ("/a/*", ["/a/b"]),
        ("/a/b", ["/a/b"]),
        ("/a/x", []),
        ("/x/**", []),
        ("/", ["/"]),
        ("*/../a", ["/a"]),
        ("**/../..", ["/", "/a"]),
        ("**/../b", ["/a/b"]),
    ],
)
def test_patterns_match_as_recorded_on_khepri(pattern: str, expected: list[str]) -> None:
    assert found(ABC, pattern) == expected


def test_a_path_condition_finds_what_lies_below_nodes_that_do_not_meet_it() -> None:
    assert found(ABC, [IfPathMatches("b")]) == ["/a/b"]
    assert found(ABC, [IfPathMatches("c")]) == ["/a/b/c"]
    assert found(ABC, [IfAll(IfPathMatches(), "c")]) == ["/a/b/c"]


def test_conditions_choose_among_all_children() -> None:
    assert found(SIBLINGS, [IfAll()]) == ["/a", "/b", "/c"]
    assert found(SIBLINGS, [IfAny()]) == []
    assert found(SIBLINGS, [IfNot("a")]) == ["/b", "/c"]
    assert found(SIBLINGS, [IfAny("a", "b", "zzz")]) == ["/a", "/b"]
    assert found(SIBLINGS, [IfHasData()]) == ["/a", "/b"]
    assert found(SIBLINGS, [IfDataMatches(2), "x"]) == ["/b/x"]
    assert found(SIBLINGS, [STAR, "x"]) == ["/a/x", "/b/x"]
    assert found(SIBLINGS, [IfAll("a", IfDataMatches(1))]) == ["/a"]
    assert found(SIBLINGS, [IfAll("a", IfDataMatches(2))]) == []


def test_a_condition_that_names_this_or_root_is_asked_of_the_node_itself() -> None:
    assert found(SIBLINGS, [STAR, IfAll(THIS, IfHasData())]) == ["/a", "/b"]
    assert found(SIBLINGS, [STAR, IfAll(THIS, IfHasData()), "x"]) == ["/a/x", "/b/x"]
    assert found(SIBLINGS, [IfAll(ROOT, IfHasData())]) == []
    assert found(SIBLINGS, [IfAll(ROOT, IfHasData(False)), "c"]) == ["/c"]


def test_the_root_is_matched_by_no_wildcard() -> None:
    assert "/" not in found(ABC, "**")
    assert found(leaf(), "**") == []


def test_the_root_can_be_asked_for_and_is_then_not_tested() -> None:
    assert found(ABC, "*", include_root=True) == ["/", "/a"]
    assert found(ABC, [IfAny()], include_root=True) == ["/"]
    assert found(ABC, "**/..", include_root=True) == ["/", "/a", "/a/b"]
    assert found(ABC, "/a/*", include_root=True) == ["/a/b"]
    assert found(ABC, "/", include_root=True) == ["/"]


def test_a_step_up_from_the_root_stays_there() -> None:
    assert found(ABC, "*/../../../a") == ["/a"]


def test_matches_come_in_the_order_of_their_paths() -> None:
    root = tree({"b": {"a": {}}, "a": {"c": {}, "b": {"z": {}}}, "é": {}, "Z": {}, "a.b": {}})
    in_order = ["/Z", "/a", "/a/b", "/a/b/z", "/a/c", "/a.b", "/b", "/b/a", "/%C3%A9"]
    assert found(root, "**") == in_order
    assert found(root, "**/../*") == in_order


def test_a_match_brings_its_tree_node() -> None:
    (match,) = find_many(ABC, resolve_path("/a/b"))
    assert match == (("a", "b"), ABC.children["a"].children["b"])


class Counted(dict[str, "TreeNode"]):
    """Children that count how often they are looked at."""

    looks = 0

    def __getitem__(self, name: str) -> TreeNode:
        self.looks += 1
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        self.looks += 1000
        return super().__iter__()


def with_counted_children(children: Mapping[str, TreeNode]) -> tuple[TreeNode, Counted]:
    root, counted = leaf(), Counted(children)
    root.children = counted
    return root, counted


def test_matches_are_made_one_by_one() -> None:
    root, counted = with_counted_children({f"n{i:03}": leaf() for i in range(100)})
    first_two = list(itertools.islice(find_many(root, (STAR,)), 2))
    assert [path for path, _node in first_two] == [("n000",), ("n001",)]
    assert counted.looks < 1010


def test_known_siblings_are_looked_up_and_the_others_left_alone() -> None:
    root, counted = with_counted_children({f"n{i:03}": leaf() for i in range(100)})
    assert found(root, [IfAny("n001", IfAll("n002", IfHasData(False)))]) == ["/n001", "/n002"]
    assert counted.looks < 10


def test_a_tree_deeper_than_the_stack_is_walked() -> None:
    root = chain(1500)
    assert sum(1 for _ in find_many(root, (STAR_STAR,))) == 1500
    assert sum(1 for _ in find_many(root, (STAR_STAR, IfHasData()))) == 1
    assert sum(1 for _ in find_many(root, (STAR_STAR, PARENT))) == 1500
    assert isinstance(find_one(root, ("x",) * 1500), Found)
    assert ConcretePattern((STAR_STAR, "x")).matches(root, ("x",) * 1500)


def test_many_deep_wildcards_cost_no_more_than_their_number() -> None:
    """Walked naively, a chain of ``**`` has as many ways as there are subsets of levels."""
    root = chain(60)
    assert sum(1 for _ in find_many(root, (STAR_STAR,) * 30)) == 31
    assert sum(1 for _ in find_many(root, (IfPathMatches("x"),) * 30)) == 31


@given(trees(), patterns)
def test_walks_find_what_the_model_finds(root: TreeNode, components: list[Component]) -> None:
    pattern = resolve_path(components)
    matches = list(find_many(root, pattern))
    paths = [path for path, _node in matches]
    assert paths == sorted(walking_model.matches(root, pattern))
    assert all(walking_model.look_up(root, path) is node for path, node in matches)


@given(trees(), patterns)
def test_resolving_a_pattern_does_not_change_what_it_matches(
    root: TreeNode, components: list[Component]
) -> None:
    """Except for steps up from missing nodes, which resolving takes back before any walk.

    And except for the root's name, also as a condition: resolving begins anew there.
    """
    assume(PARENT not in components)
    assume(ROOT not in map(named_target, components))
    resolved = resolve_path(components)
    assert walking_model.matches(root, resolved) == walking_model.matches(root, components)


# --- one node ----


def test_one_node_is_found_by_its_path() -> None:
    assert find_one(ABC, Path("/a/b")) == Found(("a", "b"), ABC.children["a"].children["b"])
    assert find_one(ABC, Path()) == Found((), ABC)


def test_a_missing_node_is_named_up_to_where_it_is_missing() -> None:
    assert find_one(ABC, Path("/a/x")) == NodeNotFound("x", ("a", "x"), True, None)
    assert find_one(ABC, Path("/a/x/y")) == NodeNotFound("x", ("a", "x"), False, None)


def test_a_missing_node_that_a_condition_named_brings_the_whole_condition() -> None:
    condition = IfAll("nope", IfNodeExists(exists=True))
    assert find_one(ABC, (condition,)) == NodeNotFound("nope", ("nope",), True, condition)


def test_a_mismatching_node_brings_the_condition_that_failed() -> None:
    data = SIBLINGS.children["a"]
    pattern = resolve_path([IfAll("a", IfHasData(), IfDataMatches(9))])
    assert find_one(SIBLINGS, pattern) == MismatchingNode(
        "a", ("a",), True, data, IfDataMatches(9)
    )
    any_of = IfAny(IfDataMatches(8), IfDataMatches(9))
    outcome = find_one(SIBLINGS, resolve_path([IfAll("a", any_of), "x"]))
    assert outcome == MismatchingNode("a", ("a",), False, data, any_of)


def test_conditions_on_the_root_are_answered_like_others() -> None:
    """BUG-8, BUG-9: upstream crashes."""
    outcome = find_one(ABC, (IfAll(ROOT, IfHasData()),))
    assert outcome == MismatchingNode(ROOT, (), True, ABC, IfHasData())
    assert find_one(ABC, (IfAll(ROOT, IfHasData(False)),)) == Found((), ABC)


def test_a_step_up_after_a_named_condition_leads_back() -> None:
    pattern = resolve_path([IfAll("a", IfHasData(False)), PARENT, "a", "b"])
    assert find_one(ABC, pattern) == find_one(ABC, Path("/a/b"))
    pattern = resolve_path([IfAll("a", IfHasData()), PARENT, "b", "x"])
    assert find_one(SIBLINGS, pattern) == find_one(SIBLINGS, Path("/b/x"))
    assert find_one(SIBLINGS, pattern) != find_one(SIBLINGS, Path("/a/x"))


@pytest.mark.parametrize("component", [STAR, STAR_STAR, IfNameMatches("a"), IfAny("a", "b")])
def test_one_node_is_not_looked_for_with_a_pattern_of_many(component: Component) -> None:
    with pytest.raises(ManyNodesDeniedError):
        find_one(ABC, (component,))


@given(trees(), one_node_patterns)
def test_what_is_found_as_one_is_what_is_found_as_many(
    root: TreeNode, components: list[Component]
) -> None:
    pattern = resolve_path(components)
    names = targets_specific_node(pattern)
    assert names is not None
    outcome = find_one(root, pattern)
    matches = list(find_many(root, pattern))
    if isinstance(outcome, Found):
        assert outcome.path == names
        assert matches == [(outcome.path, outcome.node)]
    else:
        assert matches == []
