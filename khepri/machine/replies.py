"""Replies: what a command leads to, as plain values, and back to Python in the caller's thread.

Replies lie in the session table and in snapshots, so they are made of msgpack's plain parts. The
common one, "done, nothing to tell", is None. Every other is a list that begins with its kind.
Expected outcomes travel like this instead of as exceptions; `raise_or_return` turns a reply into
what the call returns or raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from khepri.errors import (
    CommandFailedError,
    KeepWhileConditionsNotMetError,
    KhepriError,
    MismatchingNodeError,
    ReadChangedError,
)

from .condition_codec import component_from_plain, component_to_plain
from .names import ROOT
from .outcomes import MismatchingNode, NodeNotFound
from .outcomes import to_error as outcome_to_error
from .paths import resolve_path
from .properties import (
    PAYLOAD,
    PAYLOAD_VERSION,
    decoded_properties,
    known_path,
    plain_properties,
)
from .tree import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keep_while import Unmet
    from .properties import NodeProperties
    from .tree import Names

Reply: TypeAlias = list[Any] | None
"""What is kept of an outcome; None is "done, nothing to tell"."""

DONE: Final[Reply] = None

_VALUE: Final = 0
_PROPERTIES: Final = 1
_BATCH: Final = 2
_NODE_NOT_FOUND: Final = 16
_MISMATCHING_NODE: Final = 17
_KEEP_WHILE_NOT_MET: Final = 18
_COMMAND_FAILED: Final = 19
_BATCH_FAILED: Final = 20
_READ_CHANGED: Final = 21
NOT_EXPIRING: Final = 22

_FIRST_ERROR: Final = _NODE_NOT_FOUND


# --- made while a command is applied ---


def value_reply(value: Any) -> Reply:  # noqa: ANN401 - any plain value
    """Say one plain value: a count, a session id."""
    return [_VALUE, value]


def properties_reply(properties: list[tuple[Names, NodeProperties]]) -> Reply:
    """Tell the asked properties of nodes, in order; payloads still encoded."""
    return [_PROPERTIES, [[list(path), plain] for path, plain in properties]]


def batch_reply(replies: list[Reply]) -> Reply:
    """Tell the replies of all operations of a batch."""
    return [_BATCH, replies]


def batch_failed(position: int, reply: Reply) -> Reply:
    """Tell which operation of a batch failed, and how; the batch had no effect."""
    return [_BATCH_FAILED, position, reply]


def node_not_found(outcome: NodeNotFound) -> Reply:
    """Tell that a node on the way is missing."""
    return [
        _NODE_NOT_FOUND,
        list(outcome.node_path),
        outcome.node_is_target,
        None if outcome.condition is None else component_to_plain(outcome.condition),
    ]


def mismatching_node(outcome: MismatchingNode) -> Reply:
    """Tell that a node does not meet a condition, with what it has instead."""
    node = outcome.node
    return [
        _MISMATCHING_NODE,
        list(outcome.node_path),
        outcome.node_is_target,
        plain_properties(node, PAYLOAD | PAYLOAD_VERSION, node.payload),
        component_to_plain(outcome.condition),
    ]


def keep_while_not_met(path: Names, unmet: Unmet) -> Reply:
    """Tell that a keep-while condition is unmet when it is to be set."""
    return [
        _KEEP_WHILE_NOT_MET,
        list(path),
        [component_to_plain(component) for component in unmet.watch.pattern],
        None if unmet.condition is None else component_to_plain(unmet.condition),
    ]


def not_expiring(path: Names) -> Reply:
    """Tell that a node has no time to live that could be renewed."""
    return [NOT_EXPIRING, list(path)]


def read_changed(pattern: list[Any]) -> Reply:
    """Tell that what a transaction has read is no longer so."""
    return [_READ_CHANGED, pattern]


def command_failed(reason: str) -> Reply:
    """Tell that a command raised, is unknown or is garbled; it had no effect."""
    return [_COMMAND_FAILED, reason]


def command_raised(error: Exception) -> Reply:
    """Tell that a command raised; the text must be the same on every member and release."""
    return command_failed(f"the command raised {type(error).__name__}; it had no effect")


def is_error(reply: Reply) -> bool:
    """Tell whether a reply stands for an exception."""
    return reply is not None and reply[0] >= _FIRST_ERROR


# --- turned back in the caller's thread ---


def raise_or_return(reply: Reply) -> Any:  # noqa: ANN401 - the command decides
    """Give what a reply says, or raise the error it says.

    Called in the caller's thread; the reply is not changed and may be turned again.

    Returns:
        None for "done"; a plain value; a dict of `Path` to properties (payloads decoded); for a
        batch, the list of what its operations give.

    Raises:
        KhepriError: what the reply says; ``batch_position`` is among the facts if it was one
            operation of a batch.
    """
    if reply is None:
        return None
    kind = reply[0]
    if kind == _VALUE:
        return reply[1]
    if kind == _PROPERTIES:
        return {known_path(names): decoded_properties(plain) for names, plain in reply[1]}
    if kind == _BATCH:
        return [raise_or_return(inner) for inner in reply[1]]
    raise to_error(reply)


def to_error(reply: list[Any]) -> KhepriError:
    """Make the exception an error reply stands for; it is not raised here."""
    if reply[0] == _BATCH_FAILED:
        error = to_error(reply[2])
        error.facts["batch_position"] = reply[1]
        return error
    make = _ERRORS.get(reply[0])
    return make(*reply[1:]) if make else CommandFailedError(f"unknown reply {reply[0]!r}")


def _node_not_found_error(names: list[str], is_target: bool, condition: Any) -> KhepriError:  # noqa: ANN401, FBT001
    path = known_path(names)
    culprit = None if condition is None else component_from_plain(condition)
    return outcome_to_error(NodeNotFound(path.name, path, is_target, culprit))


def _mismatching_node_error(
    names: list[str],
    is_target: bool,  # noqa: FBT001
    plain: NodeProperties,
    condition: Any,  # noqa: ANN401
) -> KhepriError:
    path = known_path(names)
    name = path.name if path else ROOT
    unmet = component_from_plain(condition)
    outcome = MismatchingNode(name, path, is_target, EMPTY_ROOT, unmet)
    return outcome_to_error(outcome, decoded_properties(plain))


def _keep_while_error(names: list[str], watched: list[Any], condition: Any) -> KhepriError:  # noqa: ANN401
    path = known_path(names)
    pattern = resolve_path([component_from_plain(part) for part in watched])
    unmet = None if condition is None else component_from_plain(condition)
    reason = "matches no tree node" if unmet is None else f"does not meet {unmet!r}"
    return KeepWhileConditionsNotMetError(
        f"the tree node {path} cannot be kept: {pattern} {reason}",
        node_name=path.name,
        node_path=path,
        keep_while_reason=(pattern, unmet),
    )


def _not_expiring_error(names: list[str]) -> KhepriError:
    path = known_path(names)
    return MismatchingNodeError(
        f"the tree node {path} has no time to live that could be renewed; give it one with ttl=",
        node_name=path.name,
        node_path=path,
        node_is_target=True,
        node_props={},
        condition=None,
    )


def _command_failed_error(reason: str) -> KhepriError:
    return CommandFailedError(f"the command failed: {reason}", reason=reason)


def _read_changed_error(pattern: list[Any]) -> KhepriError:
    shown = resolve_path([component_from_plain(part) for part in pattern])
    return ReadChangedError(f"{shown} is no longer as it was read", pattern=shown)


_ERRORS: Final[dict[int, Callable[..., KhepriError]]] = {
    _NODE_NOT_FOUND: _node_not_found_error,
    _MISMATCHING_NODE: _mismatching_node_error,
    _KEEP_WHILE_NOT_MET: _keep_while_error,
    _COMMAND_FAILED: _command_failed_error,
    _READ_CHANGED: _read_changed_error,
    NOT_EXPIRING: _not_expiring_error,
}
