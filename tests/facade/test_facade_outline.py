"""What of a tree is drawn when not all of it is."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from khepri.machine.tree import TreeNode
from khepri.outline import Row, outline

if TYPE_CHECKING:
    from collections.abc import Mapping

Tree = dict[str, "Tree"]


def made(tree: Mapping[str, Tree]) -> TreeNode:
    children = {name: made(below) for name, below in tree.items()}
    return TreeNode(None, 1, 1, children, size=1 + sum(node.size for node in children.values()))


def leaves(number: int) -> Tree:
    return {str(it): {} for it in range(number)}


def shown(tree: Tree, limit: int | None) -> list[str]:
    top, *rows = outline(made(tree), limit)
    assert (top.depth, top.left_out) == (0, 0)
    return list(map(text_of, rows))


def text_of(row: Row) -> str:
    name = row.name if row.node is not None else "..."
    more = f"+{row.left_out}" if row.left_out else ""
    return "." * (row.depth - 1) + name + more


def test_a_tree_that_fits_is_shown_whole_in_the_order_of_a_walk() -> None:
    tree: Tree = {"b": {"10": {}, "9": {}}, "a": {"x": {"y": {}}}}
    whole = ["a", ".x", "..y", "b", ".9", ".10"]
    assert shown(tree, 6) == shown(tree, None) == whole
    assert shown({}, 1) == shown({}, None) == []


def test_of_a_large_family_the_first_are_shown_and_the_others_counted() -> None:
    assert shown(leaves(1000), 3) == ["0", "1", "2", "...+997"]


def test_a_small_part_is_shown_whole_beside_large_ones_wherever_it_is() -> None:
    tree: Tree = {"a": leaves(50), "b": leaves(70), "c": {"1": {}, "2": {}}}
    assert shown(tree, 25) == [
        "a",
        *(f".{number}" for number in range(10)),
        "....+40",
        "b",
        *(f".{number}" for number in range(10)),
        "....+60",
        "c",
        ".1",
        ".2",
    ]


def test_of_many_parts_the_first_are_shown_whole_and_the_others_by_name() -> None:
    tree: Tree = {f"user-{number:02}": {"mail": {}, "name": {}} for number in range(90)}
    assert shown(tree, 8) == [
        *("user-00", ".mail", ".name", "user-01", ".mail", ".name"),
        *("user-02+2", "user-03+2"),
        "...+86",
    ]


def test_a_chain_deeper_than_python_s_stack_is_no_trouble() -> None:
    node = TreeNode(None, 1, 1, {})
    for depth in range(5_000):
        node = TreeNode(None, 1, 1, {"x": node}, size=depth + 2)
    assert sum(1 for _ in outline(node, None)) == 5_001
    rows = list(outline(node, 7))
    assert rows[-1][:2] == (7, "x")
    assert rows[-1].left_out == 5_000 - 7
    assert node.size == 5_001


def random_tree(chance: random.Random, room: int) -> Tree:
    tree: Tree = {}
    while room > 0 and chance.random() < 0.9:
        part = chance.randint(1, room)
        tree[str(len(tree))] = random_tree(chance, part - 1)
        room -= part
    return tree


@pytest.mark.parametrize("seed", range(20))
def test_everything_is_shown_or_counted_and_never_more_than_asked_for(seed: int) -> None:
    chance = random.Random(seed)
    top = made(random_tree(chance, 200))
    for limit in (1, 2, 3, 10, 50, 199):
        rows = list(outline(top, limit))
        nodes = [row for row in rows if row.node is not None]
        assert len(nodes) - 1 == min(limit, top.size - 1), limit
        below_shown = sum(row.left_out for row in nodes)
        siblings = sum(row.left_out for row in rows if row.node is None)
        assert len(nodes) + below_shown + siblings <= top.size
        for row in nodes:
            assert row.left_out in {0, row.node.size - 1}  # type: ignore[union-attr]


def test_a_family_that_is_not_shown_is_not_looked_at() -> None:
    class Untouched(TreeNode):
        __slots__ = ()

        @property
        def children(self) -> Mapping[str, TreeNode]:  # type: ignore[override]
            raise AssertionError("looked at")

    hidden = Untouched.__new__(Untouched)
    hidden.payload, hidden.size = None, 1_000
    top = TreeNode(None, 1, 1, {"a": hidden, "b": TreeNode(None, 1, 1, {})}, size=1_002)
    assert [text_of(row) for row in outline(top, 2)][1:] == ["a+999", "b"]
