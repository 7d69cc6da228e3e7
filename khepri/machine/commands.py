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
TOUCH: Final = 14

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
TTL: Final = 5
"""Milliseconds that the node lives from now on, 0 for ever; default: it stays as it is."""

MAX_TTL_MILLISECONDS: Final = 100 * 366 * 24 * 3600 * 1000
"""The longest time to live, a hundred years: sums with it stay far below 64 bits."""

FOREVER: Final = 0
"""The time to live that has no end."""

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
    if keep_while is not None:
        if not path:
            raise InvalidOptionError(
                "the root stays whatever happens and cannot have keep-while conditions",
                option="keep_while",
                value=keep_while,
            )
        options[KEEP_WHILE] = _keep_while_to_plain(keep_while)
    if ttl_milliseconds is not None:
        options[TTL] = _checked_ttl(path, ttl_milliseconds)
    return [PUT_MATCHING, _pattern_to_plain(path), payload, options]


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


def increment(
    path: Path,
    by: int = 1,
    *,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to add to the whole number a node holds; the reply is the new number, or properties.

    A missing node, or one without payload, counts as 0. A node with other data is refused as not
    matching. Beyond Khepri.

    Args:
        path: the node.
        by: what to add, of 64 bits; may be negative.
        returning: as for `put`; the payload told is the one before.
        return_indirect_deletes: as for `put`.

    Raises:
        InvalidOptionError: ``by`` is not a whole number of 64 bits.
    """
    if type(by) is not int or not -(1 << 63) <= by < 1 << 63:
        raise InvalidOptionError(
            f"cannot add {by!r:.100}: not a whole number of 64 bits", option="by", value=by
        )
    return [INCREMENT, path, by, *_told(returning, return_indirect_deletes)]


def copy(
    source: Path,
    target: Path,
    *,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to copy a node with everything below to a place where nothing is.

    The copies are new nodes with versions of 1. Keep-while conditions and times to live are copied
    as they are: the copies watch what the originals watch and expire when they do. Told are, if
    asked, the target and what goes as a consequence. Beyond Khepri.

    Raises:
        InvalidOptionError: the target lies in the source, or is the root.
    """
    return [COPY, source, _outside(source, target), *_told(returning, return_indirect_deletes)]


def move(
    source: Path,
    target: Path,
    *,
    returning: int | None = None,
    return_indirect_deletes: bool = True,
) -> Operation:
    """Ask to move a node with everything below, as `copy` and `delete` in one. Beyond Khepri.

    Raises:
        InvalidOptionError: the target lies in the source, or one of them is the root.
    """
    if not source:
        raise InvalidOptionError("the root cannot be moved", option="source", value=source)
    return [MOVE, source, _outside(source, target), *_told(returning, return_indirect_deletes)]


def touch(
    path: Path | PathPattern,
    ttl_milliseconds: int | None = None,
    *,
    returning: int | None = None,
) -> Operation:
    """Ask to let the time to live of a node begin anew. Beyond Khepri.

    No version tells of it and there is no change event: nothing that can be read has changed but
    the moment of expiry.

    Args:
        path: of one existing node; conditions may be asked of it.
        ttl_milliseconds: another time to live, `FOREVER` for none; None to begin the node's own
            anew, which it must have.
        returning: as for `put`.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes.
        InvalidOptionError: the root has no time to live.
    """
    ensure_specific(path)
    ttl = None if ttl_milliseconds is None else _checked_ttl(path, ttl_milliseconds)
    options = {} if returning is None else {RETURNING: returning}
    return [TOUCH, _pattern_to_plain(path), ttl, options]


def _told(returning: int | None, return_indirect_deletes: bool) -> list[dict[int, Any]]:  # noqa: FBT001
    """Give the options at the end of a command, none if they are all the default."""
    if returning is None:
        return []
    return [{RETURNING: returning} | ({} if return_indirect_deletes else {TARGETS_ONLY: True})]


def _checked_ttl(path: Path | PathPattern, ttl_milliseconds: int) -> int:
    if not path:
        raise InvalidOptionError(
            "the root stays whatever happens and has no time to live",
            option="ttl",
            value=ttl_milliseconds,
        )
    assert 0 <= ttl_milliseconds <= MAX_TTL_MILLISECONDS
    return ttl_milliseconds


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
