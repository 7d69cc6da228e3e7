"""A tree as lines of text for a person, with what its tree nodes hold; of a large one a part."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.machine.properties import EXPIRES_AT
from khepri.machine.queries import properties_of
from khepri.machine.tree import procedure_name
from khepri.machine.values import decode_value

from .drawing import Branches, Line, draw
from .outline import outline
from .painting import Paint, many, name_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.machine.tree import TreeNode

LARGEST_DECODED_BYTES: Final = 64 * 1024
"""Larger payloads are not looked into; their size says more than how they begin."""

_values: Final = reprlib.Repr()
_values.maxlist = _values.maxtuple = _values.maxdict = _values.maxset = 40
_values.maxstring = _values.maxother = _values.maxlong = 250


class Style(NamedTuple):
    """How a store is shown.

    Attributes:
        paint: writes texts.
        branches: the signs of the drawing.
        limit: so many tree nodes, or lines of another part, at most; None for all.
        for_all: what one says to have all of them.
    """

    paint: Paint
    branches: Branches
    limit: int | None
    for_all: str = "limit=None"


def tree_lines(root: TreeNode, style: Style) -> Iterator[str]:
    """Draw the tree, or as much of it as there is room for."""
    paint = style.paint
    _top, *rest = outline(root, style.limit)
    drawn = 0
    lines: list[Line] = []
    for depth, name, node, left_out in rest:
        if node is None:
            lines.append(Line(depth, paint.dim(f"... and {left_out:,} more")))
            continue
        drawn += 1
        text = paint.tree_node(name_text(name), payload_text(node), depth)
        lines.append(Line(depth, text + paint.dim(_beside(node, left_out))))
    yield paint.tree_node("/", payload_text(root))
    yield from draw(lines, style.branches)
    if drawn < root.size - 1:
        of_all = f"{drawn:,} of {many(root.size - 1, 'tree node')}"
        yield paint.dim(f"{of_all}; {style.for_all} shows all")


def payload_text(node: TreeNode) -> str | None:
    """Write a payload as Python has it, the beginning at least; None for none."""
    payload = node.payload
    if payload is None:
        return None
    if node.has_procedure:
        return f"procedure {procedure_name(payload)!r}"
    if len(payload) > LARGEST_DECODED_BYTES:
        return f"<{len(payload):,} bytes>"
    return _values.repr(decode_value(payload))


def _beside(node: TreeNode, left_out: int) -> str:
    """Tell how long a tree node lives, if that is known, and how much below it is not drawn."""
    expires_at = properties_of(node, EXPIRES_AT).get("expires_at")
    until = f"  (until {expires_at:%Y-%m-%d %H:%M:%S} UTC)" if expires_at else ""
    return f"{until}  (+{left_out:,} below)" if left_out else until
