"""The tree node: one immutable place in the replicated tree.

Here is only what a tree node is and how nodes are made.
How nodes change is in ``edit.py`` and ``working_tree.py``; how they are read is in ``queries.py``.

The rule of this file: *a node that has been published is never changed*. Any thread may walk a
published root without a lock. Nodes made while one log entry is applied belong to that entry and
may be changed in place until its root is published (see ``working_tree.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .keep_while import KeepWhile

Names = tuple[str, ...]
"""A concrete path: the names from the root down. ``()`` is the root."""

PROCEDURE_CODE: Final = 0x50
"""The msgpack extension code that marks a payload as the *name* of a stored procedure.

Code is never stored, only names of functions registered in the process. No user value can carry
this code (see ``values.py``), so the payload's own first bytes tell its kind.
"""

MAX_PROCEDURE_NAME_BYTES: Final = 255
"""The longest name of a stored procedure: its length has one byte."""

_PROCEDURE_MARK: Final = 0xC7  # msgpack's "ext 8": mark, length, code, name
_PROCEDURE_CODE_BYTE: Final = bytes((PROCEDURE_CODE,))


class TreeNode:
    """One place in the tree: payload, versions, children.

    A plain class with slots and not a dataclass: five nodes are made for one put four levels
    deep, and a frozen dataclass costs four times as much to make.

    Attributes:
        payload: the encoded payload as in ``values.py``, or None for no payload.
        payload_version: 1 for a new node, +1 whenever the payload changes.
        child_list_version: 1 for a new node, +1 whenever a direct child is added or removed.
        children: name to child; read it as a Mapping, never change it. A plain dict while small,
            a persistent hash map when large (``children.py``), in no particular order.
        keep_while: what this node lives under (conditions, a time to live), None if nothing,
            ``IMPLICIT`` for a parent that was made on the way to a child.
        size: how many tree nodes this subtree has, this one included.
    """

    __slots__ = (
        "child_list_version",
        "children",
        "keep_while",
        "payload",
        "payload_version",
        "size",
    )

    def __init__(  # noqa: PLR0917 - keyword arguments cost 60 ns more, at every level of every put
        self,
        payload: bytes | None,
        payload_version: int,
        child_list_version: int,
        children: Mapping[str, TreeNode],
        keep_while: KeepWhile | None = None,
        size: int = 1,
    ) -> None:
        """Make a node; nothing is checked, callers hold valid parts."""
        self.payload = payload
        self.payload_version = payload_version
        self.child_list_version = child_list_version
        self.children = children
        self.keep_while = keep_while
        self.size = size

    @property
    def has_data(self) -> bool:
        """Whether the payload is data (not a stored procedure, not nothing)."""
        payload = self.payload
        return payload is not None and not is_procedure(payload)

    @property
    def has_procedure(self) -> bool:
        """Whether the payload is the name of a stored procedure."""
        payload = self.payload
        return payload is not None and is_procedure(payload)

    def __repr__(self) -> str:
        """Show the node without its subtree."""
        return (
            f"TreeNode(payload={self.payload!r}, payload_version={self.payload_version},"
            f" child_list_version={self.child_list_version}, children={len(self.children)})"
        )


NO_CHILDREN: Final[Mapping[str, TreeNode]] = {}
"""The children of every leaf: one shared empty dict, never changed."""

EMPTY_ROOT: Final = TreeNode(None, 1, 1, NO_CHILDREN)
"""The root of a new store. The root always exists."""


def is_procedure(payload: bytes) -> bool:
    """Tell whether an encoded payload is the name of a stored procedure."""
    return payload[0] == _PROCEDURE_MARK and payload[2:3] == _PROCEDURE_CODE_BYTE


def procedure_payload(name: str) -> bytes:
    """Give the payload that names a stored procedure.

    Args:
        name: the registered name, at most 255 bytes in UTF-8; checked by the caller.
    """
    encoded = name.encode()
    return bytes((_PROCEDURE_MARK, len(encoded), PROCEDURE_CODE)) + encoded


def procedure_name(payload: bytes) -> str:
    """Give the name in a payload that is one of a stored procedure."""
    return payload[3:].decode()
