"""The index that finds the patterns a path may match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.machine.conditions import (
    Component,
    IfAll,
    IfHasData,
    IfNameMatches,
    IfNodeExists,
    IfPathMatches,
)
from khepri.machine.paths import Path, resolve_path
from khepri.machine.pattern_index import PatternIndex
from khepri.machine.patterns import find_many
from tests.machine import walking_model
from tests.machine.pattern_helpers import few_names, patterns, trees

if TYPE_CHECKING:
    from khepri.machine.tree import TreeNode

WATCHED = ("/", "/a", "/b", "/*", "**", "/a/b", "/a/*", "/b/*", "**/c", "/a*", "**/*/d")


def index_of(*texts: str) -> PatternIndex[str]:
    """An index of unix patterns, each its own key."""
    index: PatternIndex[str] = PatternIndex()
    for text in texts:
        index = index.with_pattern(resolve_path(text), text)
    return index


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ["/"]),
        ("/a", ["**", "/*", "/a", "/a*"]),
        ("/ax", ["**", "/*", "/a*"]),
        ("/a/b", ["**", "/a/*", "/a/b"]),
        ("/a/b/c", ["**", "**/c"]),
        ("/x/y/d", ["**", "**/*/d"]),
        ("/x/d", ["**"]),
    ],
)
def test_patterns_are_found_by_path(path: str, expected: list[str]) -> None:
    assert index_of(*WATCHED).matching(Path(path)) == expected


def test_a_deletion_finds_what_may_match_below() -> None:
    index = index_of("/a/b/c", "/a/*", "/b/c", "**/z", "/a")
    assert index.matching_at_or_below(Path("/a")) == ["**/z", "/a", "/a/*", "/a/b/c"]
    assert index.matching_at_or_below(Path("/a/b")) == ["**/z", "/a/*", "/a/b/c"]
    assert index.matching_at_or_below(Path("/b")) == ["**/z", "/b/c"]
    assert index.matching_at_or_below(Path()) == ["**/z", "/a", "/a/*", "/a/b/c", "/b/c"]


def test_a_deletion_finds_what_reaches_below_names_that_do_not_match() -> None:
    index = PatternIndex[str]().with_pattern(resolve_path([IfPathMatches("^b"), "c"]), "deep")
    assert index.matching_at_or_below(Path("/a")) == ["deep"]
    assert index.matching_at_or_below(Path("/a/b")) == ["deep"]


def test_what_only_the_tree_knows_counts_as_met() -> None:
    index = PatternIndex[str]().with_pattern(resolve_path(["a", IfHasData()]), "data")
    assert index.matching(Path("/a/x")) == ["data"]


def test_what_the_name_tells_is_decided() -> None:
    named = resolve_path([IfAll("a", IfHasData()), IfNameMatches("^x")])
    index = PatternIndex[str]().with_pattern(named, "named")
    assert index.matching(Path("/a/xy")) == ["named"]
    assert index.matching(Path("/b/xy")) == []
    assert index.matching(Path("/a/y")) == []


def test_a_pattern_with_a_step_up_is_found_wherever_it_may_lead() -> None:
    index = index_of("/a/*/../b", "/c/*/../../d")
    assert "/a/*/../b" in index.matching(Path("/a/b"))
    assert index.matching(Path("/d")) == ["/c/*/../../d"]
    assert index_of("**/../x/*/..").matching(Path("/a/b/x")) == ["**/../x/*/.."]


def test_several_keys_share_a_pattern_and_a_key_has_several_patterns() -> None:
    index = index_of("/a", "/b").with_pattern(resolve_path("/b"), "/a")
    assert index.matching(Path("/a")) == ["/a"]
    assert index.matching(Path("/b")) == ["/a", "/b"]


def test_an_index_is_not_changed_by_its_successors() -> None:
    one = index_of("/a")
    two = one.with_pattern(resolve_path("/a"), "other")
    three = two.without_pattern(resolve_path("/a"), "/a")
    assert one.matching(Path("/a")) == ["/a"]
    assert two.matching(Path("/a")) == ["/a", "other"]
    assert three.matching(Path("/a")) == ["other"]


def test_what_is_removed_leaves_nothing_behind() -> None:
    index = index_of(*WATCHED, "/a/*/..")
    assert index
    for text in (*WATCHED, "/a/*/.."):
        index = index.without_pattern(resolve_path(text), text)
    assert not index


def test_patterns_filed_alike_are_counted() -> None:
    first = resolve_path([IfAll("a", IfHasData())])
    second = resolve_path([IfAll("a", IfNodeExists())])
    index = PatternIndex[str]().with_pattern(first, "key").with_pattern(second, "key")
    assert index.without_pattern(first, "key").matching(Path("/a")) == ["key"]
    assert not index.without_pattern(first, "key").without_pattern(second, "key")


def test_removing_what_is_not_there_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        index_of("/a").without_pattern(resolve_path("/b"), "/b")


@given(st.lists(patterns, max_size=4), trees())
def test_whatever_a_walk_finds_the_index_finds(
    all_components: list[list[Component]], root: TreeNode
) -> None:
    index = PatternIndex[tuple[str, ...]]()
    for number, components in enumerate(all_components):
        index = index.with_pattern(resolve_path(components), (str(number),))
    for number, components in enumerate(all_components):
        for path, _node in find_many(root, resolve_path(components)):
            assert (str(number),) in index.matching(path)
            for length in range(len(path) + 1):
                assert (str(number),) in index.matching_at_or_below(path[:length])


names_and_stars = st.lists(few_names.map(str) | st.sampled_from(["*", "**", "a*"]), max_size=4)


@given(st.lists(names_and_stars, max_size=5), trees())
def test_of_names_and_wildcards_the_index_finds_nothing_else(
    all_texts: list[list[str]], root: TreeNode
) -> None:
    texts = sorted({"/" + "/".join(parts) for parts in all_texts})
    index = index_of(*texts)
    for path in walking_model.all_paths(root):
        matching = [
            text for text in texts if path in walking_model.matches(root, resolve_path(text))
        ]
        assert index.matching(path) == matching


def test_one_path_is_found_among_many_without_trying_all() -> None:
    """Counted in conditions asked: none, for ten thousand plain paths."""
    index = index_of(*(f"/watched/n{i}" for i in range(10_000)))
    forks = list(index._forks(("watched", "n7")))
    assert len(forks) == 1
    assert index.matching(("watched", "n7")) == ["/watched/n7"]
