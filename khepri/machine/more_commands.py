"""Commands beyond Khepri's: counters, copies, moves, renewals, and the checks of batches.

As in ``commands.py``, which has them under its name too: made in the caller's thread.
"""

from __future__ import annotations

from khepri.errors import InvalidOptionError

from .command_codes import (
    CHECK,
    COPY,
    INCREMENT,
    MOVE,
    REQUIRE,
    RETURNING,
    TOUCH,
    Operation,
    checked_ttl,
    pattern_to_plain,
    told,
)
from .paths import Path, PathPattern, ensure_specific


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
    return [INCREMENT, path, by, *told(returning, return_indirect_deletes)]


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
    return [COPY, source, _outside(source, target), *told(returning, return_indirect_deletes)]


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
        raise InvalidOptionError("the root cannot be moved", option="path", value=source)
    return [MOVE, source, _outside(source, target), *told(returning, return_indirect_deletes)]


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
    checked_ttl(path, ttl_milliseconds or 0)
    options = {} if returning is None else {RETURNING: returning}
    return [TOUCH, pattern_to_plain(path), ttl_milliseconds, options]


def require(path: Path | PathPattern) -> Operation:
    """Ask to fail unless a node is as a path says, and to change nothing: for batches.

    Args:
        path: of one node, which must be there and meet the conditions; with `IfNodeExists` of
            false, alone or among others in an `IfAny`, it may be missing.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes.
    """
    ensure_specific(path)
    return [REQUIRE, pattern_to_plain(path)]


def _outside(source: Path, target: Path) -> Path:
    if target[: len(source)] == source:
        raise InvalidOptionError(
            f"{target} is not outside of {source}", option="new_path", value=target
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
    return [CHECK, pattern_to_plain(pattern), mask, fingerprint]
