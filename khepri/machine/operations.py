"""What each operation does to the tree (spec §2.5, §3.3, §3.4, §3.5).

Each function gets a fresh `Edit` and the arguments of a decoded command, and gives the reply. An
error reply means that the edit is thrown away; so is it if a function raises, which on garbled
arguments it may. The runner (``machine.py``) settles nothing: what follows from keep-while
conditions is part of the operation and done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import commands
from .cascade import settle
from .condition_codec import component_from_plain
from .conditions import IfAll, IfNodeExists
from .keep_while import KeepWhile, Watch, first_unmet, lifetime
from .more_operations import MORE_OPERATIONS
from .outcomes import Found, MismatchingNode, Missing, NodeNotFound
from .parts import (
    checked_path,
    checked_payload,
    existing_depth,
    expiry_after,
    pattern_from_plain,
)
from .paths import Path, PathPattern, abspath
from .patterns import find_many, find_one, place_many, place_one
from .properties import EXPLICIT
from .replies import DONE, command_failed, keep_while_not_met, mismatching_node, node_not_found
from .results import Options, results
from .trigger_operations import TRIGGER_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .edit import Edit
    from .keep_while import Expiry, Unmet
    from .outcomes import PlaceOutcome
    from .replies import Reply
    from .tree import Names


# --- plain forms ---


def put(edit: Edit, names: list[str], payload: bytes) -> Reply:
    """Create a node or replace its payload."""
    path = checked_path(names)
    depth = existing_depth(edit, path)
    if depth == len(path):
        edit.set_payload(path, checked_payload(payload))
    else:
        edit.create(path, depth, checked_payload(payload), None)
    settle(edit)
    return DONE


def create(edit: Edit, names: list[str], payload: bytes) -> Reply:
    """Create a node that must not exist."""
    path = checked_path(names)
    node = edit.node_at(path)
    if node is not None:
        name = path[-1] if path else ""
        outcome = MismatchingNode(name, path, True, node, IfNodeExists(exists=False))  # noqa: FBT003
        return mismatching_node(outcome)
    edit.create(path, existing_depth(edit, path), checked_payload(payload), None)
    settle(edit)
    return DONE


def update(edit: Edit, names: list[str], payload: bytes) -> Reply:
    """Replace the payload of a node that must exist."""
    path = checked_path(names)
    if edit.node_at(path) is None:
        condition = IfAll(path[-1], IfNodeExists(exists=True))
        return node_not_found(NodeNotFound(path[-1], path, True, condition))  # noqa: FBT003
    edit.set_payload(path, checked_payload(payload))
    settle(edit)
    return DONE


def delete(edit: Edit, names: list[str]) -> Reply:
    """Remove a node with everything below; a missing one is removed already."""
    path = checked_path(names)
    if edit.node_at(path) is not None:
        edit.delete(path, EXPLICIT)
        settle(edit)
    return DONE


# --- with patterns and options ---


def put_matching(
    edit: Edit, plain_pattern: list[Any], payload: bytes | None, options: Options
) -> Reply:
    """Put to one node or to all matches, with conditions and results."""
    if payload is not None:
        checked_payload(payload)
    places = _places(edit, plain_pattern, options)
    for place in places:
        if isinstance(place, NodeNotFound):
            return node_not_found(place)
        if isinstance(place, MismatchingNode):
            return mismatching_node(place)
    keep_whiles: list[KeepWhile | None] | None = None
    if commands.KEEP_WHILE in options or commands.TTL in options:
        # All are evaluated on the tree before the write, and before anything is written.
        keep_whiles = []
        for place in places:
            keep_while, refusal = _prepare_keep_while(edit, place, options)
            if refusal is not DONE:
                return refusal
            keep_whiles.append(keep_while)
    edit.lists_descendants |= commands.RETURNING in options
    _write(edit, places, payload, keep_whiles)
    settle(edit)
    return results(edit, [_path_of(place) for place in places], options)


def _write(
    edit: Edit,
    places: list[PlaceOutcome],
    payload: bytes | None,
    keep_whiles: list[KeepWhile | None] | None,
) -> None:
    """Write to places that were found fit; without keep_whiles, existing conditions stay."""
    for position, place in enumerate(places):
        path = _path_of(place)
        keep_while = keep_whiles[position] if keep_whiles is not None else None
        if isinstance(place, Missing):
            edit.create(path, existing_depth(edit, path), payload, keep_while)
            continue
        if keep_whiles is not None:
            edit.set_keep_while(path, keep_while)
        edit.set_payload(path, payload)


def delete_matching(edit: Edit, plain_pattern: list[Any], options: Options) -> Reply:
    """Remove one node or all matches; nothing to remove is no error."""
    edit.lists_descendants |= commands.RETURNING in options
    targets = _matches(edit, plain_pattern, options)
    for path in targets:
        # It may have gone with another match above it, or with an implicit parent.
        if edit.node_at(path) is not None:
            edit.delete(path, EXPLICIT)
    settle(edit)
    return results(edit, targets, options)


def clear_matching(edit: Edit, plain_pattern: list[Any], options: Options) -> Reply:
    """Take the payload off one node or all matches; nothing to clear is no error."""
    pattern = pattern_from_plain(plain_pattern)
    if commands.MANY not in options:
        outcome = find_one(edit.root, pattern)
        if isinstance(outcome, MismatchingNode):
            return mismatching_node(outcome)
    edit.lists_descendants |= commands.RETURNING in options
    targets = _matches(edit, plain_pattern, options)
    for path in targets:
        if edit.node_at(path) is not None:
            edit.set_payload(path, None)
    settle(edit)
    return results(edit, targets, options)


OPERATIONS: Final[dict[int, Callable[..., Reply]]] = {
    commands.PUT: put,
    commands.CREATE: create,
    commands.UPDATE: update,
    commands.DELETE: delete,
    commands.PUT_MATCHING: put_matching,
    commands.DELETE_MATCHING: delete_matching,
    commands.CLEAR_MATCHING: clear_matching,
    **MORE_OPERATIONS,
    **TRIGGER_OPERATIONS,
}
"""The operations by code. Batches and sessions are the machine's own."""


# --- parts ---


def _places(edit: Edit, plain_pattern: list[Any], options: Options) -> list[PlaceOutcome]:
    pattern = pattern_from_plain(plain_pattern)
    if commands.MANY not in options:
        return [place_one(edit.root, pattern)]
    places = place_many(edit.root, pattern)
    if commands.INCLUDE_ROOT in options and pattern and not isinstance(pattern[0], str):
        places = [place for place in places if _path_of(place)]
        places.insert(0, Found((), edit.root))
    return places


def _matches(edit: Edit, plain_pattern: list[Any], options: Options) -> list[Names]:
    pattern = pattern_from_plain(plain_pattern)
    if commands.MANY in options:
        include_root = commands.INCLUDE_ROOT in options
        return [path for path, _ in find_many(edit.root, pattern, include_root=include_root)]
    outcome = find_one(edit.root, pattern)
    return [outcome.path] if isinstance(outcome, Found) else []


def _path_of(place: PlaceOutcome) -> Names:
    return place.node_path if isinstance(place, NodeNotFound | MismatchingNode) else place.path


def _prepare_keep_while(
    edit: Edit, place: PlaceOutcome, options: Options
) -> tuple[KeepWhile | None, Reply]:
    """Give what one node shall live under, and refuse conditions that are unmet already.

    What the options do not speak of stays as it is.
    """
    path = _path_of(place)
    if not path:  # a step up led there; where the path alone tells, the caller is told at once
        return None, command_failed("the root has no keep-while conditions and no time to live")
    now = place.node.keep_while if isinstance(place, Found) else None
    watches: tuple[Watch, ...] = ()
    expiry: Expiry | None = None
    is_implicit = False
    if now is not None:
        watches, expiry, is_implicit = now.watches, now.expiry, now.is_implicit
    if commands.TTL in options:
        expiry = expiry_after(edit, options[commands.TTL])
    unmet: Unmet | None = None
    if commands.KEEP_WHILE in options:
        is_implicit = False
        watches = tuple(
            Watch(
                abspath(PathPattern([component_from_plain(part) for part in plain]), Path(path)),
                component_from_plain(condition),
            )
            for plain, condition in options[commands.KEEP_WHILE]
        )
        newcomer = path if isinstance(place, Missing) else None
        unmet = first_unmet(edit.root, KeepWhile(watches), newcomer)
    refusal = DONE if unmet is None else keep_while_not_met(path, unmet)
    return lifetime(watches, expiry, is_implicit=is_implicit), refusal
