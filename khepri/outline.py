"""What of a tree is drawn when not all of it is: so many tree nodes, chosen so that one sees most.

A part that fits is shown whole. Of a larger one some children are shown, and what is left for the
levels below is dealt out among them: little to each would show nothing of any, so it is a few
tree nodes each, and the first ones get them. What is left out is counted and never looked at, so
the cost is that of what is shown and of the largest family among it.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Final, NamedTuple

from .painting import natural_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from khepri.machine.tree import TreeNode

_A_FEW: Final = 5
"""Less than this many tree nodes below one are shown only if they are all there are."""


class Row(NamedTuple):
    """One tree node that is shown, or all the siblings that are not.

    Attributes:
        depth: how many levels it is below the top.
        name: its name.
        node: the tree node; None for siblings that are left out.
        left_out: how many tree nodes below it are not shown; or how many siblings.
    """

    depth: int
    name: str
    node: TreeNode | None
    left_out: int


def outline(top: TreeNode, limit: int | None) -> Iterator[Row]:
    """Give what is shown of a tree, in the order of a walk, the top first.

    Args:
        top: of the tree.
        limit: so many tree nodes below the top at most; None for all.
    """
    room = top.size - 1 if limit is None else limit
    waiting: list[tuple[int, str, TreeNode | None, int]] = [(0, "", top, room)]
    while waiting:
        depth, name, node, room = waiting.pop()
        if node is None or node.size == 1 or room < 1:
            left_out = room if node is None else node.size - 1
            yield Row(depth, name, node, left_out)
            continue
        yield Row(depth, name, node, 0)
        children = node.children
        chosen = _choose(children, node.size - 1, room)
        if len(chosen) < len(children):
            waiting.append((depth + 1, "", None, len(children) - len(chosen)))
        waiting.extend((depth + 1, it, children[it], share) for it, share in reversed(chosen))


def _choose(children: Mapping[str, TreeNode], below: int, room: int) -> list[tuple[str, int]]:
    """Choose the children that are shown, and how many tree nodes below each."""
    if below <= room:
        return [(name, children[name].size - 1) for name in sorted(children, key=natural_key)]
    names = nsmallest(room, children, key=natural_key)
    first = names[: (room + 1) // 2]
    room -= len(first)
    wanted = [children[name].size - 1 for name in first]
    shares = _deal(wanted, room)
    room -= sum(shares)
    further = names[len(first) : len(first) + room]
    room -= len(further)
    for number, share in enumerate(shares):  # what nobody else has use for
        shares[number] += min(wanted[number] - share, room)
        room -= shares[number] - share
    return [*zip(first, shares, strict=True), *((name, 0) for name in further)]


def _deal(wanted: Sequence[int], room: int) -> list[int]:
    """Deal out room for tree nodes; give the shares."""
    shares = [0] * len(wanted)
    if room // len(wanted) < _A_FEW:
        for number, want in enumerate(wanted):
            share = min(want, _A_FEW)
            if share <= room:
                shares[number] = share
                room -= share
        return shares
    # Who wants least comes first, so that what it does not need is for the others.
    for done, number in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        shares[number] = min(wanted[number], room // (len(wanted) - done))
        room -= shares[number]
    return shares
