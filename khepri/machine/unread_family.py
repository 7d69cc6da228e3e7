"""Families read from a snapshot that nobody has looked at yet.

To make a million nodes takes longer than to read a million nodes from a file. So after a restart a
family of leaves stays as it came, in columns, and its nodes are made when somebody first looks at
it. Whoever looks notices nothing: the parent is an `UnreadNode`, and reading its `children` makes
them and turns it into a plain `TreeNode`, which costs nothing from then on.

Two threads may look at once and both make the children; they make equal ones, and either will do.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, cast

from .tree import NO_CHILDREN, TreeNode

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 4096
"""Larger families are made at once, so that a first look takes a millisecond at most, or two."""

_PAYLOAD_TYPES: Final = frozenset({bytes, type(None)})


class Columns:
    """A family of leaves, one list per attribute; versions of None are all 1.

    Attributes:
        names: the names, all different, in the order of the snapshot.
        payloads: their payloads, in the same order.
        payload_versions: their payload versions.
        child_list_versions: their child list versions.
    """

    __slots__ = ("child_list_versions", "names", "payload_versions", "payloads")

    def __init__(
        self,
        names: list[str],
        payloads: list[bytes | None],
        payload_versions: list[int] | None,
        child_list_versions: list[int] | None,
    ) -> None:
        """Check the columns, at the speed of C: what is looked at later can no longer be refused.

        Raises:
            ValueError, TypeError: they are not columns of one length and of the right types.
        """
        "".join(names)
        for versions in (payload_versions, child_list_versions):
            if versions is not None and not (
                len(versions) == len(names) and set(map(type, versions)) <= {int}
            ):
                raise ValueError("a column of versions is wrong")
        if len(payloads) != len(names) or not _PAYLOAD_TYPES.issuperset(map(type, payloads)):
            raise ValueError("a column of payloads is wrong")
        if type(names) is not list or type(payloads) is not list:
            raise TypeError("a column is a list")
        self.names = names
        self.payloads = payloads
        self.payload_versions = payload_versions
        self.child_list_versions = child_list_versions

    def nodes(self) -> list[TreeNode]:
        """Make the nodes, in order."""
        if self.payload_versions is None and self.child_list_versions is None:
            return [TreeNode(payload, 1, 1, NO_CHILDREN) for payload in self.payloads]
        return list(
            map(
                TreeNode,
                self.payloads,
                self.payload_versions or repeat(1),
                self.child_list_versions or repeat(1),
                repeat(NO_CHILDREN),
            )
        )

    def family(self) -> dict[str, TreeNode]:
        """Make the nodes, by name."""
        return dict(zip(self.names, self.nodes(), strict=True))

    def extend(self, more: Columns) -> None:
        """Take in the next part of the same family."""
        if self.payload_versions is not None or more.payload_versions is not None:
            self.payload_versions = _versions(self.payload_versions, self) + _versions(
                more.payload_versions, more
            )
        if self.child_list_versions is not None or more.child_list_versions is not None:
            self.child_list_versions = _versions(self.child_list_versions, self) + _versions(
                more.child_list_versions, more
            )
        self.names += more.names
        self.payloads += more.payloads


def _versions(versions: list[int] | None, columns: Columns) -> list[int]:
    return [1] * len(columns.names) if versions is None else versions


# The slot behind ``TreeNode.children``, under the property of the subclass.
_children: Any = TreeNode.__dict__["children"]


class UnreadNode(TreeNode):
    """A node whose children are still in columns."""

    __slots__ = ()

    @property
    def children(self) -> Mapping[str, TreeNode]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # reads as the attribute does
        """Make the children, once, and become a plain node."""
        unread: Columns | dict[str, TreeNode] = _children.__get__(self)
        if not isinstance(unread, Columns):
            return unread  # another thread was faster
        family = unread.family()
        _children.__set__(self, family)
        self.__class__ = TreeNode  # type: ignore[assignment]  # a subclass without slots of its own
        return family


def leave_unread(node: TreeNode, columns: Columns) -> None:
    """Give a node that is still ours alone its children, unread."""
    node.children = cast("Mapping[str, TreeNode]", columns)
    node.__class__ = UnreadNode
