"""Operations beyond Khepri's: counters, copies, moves, and the check of optimistic transactions.

As in ``operations.py``: each gets a fresh `Edit` and a decoded command's arguments, and gives the
reply; an error reply or an exception throws the edit away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import commands
from .cascade import settle
from .conditions import IfAll, IfDataMatches, IfNodeExists
from .edit import subtree
from .names import ROOT
from .outcomes import MismatchingNode, NodeNotFound
from .parts import checked_path, existing_depth, pattern_from_plain
from .properties import EXPLICIT
from .queries import fingerprint
from .replies import DONE, is_error, mismatching_node, node_not_found, read_changed, value_reply
from .values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from .edit import Edit
    from .replies import Reply
    from .tree import Names, TreeNode


def increment(edit: Edit, names: list[str], by: int) -> Reply:
    """Add to the whole number of a node and tell the new one."""
    path = checked_path(names)
    node = edit.node_at(path)
    number: object = 0
    if node is not None and node.payload is not None:
        number = decode_value(node.payload)
        if type(number) is not int:
            return _mismatch(path, node, IfDataMatches(int))
    if type(number) is not int or type(by) is not int:
        raise TypeError("only whole numbers are added")
    payload = encode_value(number + by)  # raises beyond 64 bits: the command fails
    if node is None:
        edit.create(path, existing_depth(edit, path), payload, None)
    else:
        edit.set_payload(path, payload)
    settle(edit)
    return value_reply(number + by)


def copy(edit: Edit, source_names: list[str], target_names: list[str]) -> Reply:
    """Copy a subtree to where nothing is."""
    reply = _graft(edit, checked_path(source_names), checked_path(target_names))
    settle(edit)
    return reply


def move(edit: Edit, source_names: list[str], target_names: list[str]) -> Reply:
    """Move a subtree to where nothing is."""
    source = checked_path(source_names)
    reply = _graft(edit, source, checked_path(target_names))
    if not is_error(reply):
        # After the copy: an implicit parent of both must not vanish in between.
        edit.delete(source, EXPLICIT)
        settle(edit)
    return reply


def _graft(edit: Edit, source: Names, target: Names) -> Reply:
    """Make new nodes like the source's under the target."""
    if target[: len(source)] == source:
        raise ValueError("the target lies in the source")
    node = edit.node_at(source)
    if node is None:
        condition = IfAll(source[-1], IfNodeExists(exists=True))
        return node_not_found(NodeNotFound(source[-1], source, True, condition))  # noqa: FBT003
    occupied = edit.node_at(target)
    if occupied is not None:
        return _mismatch(target, occupied, IfNodeExists(exists=False))
    for path, original in subtree(target, node):
        depth = existing_depth(edit, path)
        edit.create(path, depth, original.payload, original.keep_while)
    return DONE


def check(edit: Edit, plain_pattern: list[Any], mask: int, expected: bytes) -> Reply:
    """Fail if a read would now give something else."""
    if fingerprint(edit.root, pattern_from_plain(plain_pattern), mask) == expected:
        return DONE
    return read_changed(plain_pattern)


def _mismatch(path: Names, node: TreeNode, condition: IfDataMatches | IfNodeExists) -> Reply:
    name = path[-1] if path else ROOT
    return mismatching_node(MismatchingNode(name, path, True, node, condition))  # noqa: FBT003


MORE_OPERATIONS: Final[dict[int, Callable[..., Reply]]] = {
    commands.INCREMENT: increment,
    commands.COPY: copy,
    commands.MOVE: move,
    commands.CHECK: check,
}
"""These operations by code."""
