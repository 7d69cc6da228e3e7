"""A prepared pattern says which paths match, and what of its matches is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from khepri.machine import concrete_pattern
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.conditions import (
    IfAll,
    IfChildListLength,
    IfDataMatches,
    IfHasData,
    IfNameMatches,
    IfNot,
    IfPathMatches,
)
from khepri.machine.diff import diff, differs
from khepri.machine.edit import subtree
from khepri.machine.match_changes import match_changes
from khepri.machine.names import PARENT
from khepri.machine.paths import Path, resolve_path
from khepri.machine.pattern_index import PatternIndex
from khepri.machine.patterns import find_many
from khepri.machine.tree import NO_CHILDREN, TreeNode
from khepri.machine.unix_paths import STAR
from tests.machine import pattern_helpers, walking_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.machine.components import Component
    from khepri.machine.paths import PathLike
    from khepri.machine.patterns import Pattern
    from khepri.machine.tree import Names


ABC = pattern_helpers.tree({"a": {"b": {"c": {}}}})


def prepared(path: PathLike) -> ConcretePattern:
    return ConcretePattern(resolve_path(path))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "/a/b/c", True),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*", "/a/b/c", False),
        ("/a/b/c/*", "/a/b/c", False),
        ("**/b", "/a/b", True),
        ("/", "/", True),
        ("**", "/", False),
        ("**/x", "/a/b/x", False),
        ("**/..", "/a/b", True),
        ("**/..", "/a/b/c", False),
    ],
)
def test_a_path_matches_a_pattern_or_not(pattern: str, path: str, expected: bool) -> None:
    assert prepared(pattern).matches(ABC, Path(path)) is expected


def test_on_a_path_every_level_a_path_condition_takes_in_must_meet_it() -> None:
    """The walk finds /a/b by the same pattern; triggers and projections ask more (spec §3.2)."""
    assert not prepared([IfPathMatches("b")]).matches(ABC, ("a", "b"))
    assert prepared([IfPathMatches("[ab]")]).matches(ABC, ("a", "b"))


@given(pattern_helpers.trees(), pattern_helpers.patterns)
def test_paths_match_as_the_model_says(root: TreeNode, components: list[Component]) -> None:
    pattern = resolve_path(components)
    assume(PARENT not in pattern)
    concrete = ConcretePattern(pattern)
    for path in walking_model.all_paths(root):
        assert concrete.matches(root, path) == walking_model.covers(root, pattern, path)
    assert not concrete.matches(root, ("no such name",))


@given(pattern_helpers.trees(), pattern_helpers.patterns)
def test_a_path_that_matches_is_one_the_walk_finds(
    root: TreeNode, components: list[Component]
) -> None:
    concrete = prepared(components)
    matches = {path for path, _ in find_many(root, concrete.pattern)}
    assert {path for path in walking_model.all_paths(root) if concrete.matches(root, path)} <= (
        matches
    )


@given(pattern_helpers.trees(), pattern_helpers.patterns)
def test_it_gives_all_that_match_and_is_asked_many_questions_at_once(
    root: TreeNode, components: Any
) -> None:
    concrete = prepared(components)
    paths = [path for path, _ in subtree((), root)]
    expected = [path for path in paths if concrete.matches(root, path)]
    assert list(filter(concrete.matching(root), paths)) == expected
    assert sorted(path for path, _ in concrete.all(root)) == sorted(expected)


def test_many_questions_about_one_tree_walk_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[TreeNode] = []

    def walked(root: TreeNode, pattern: Pattern) -> Iterator[tuple[Names, TreeNode]]:
        walks.append(root)
        return find_many(root, pattern)

    monkeypatch.setattr(concrete_pattern, "find_many", walked)
    names = [f"{number}" for number in range(100)]
    children = {name: TreeNode(None, 1, 1, NO_CHILDREN) for name in names}
    root = TreeNode(None, 1, 1, children)
    is_match = prepared((STAR, PARENT, STAR)).matching(root)
    assert walks == []
    assert all(is_match((name,)) for name in names)
    assert not is_match(("other",))
    assert walks == [root]


@given(pattern_helpers.trees(), pattern_helpers.trees(), pattern_helpers.patterns)
def test_the_changes_are_what_differs_between_the_matches_before_and_after(
    old_root: TreeNode, new_root: TreeNode, components: Any
) -> None:
    concrete = ConcretePattern(resolve_path(components))
    before, after = dict(concrete.all(old_root)), dict(concrete.all(new_root))
    expected = {
        path: (before.get(path), after.get(path))
        for path in {*before, *after}
        if differs(before.get(path), after.get(path))
    }
    changes = list(match_changes(concrete, old_root, new_root, diff(old_root, new_root)))
    assert {change.path: (change.old, change.new) for change in changes} == expected
    assert [change.path for change in changes] == sorted(expected)
    # The index finds the pattern for them: by their paths, or by something above or beside.
    index = PatternIndex[int]().with_pattern(concrete.pattern, 0)
    if not concrete.looks_elsewhere:
        assert all(index.matching(path) for path in expected)
    elif expected:
        differing = [change.path for change in diff(old_root, new_root)]
        assert any(map(index.matching_at_or_below, differing))


@pytest.mark.parametrize(
    ("pattern", "looks"),
    [
        ("/a/b", False),
        ("/a/*", False),
        ("/a/**", False),
        ("**/x", False),
        (["a", IfNot(IfNameMatches("^x"))], False),
        (["a", IfDataMatches(1)], False),
        (["a", IfAll(IfNameMatches("^x"), IfChildListLength(1))], False),
        (["a", IfHasData(), "b"], True),
        (["a", IfAll(IfPathMatches(), IfHasData())], True),
        ([IfHasData(), PARENT, "b"], True),
    ],
)
def test_it_says_whether_a_match_depends_on_other_tree_nodes(
    pattern: list[Component] | str, looks: bool
) -> None:
    assert prepared(pattern).looks_elsewhere is looks


def test_a_tree_node_that_does_not_meet_its_condition_any_more_is_gone() -> None:
    concrete = prepared([IfDataMatches(1)])
    old = pattern_helpers.tree({"a": {}, "b": {}}, {"/a": 1, "/b": 2})
    new = pattern_helpers.tree({"a": {}, "b": {}}, {"/a": 2, "/b": 1})
    kinds = [
        (change.path, change.old is None, change.new is None)
        for change in match_changes(concrete, old, new, diff(old, new))
    ]
    assert kinds == [(("a",), False, True), (("b",), True, False)]


def test_what_lies_below_a_condition_comes_and_goes_with_it() -> None:
    concrete = prepared([IfHasData(), "x"])
    old = pattern_helpers.tree({"a": {"x": {}}})
    new = pattern_helpers.tree({"a": {"x": {}}}, {"/a": 1})
    came = list(match_changes(concrete, old, new, diff(old, new)))
    assert [(each.path, each.old is None) for each in came] == [(("a", "x"), True)]
    went = list(match_changes(concrete, new, old, diff(new, old)))
    assert [(each.path, each.new is None) for each in went] == [(("a", "x"), True)]


@given(st.data())
def test_two_trees_that_share_a_node_have_no_difference_there(data: st.DataObject) -> None:
    root = data.draw(pattern_helpers.trees())
    concrete = ConcretePattern(resolve_path(data.draw(pattern_helpers.patterns)))
    assert list(match_changes(concrete, root, root, diff(root, root))) == []
