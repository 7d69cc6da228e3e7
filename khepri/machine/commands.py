"""Commands: what the log asks of the machine, as bytes.

Here are the codes and the `encode_...` functions, called in the caller's thread. They validate,
so that what is sent can only fail for what the tree holds. What a command does is in
``operations.py``, how entries and groups carry commands is in ``entries.py``.

A command is a msgpack list that begins with its code. The list of codes only grows: a command
whose meaning or arguments change gets a new code, and the old one is understood for ever, since
old logs hold it. A code nobody knows is answered with an error, on every member alike.

Plain forms (a concrete path, no options, nothing to tell) have codes of their own: they are what
most programs do most of the time, and cost half as much to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from khepri.encoding import pack
from khepri.errors import InvalidOptionError, WrongTypeError

from .condition_codec import component_to_plain
from .condition_rules import normalise
from .conditions import Condition, IfDataMatches, IfNodeExists, ensure_is_condition
from .names import PARENT, THIS
from .paths import (
    Path,
    PathPattern,
    combine_with_conditions,
    ensure_specific,
    parse_path,
    realpath,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .conditions import Component

PUT: Final = 1
CREATE: Final = 2
UPDATE: Final = 3
DELETE: Final = 4
PUT_MATCHING: Final = 5
DELETE_MATCHING: Final = 6
CLEAR_MATCHING: Final = 7
BATCH: Final = 8
OPEN_SESSION: Final = 9
INCREMENT: Final = 10
COPY: Final = 11
MOVE: Final = 12
CHECK: Final = 13

# Options of the ..._MATCHING commands; absent means the default.
MANY: Final = 0
"""All matches are meant; default: the pattern names one node."""
RETURNING: Final = 1
"""Mask of properties to tell of each node; default: nothing is told."""
KEEP_WHILE: Final = 2
"""[[pattern, condition], ...]; default: conditions stay as they are."""
TARGETS_ONLY: Final = 3
"""Nodes removed as a consequence are not told."""
INCLUDE_ROOT: Final = 4
"""The root comes too if the pattern begins with a condition."""

Operation: TypeAlias = list[Any]
"""A command, decoded or not yet encoded: code, then arguments."""

KeepWhileOption: TypeAlias = "Mapping[Any, Component]"
"""Paths, in any form a path may have (``paths.PathLike``), to conditions."""


# --- operations: also the parts of a batch ---


def put(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    many: bool = False,
    keep_while: KeepWhileOption | None = None,
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
        returning: which properties to tell (``properties.property_mask``), None for none at all.
        return_indirect_deletes: whether to tell of nodes removed as a consequence.
        include_root: whether the root is meant too if a pattern begins with a condition.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes and ``many`` is not said.
        InvalidPathError, InvalidConditionError: in ``keep_while``.
        InvalidOptionError: the root cannot have keep-while conditions.
    """
    if keep_while is None and returning is None and payload is not None and type(path) is Path:
        return [PUT, path, payload]
    options = _options(path, many, returning, return_indirect_deletes, include_root)
    if keep_while is not None:
        if not path:
            raise InvalidOptionError(
                "the root stays whatever happens and cannot have keep-while conditions",
                option="keep_while",
                value=keep_while,
            )
        options[KEEP_WHILE] = _keep_while_to_plain(keep_while)
    return [PUT_MATCHING, _pattern_to_plain(path), payload, options]


def create(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to create a node that must not exist yet. Arguments and errors as for `put`."""
    if keep_while is None and returning is None and payload is not None and type(path) is Path:
        return [CREATE, path, payload]
    return put(
        combine_with_conditions(path, IfNodeExists(exists=False)),
        payload,
        keep_while=keep_while,
        returning=returning,
        return_indirect_deletes=return_indirect_deletes,
    )


def update(
    path: Path | PathPattern,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to replace the payload of a node that must exist. Arguments and errors as for `put`."""
    if keep_while is None and returning is None and payload is not None and type(path) is Path:
        return [UPDATE, path, payload]
    return put(
        combine_with_conditions(path, IfNodeExists(exists=True)),
        payload,
        keep_while=keep_while,
        returning=returning,
        return_indirect_deletes=return_indirect_deletes,
    )


def compare_and_swap(
    path: Path | PathPattern,
    expected: object,
    payload: bytes | None,
    *,
    keep_while: KeepWhileOption | None = None,
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
    return [DELETE_MATCHING, _pattern_to_plain(path), options]


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
    return [CLEAR_MATCHING, _pattern_to_plain(path), options]


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


def increment(path: Path, by: int = 1) -> Operation:
    """Ask to add to the whole number a node holds; the reply is the new number.

    A missing node, or one without payload, counts as 0. A node with other data is refused as not
    matching. Beyond Khepri.

    Args:
        path: the node.
        by: what to add, of 64 bits; may be negative.

    Raises:
        InvalidOptionError: ``by`` is not a whole number of 64 bits.
    """
    if type(by) is not int or not -(1 << 63) <= by < 1 << 63:
        raise InvalidOptionError(
            f"cannot add {by!r:.100}: not a whole number of 64 bits", option="by", value=by
        )
    return [INCREMENT, path, by]


def copy(source: Path, target: Path) -> Operation:
    """Ask to copy a node with everything below to a place where nothing is.

    The copies are new nodes with versions of 1. Keep-while conditions are copied as they are, so
    they watch what the originals watch. Beyond Khepri.

    Raises:
        InvalidOptionError: the target lies in the source, or is the root.
    """
    return [COPY, source, _outside(source, target)]


def move(source: Path, target: Path) -> Operation:
    """Ask to move a node with everything below, as `copy` and `delete` in one. Beyond Khepri.

    Raises:
        InvalidOptionError: the target lies in the source, or one of them is the root.
    """
    if not source:
        raise InvalidOptionError("the root cannot be moved", option="source", value=source)
    return [MOVE, source, _outside(source, target)]


def _outside(source: Path, target: Path) -> Path:
    if target[: len(source)] == source:
        raise InvalidOptionError(
            f"{target} is not outside of {source}", option="target", value=target
        )
    return target


def check(pattern: Path | PathPattern, mask: int, fingerprint: bytes) -> Operation:
    """Ask to fail if a read would now give something else than it did: for batches.

    This is how an optimistic transaction is validated: what it read goes first into the batch,
    what it writes follows.

    Args:
        pattern: what was read, one node or many.
        mask: which properties were looked at.
        fingerprint: what `queries.fingerprint` gave for the same on the tree that was read.
    """
    return [CHECK, _pattern_to_plain(pattern), mask, fingerprint]


def open_session(token: bytes) -> Operation:
    """Ask for a session; belongs into a group of session ``sessions.NO_SESSION``.

    Args:
        token: what the origin knows its answer by; the reply is [token, session id].
    """
    return [OPEN_SESSION, token]


# --- bytes ---


def encode(operation: Operation) -> bytes:
    """Give the command bytes of an operation: what goes to the log, the wire and every member."""
    return pack(operation)


def encode_put(path: Path, payload: bytes) -> bytes:
    """Give the command bytes of the most frequent operation, a put without options."""
    return pack((PUT, path, payload))


# --- parts ---


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


def _pattern_to_plain(pattern: Iterable[Component]) -> list[Any]:
    return [component_to_plain(component) for component in pattern]


def _keep_while_to_plain(keep_while: KeepWhileOption) -> list[Any]:
    """Give the conditions in the order of their encoded bytes, for equal maps to be equal."""
    watches: list[Any] = []
    if not isinstance(keep_while, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WrongTypeError(
            f"keep_while maps paths to conditions; it is not {keep_while!r:.100}",
            option="keep_while",
            value=keep_while,
        )
    for path, condition in keep_while.items():
        parsed = parse_path(path)
        is_relative = bool(parsed) and parsed[0] in (THIS, PARENT)
        pattern = parsed if is_relative else realpath(parsed)
        checked = normalise(ensure_is_condition(condition))
        watches.append([_pattern_to_plain(pattern), component_to_plain(checked)])
    return sorted(watches, key=pack)
