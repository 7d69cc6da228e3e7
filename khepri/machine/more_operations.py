"""Operations beyond Khepri's: counters, copies, moves, renewals, the checks of batches.

As in ``operations.py``: each gets a fresh `Edit` and a decoded command's arguments, and gives the
reply; an error reply or an exception throws the edit away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import commands
from .cascade import settle
from .components import Condition
from .conditions import IfAll, IfDataMatches, IfNodeExists
from .edit import subtree
from .keep_while import lifetime
from .names import MAX_PATH_COMPONENTS, ROOT
from .outcomes import MismatchingNode, Missing, NodeNotFound
from .parts import checked_path, existing_depth, expiry_after, pattern_from_plain
from .patterns import find_one, place_one
from .properties import EXPLICIT
from .queries import fingerprint
from .replies import (
    DONE,
    command_failed,
    is_error,
    mismatching_node,
    node_not_found,
    not_expiring,
    read_changed,
    value_reply,
)
from .results import results
from .values import decode_value, encode_value, is_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .edit import Edit
    from .replies import Reply
    from .results import Options
    from .tree import Names, TreeNode


def increment(edit: Edit, names: list[str], by: int, options: Options | None = None) -> Reply:
    """Add to the whole number of a node and tell the new one, or properties if asked."""
    path = checked_path(names)
    node = edit.node_at(path)
    number: object = 0
    if node is not None and node.payload is not None:
        if not is_integer(node.payload):
            return _mismatch(path, node, IfDataMatches(int))
        number = decode_value(node.payload)
    if type(number) is not int or type(by) is not int:
        raise TypeError("only whole numbers are added")
    if not -(1 << 63) <= number + by < 1 << 64:
        return command_failed("the sum has more than 64 bits")
    payload = encode_value(number + by)
    if options:
        edit.lists_descendants |= commands.RETURNING in options
    if node is None:
        edit.create(path, existing_depth(edit, path), payload, None)
    else:
        edit.set_payload(path, payload)
    settle(edit)
    return results(edit, [path], options) if options else value_reply(number + by)


def copy(
    edit: Edit, source_names: list[str], target_names: list[str], options: Options | None = None
) -> Reply:
    """Copy a subtree to where nothing is."""
    return _transplant(edit, source_names, target_names, options or {}, is_move=False)


def move(
    edit: Edit, source_names: list[str], target_names: list[str], options: Options | None = None
) -> Reply:
    """Move a subtree to where nothing is."""
    return _transplant(edit, source_names, target_names, options or {}, is_move=True)


def touch(edit: Edit, plain_pattern: list[Any], ttl: int | None, options: Options) -> Reply:
    """Let the time to live of a node begin anew, or give it another one."""
    found = find_one(edit.root, pattern_from_plain(plain_pattern))
    if isinstance(found, NodeNotFound):
        return node_not_found(found)
    if isinstance(found, MismatchingNode):
        return mismatching_node(found)
    path, old = tuple(found.path), found.node.keep_while
    if not path:
        raise ValueError("the root stays whatever happens")
    if ttl is None:
        if old is None or old.expiry is None:
            return not_expiring(path)
        ttl = old.expiry.ttl_milliseconds
    watches = () if old is None else old.watches
    is_implicit = old is not None and old.is_implicit
    expiry = expiry_after(edit, ttl)
    edit.set_keep_while(path, lifetime(watches, expiry, is_implicit=is_implicit))
    return results(edit, [path], options)


def _transplant(
    edit: Edit,
    source_names: list[str],
    target_names: list[str],
    options: Options,
    *,
    is_move: bool,
) -> Reply:
    source, target = checked_path(source_names), checked_path(target_names)
    edit.lists_descendants |= commands.RETURNING in options
    refusal = _graft(edit, source, target)
    if is_error(refusal):
        return refusal
    if is_move:
        # After the copy: an implicit parent of both must not vanish in between.
        edit.delete(source, EXPLICIT)
    settle(edit)
    return results(edit, [target], options)


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
    deepest = max(len(path) for path, _ in subtree(target, node))
    if deepest > MAX_PATH_COMPONENTS:
        return command_failed(f"a path would have more than {MAX_PATH_COMPONENTS} components")
    edit.create_like(target, existing_depth(edit, target), node)
    return DONE


def check(edit: Edit, plain_pattern: list[Any], mask: int, expected: bytes) -> Reply:
    """Fail if a read would now give something else."""
    if fingerprint(edit.root, pattern_from_plain(plain_pattern), mask) == expected:
        return DONE
    return read_changed(plain_pattern)


def require(edit: Edit, plain_pattern: list[Any]) -> Reply:
    """Fail unless a node is as a pattern says; with a condition that allows it, unless it is not.

    What may be missing is what a put could create, with one difference: a plain name says that
    the node must be there.
    """
    pattern = pattern_from_plain(plain_pattern)
    place = place_one(edit.root, pattern)
    if isinstance(place, Missing) and not isinstance(pattern[-1], Condition):
        place = find_one(edit.root, pattern)
    if isinstance(place, NodeNotFound):
        return node_not_found(place)
    if isinstance(place, MismatchingNode):
        return mismatching_node(place)
    return DONE


def _mismatch(path: Names, node: TreeNode, condition: IfDataMatches | IfNodeExists) -> Reply:
    name = path[-1] if path else ROOT
    return mismatching_node(MismatchingNode(name, path, True, node, condition))  # noqa: FBT003


MORE_OPERATIONS: Final[dict[int, Callable[..., Reply]]] = {
    commands.INCREMENT: increment,
    commands.COPY: copy,
    commands.MOVE: move,
    commands.CHECK: check,
    commands.TOUCH: touch,
    commands.REQUIRE: require,
}
"""These operations by code."""
