"""Beginning in the middle of a walk, and the remembered order of large families."""

from __future__ import annotations

import gc
from itertools import islice

import immutables
from hypothesis import given, settings
from hypothesis import strategies as st

from khepri.machine import queries, sorted_families
from khepri.machine.paths import Path, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.sorted_families import names_behind, sorted_names
from khepri.machine.tree import NO_CHILDREN, TreeNode
from tests.machine.machine_helpers import path
from tests.machine.pattern_helpers import patterns, trees


@given(trees(), patterns, st.lists(st.sampled_from(["a", "b", "c", "ab", ""]), max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_walk_begun_behind_a_path_is_the_rest_of_the_whole_walk(
    root: TreeNode, pattern: list[object], after: list[str]
) -> None:
    resolved = resolve_path(pattern)  # type: ignore[arg-type]  # components of all kinds
    whole = [at for at, _node in find_many(root, resolved)]
    rest = [at for at, _node in find_many(root, resolved, after=tuple(after))]
    assert rest == [at for at in whole if tuple(at) > tuple(after)]


def large_family(size: int) -> immutables.Map[str, TreeNode]:
    leaf = TreeNode(None, 1, 1, NO_CHILDREN)
    return immutables.Map({f"n{number:05}": leaf for number in range(size)})


def test_the_order_of_a_large_family_is_found_once_and_forgotten_with_it() -> None:
    family = large_family(5_000)
    names = sorted_names(family)
    assert names == sorted(family)
    assert sorted_names(family) is names
    assert list(names_behind(family, "n04997")) == ["n04998", "n04999"]
    assert any(it[0]() is family for it in sorted_families._kept)
    del family
    gc.collect()
    assert all(it[0]() is not None for it in sorted_families._kept)
    assert names not in [it[1] for it in sorted_families._kept]


def test_only_a_few_orders_are_kept() -> None:
    families = [large_family(5_000) for _ in range(7)]
    for family in families:
        sorted_names(family)
    assert len(sorted_families._kept) <= 4
    assert sorted_names(families[0]) == sorted_names(families[6])


def test_small_families_are_sorted_where_they_stand() -> None:
    family = {"b": 1, "a": 2, "c": 3}
    assert sorted_names(family) == ["a", "b", "c"]  # type: ignore[arg-type]
    assert list(names_behind(family, "a")) == ["b", "c"]  # type: ignore[arg-type]


def test_pages_of_a_large_family_follow_each_other() -> None:
    root = TreeNode(None, 1, 1, {"x": TreeNode(None, 1, 1, large_family(6_000), None, 6_001)})
    found: list[Path] = []
    while page := list(
        islice(find_many(root, path("/x/*"), after=found[-1] if found else None), 1_000)
    ):
        found += [Path(at) for at, _node in page]
    assert len(found) == 6_000
    assert found == sorted(found)


def test_counting_children_does_not_walk() -> None:
    family = TreeNode(None, 1, 1, large_family(100), None, 101)
    root = TreeNode(None, 1, 1, {"x": family}, None, 102)
    assert queries.count(root, path("/x/*")) == 100
    assert queries.count(root, path("/*")) == 1
    assert queries.count(root, path("/*"), include_root=True) == 2
    assert queries.count(root, path("/**"), include_root=True) == 102
    assert queries.count(root, path("/no/*")) == 0
    assert queries.count(root, path("/x/*"), include_root=True) == 100
