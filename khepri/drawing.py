"""Draws a tree with branches, from its lines in order.

It knows neither stores nor terminals: a line is a depth and a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Line(NamedTuple):
    """One tree node: how deep below the drawn root it is (1 for a child), and its text."""

    depth: int
    text: str


class Branches(NamedTuple):
    """The signs in front of a text."""

    middle: str
    last: str
    passing: str
    nothing: str


UNICODE = Branches("├── ", "└── ", "│   ", "    ")
ASCII = Branches("|-- ", "`-- ", "|   ", "    ")


def draw(lines: Sequence[Line], branches: Branches = UNICODE) -> Iterator[str]:
    """Put branches in front of lines.

    Args:
        lines: in the order of a walk that visits a tree node before its children; the first has
            depth 1, and each is at most one deeper than the one before.
        branches: the signs to draw with.
    """
    is_last = _marks_of_last_siblings(lines)
    # What stands in front of the children of each depth.
    prefixes = [""]
    for (depth, text), last in zip(lines, is_last, strict=True):
        del prefixes[depth:]
        yield prefixes[-1] + (branches.last if last else branches.middle) + text
        prefixes.append(prefixes[-1] + (branches.nothing if last else branches.passing))


def _marks_of_last_siblings(lines: Sequence[Line]) -> list[bool]:
    """Tell for each line whether no sibling follows; found by walking backwards."""
    marks: list[bool] = []
    followed: set[int] = set()
    for depth, _ in reversed(lines):
        marks.append(depth not in followed)
        followed = {other for other in followed if other < depth} | {depth}
    marks.reverse()
    return marks
