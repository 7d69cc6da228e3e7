"""Commands: what the log asks of the machine, as bytes.

Here are the functions that make commands, called in the caller's thread. They validate, so that
what is sent can only fail for what the tree holds. The codes are in ``command_codes.py``, the
bytes in ``command_bytes.py``, what a command does is in ``operations.py``, how entries and groups
carry commands is in ``entries.py``.

A command is a msgpack list that begins with its code. The list of codes only grows: a command
whose meaning or arguments change gets a new code, and the old one is understood for ever, since
old logs hold it. A code nobody knows is answered with an error, on every member alike.

Plain forms (a concrete path, no options, nothing to tell) have codes of their own: they are what
most programs do most of the time, and cost half as much to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.errors import InvalidOptionError

from .command_bytes import encode, encode_batch, encode_put, encode_put_at
from .command_codes import (
    ACTIONS_DONE,
    BATCH,
    CHECK,
    CLEAR_MATCHING,
    COPY,
    CREATE,
    DELETE,
    DELETE_MATCHING,
    FOREVER,
    INCLUDE_ROOT,
    INCREMENT,
    KEEP_WHILE,
    MANY,
    MAX_TTL_MILLISECONDS,
    MOVE,
    OPEN_SESSION,
    PUT,
    PUT_MATCHING,
    REGISTER_TRIGGER,
    REQUIRE,
    RETURNING,
    TARGETS_ONLY,
    TOUCH,
    TTL,
    UNREGISTER_TRIGGER,
    UPDATE,
    KeepWhileOption,
    Operation,
    checked_ttl,
    keep_while_to_plain,
    pattern_to_plain,
)
from .conditions import Condition, IfDataMatches, IfNodeExists
from .more_commands import check, copy, increment, move, require, touch
from .paths import (
    Path,
    PathPattern,
    combine_with_conditions,
    ensure_specific,
    includes_root,
)
from .trigger_commands import actions_done, register_trigger, unregister_trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ACTIONS_DONE",
    "BATCH",
    "CHECK",
    "CLEAR_MATCHING",
    "COPY",
    "CREATE",
    "DELETE",
    "DELETE_MATCHING",
    "FOREVER",
    "INCLUDE_ROOT",
    "INCREMENT",
    "KEEP_WHILE",
    "MANY",
    "MAX_TTL_MILLISECONDS",
    "MOVE",
    "OPEN_SESSION",
    "PUT",
    "PUT_MATCHING",
    "REGISTER_TRIGGER",
    "REQUIRE",
    "RETURNING",
    "TARGETS_ONLY",
    "TOUCH",
    "TTL",
    "UNREGISTER_TRIGGER",
    "UPDATE",
    "KeepWhileOption",
    "Operation",
    "actions_done",
    "batch",
    "check",
    "clear_payload",
    "compare_and_swap",
    "copy",
    "create",
    "delete",
    "encode",
    "encode_batch",
    "encode_put",
    "encode_put_at",
    "increment",
    "move",
    "open_session",
    "put",
    "register_trigger",
    "require",
    "touch",
    "unregister_trigger",
    "update",
]


# --- operations: also the parts of a batch ---


def put(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    many: bool = False,
    keep_while: KeepWhileOption | None = None,
    ttl_milliseconds: int | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
    include_root: bool = False,
) -> Operation:
    """Ask to create a node or replace its payload, making missing parents.

    Args:
        path: where, resolved (``paths.resolve_path``).
        payload: from ``values.encode_value`` or ``tree.procedure_payload``; None for none.
        many: whether all matches are meant, not one node.
        keep_while: conditions the written node shall live under: paths (from the node if they
            begin with THIS or PARENT) to conditions. Empty removes them, None leaves them.
        ttl_milliseconds: how long the node lives from now on (`FOREVER`: until somebody removes
            it), None to leave it as it is.
        returning: which properties to tell (``properties.property_mask``), None for none at all.
        return_indirect_deletes: whether to tell of nodes removed as a consequence.
        include_root: whether the root is meant too if a pattern begins with a condition.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes and ``many`` is not said.
        InvalidPathError, InvalidConditionError: in ``keep_while``.
        InvalidOptionError: the root cannot have keep-while conditions or a time to live.
    """
    if _is_plain(path, payload, keep_while, ttl_milliseconds, returning):
        return [PUT, path, payload]
    options = _options(path, many, returning, return_indirect_deletes, include_root)
    with_root = include_root and bool(path) and not isinstance(path[0], str)
    if keep_while is not None:
        if with_root or includes_root(path):
            raise InvalidOptionError(
                "the root stays whatever happens and cannot have keep-while conditions",
                option="keep_while",
                value=keep_while,
            )
        options[KEEP_WHILE] = keep_while_to_plain(keep_while)
    if ttl_milliseconds is not None:
        options[TTL] = checked_ttl(path, ttl_milliseconds, with_root=with_root)
    return [PUT_MATCHING, pattern_to_plain(path), payload, options]


def create(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
    ttl_milliseconds: int | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to create a node that must not exist yet. Arguments and errors as for `put`."""
    if _is_plain(path, payload, keep_while, ttl_milliseconds, returning):
        return [CREATE, path, payload]
    return put(
        combine_with_conditions(path, IfNodeExists(exists=False)),
        payload,
        keep_while=keep_while,
        ttl_milliseconds=ttl_milliseconds,
        returning=returning,
        return_indirect_deletes=return_indirect_deletes,
    )


def update(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
    ttl_milliseconds: int | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to replace the payload of a node that must exist. Arguments and errors as for `put`."""
    if _is_plain(path, payload, keep_while, ttl_milliseconds, returning):
        return [UPDATE, path, payload]
    return put(
        combine_with_conditions(path, IfNodeExists(exists=True)),
        payload,
        keep_while=keep_while,
        ttl_milliseconds=ttl_milliseconds,
        returning=returning,
        return_indirect_deletes=return_indirect_deletes,
    )


def compare_and_swap(
    path: Path | PathPattern,
    expected: object,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
    ttl_milliseconds: int | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to replace the payload of a node whose data fit a pattern.

    Args:
        path: as for `put`.
        expected: a data pattern (``data_patterns.py``); plain data match themselves only. Or a
            condition, to swap on a version instead.
        payload: as for `put`.
        keep_while: as for `put`.
        ttl_milliseconds: as for `put`.
        returning: as for `put`.
        return_indirect_deletes: as for `put`.

    Raises:
        InvalidConditionError: ``expected`` is not a data pattern.
    """
    condition = expected if isinstance(expected, Condition) else IfDataMatches(expected)
    return put(
        combine_with_conditions(path, condition),
        payload,
        keep_while=keep_while,
        ttl_milliseconds=ttl_milliseconds,
        returning=returning,
        return_indirect_deletes=return_indirect_deletes,
    )


def delete(
    path: Path | PathPattern,
    *,
    many: bool = False,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
    include_root: bool = False,
) -> Operation:
    """Ask to remove a node, or all matches, with everything below. Arguments as for `put`."""
    if returning is None and type(path) is Path:
        return [DELETE, path]
    options = _options(path, many, returning, return_indirect_deletes, include_root)
    return [DELETE_MATCHING, pattern_to_plain(path), options]


def clear_payload(
    path: Path | PathPattern,
    *,
    many: bool = False,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
    include_root: bool = False,
) -> Operation:
    """Ask to take the payload off a node, or off all matches. Nothing is created.

    Arguments as for `put`.
    """
    options = _options(path, many, returning, return_indirect_deletes, include_root)
    return [CLEAR_MATCHING, pattern_to_plain(path), options]


def batch(operations: Sequence[Operation]) -> Operation:
    """Ask for several operations, all or nothing; each sees what those before it did.

    Raises:
        InvalidOptionError: a batch in a batch.
    """
    for operation in operations:
        if operation[0] in {BATCH, OPEN_SESSION}:
            raise InvalidOptionError(
                "a batch cannot hold a batch", option="operations", value=operation
            )
    return [BATCH, list(operations)]


def open_session(token: bytes) -> Operation:
    """Ask for a session; belongs into a group of session ``sessions.NO_SESSION``.

    Args:
        token: what the origin knows its answer by; the reply is [token, session id].
    """
    return [OPEN_SESSION, token]


# --- parts ---


def _is_plain(
    path: Path | PathPattern,
    payload: bytes | None,
    keep_while: KeepWhileOption | None,
    ttl_milliseconds: int | None,
    returning: int | None,
) -> bool:
    """Tell whether a put needs no more than its plain form."""
    return (
        keep_while is None
        and returning is None
        and ttl_milliseconds is None
        and payload is not None
        and type(path) is Path
    )


def _options(
    path: Path | PathPattern,
    many: bool,  # noqa: FBT001 - private
    returning: int | None,
    return_indirect_deletes: bool,  # noqa: FBT001
    include_root: bool,  # noqa: FBT001
) -> dict[int, Any]:
    options: dict[int, Any] = {}
    if many:
        options[MANY] = True
    else:
        ensure_specific(path)
    if returning is not None:
        options[RETURNING] = returning
    if not return_indirect_deletes:
        options[TARGETS_ONLY] = True
    if include_root:
        options[INCLUDE_ROOT] = True
    return options
