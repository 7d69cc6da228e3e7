"""What can be said of a tree node: the properties a caller may ask for.

A set of property names travels as one small number, a mask, in commands and options. Properties
of one node are a plain dict, so that they can lie in a reply; payloads in it are still encoded
and are decoded in the caller's thread (``replies.py``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from khepri.errors import InvalidOptionError

from .command_codes import pattern_to_plain
from .condition_codec import component_from_plain, component_to_plain
from .conditions import IfAll
from .paths import Path, resolve_path
from .tree import is_procedure
from .values import decode_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .components import Component
    from .patterns import Pattern
    from .tree import TreeNode

PAYLOAD: Final = 1
HAS_PAYLOAD: Final = 2
PAYLOAD_VERSION: Final = 4
CHILD_LIST_VERSION: Final = 8
CHILD_LIST_LENGTH: Final = 16
CHILD_NAMES: Final = 32
DELETE_REASON: Final = 64
RAW_PAYLOAD: Final = 128
EXPIRES_AT: Final = 256
KEPT_WHILE: Final = 512

PROPERTY_NAMES: Final = {
    "payload": PAYLOAD,
    "has_payload": HAS_PAYLOAD,
    "payload_version": PAYLOAD_VERSION,
    "child_list_version": CHILD_LIST_VERSION,
    "child_list_length": CHILD_LIST_LENGTH,
    "child_names": CHILD_NAMES,
    "delete_reason": DELETE_REASON,
    "raw_payload": RAW_PAYLOAD,
    "expires_at": EXPIRES_AT,
    "keep_while": KEPT_WHILE,
}

DEFAULT_PROPERTIES: Final = PAYLOAD | PAYLOAD_VERSION | DELETE_REASON

EXPLICIT: Final = "explicit"
KEEP_WHILE: Final = "keep_while"
EXPIRED: Final = "expired"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NodeProperties = dict[str, Any]
"""What a caller gets for one tree node: property name to value."""


def property_mask(names: Iterable[str]) -> int:
    """Give the mask of some property names; unlike upstream an unknown one is refused.

    Raises:
        InvalidOptionError: there is no such property.
    """
    mask = 0
    for name in names:
        bit = PROPERTY_NAMES.get(name)
        if bit is None:
            raise InvalidOptionError(
                f"there is no property {name!r}, only {', '.join(PROPERTY_NAMES)}",
                option="props_to_return",
                value=name,
            )
        mask |= bit
    return mask


def plain_properties(node: TreeNode, mask: int, payload: bytes | None) -> NodeProperties:
    """Give the asked properties of a node, with the payload still encoded.

    Args:
        node: whose versions and children are told.
        mask: what is asked for; the delete reason is the caller's to add.
        payload: the payload to tell: a write tells the one from before.
    """
    properties: NodeProperties = {}
    if payload is not None:
        _add_payload(properties, mask, payload)
    if mask & PAYLOAD_VERSION:
        properties["payload_version"] = node.payload_version
    if mask & CHILD_LIST_VERSION:
        properties["child_list_version"] = node.child_list_version
    if mask & CHILD_LIST_LENGTH:
        properties["child_list_length"] = len(node.children)
    if mask & CHILD_NAMES:
        properties["child_names"] = sorted(node.children)
    lifetime = node.keep_while
    if lifetime is not None:
        if mask & EXPIRES_AT and lifetime.expiry is not None:
            properties["expires_at"] = lifetime.expiry.at_milliseconds
        if mask & KEPT_WHILE and lifetime.watches:
            properties["keep_while"] = [
                [pattern_to_plain(pattern), component_to_plain(condition)]
                for pattern, condition in lifetime.watches
            ]
    return properties


def _add_payload(properties: NodeProperties, mask: int, payload: bytes) -> None:
    is_data = not is_procedure(payload)
    if mask & PAYLOAD:
        properties["data" if is_data else "sproc"] = payload
    if mask & HAS_PAYLOAD:
        properties["has_data" if is_data else "is_sproc"] = True
    if mask & RAW_PAYLOAD:
        properties["raw_payload"] = payload


def known_path(names: Iterable[str]) -> Path:
    """Make a path of names that come from the tree, without checking them again."""
    return tuple.__new__(Path, names)  # pyright: ignore[reportUnknownMemberType]  # a stub's gap


def decoded_properties(plain: NodeProperties) -> NodeProperties:
    """Give a new dict with the payloads decoded; the plain one lies in a reply and stays."""
    properties = dict(plain)
    data = plain.get("data")
    if data is not None:
        properties["data"] = decode_value(data)
    procedure = plain.get("sproc")
    if procedure is not None:
        properties["sproc"] = decode_value(procedure)
    moment = plain.get("expires_at")
    if moment is not None:
        properties["expires_at"] = _moment(moment)
    watches = plain.get("keep_while")
    if watches is not None:
        properties["keep_while"] = _kept_while(watches)
    return properties


def _kept_while(watches: list[Any]) -> dict[Pattern, Component]:
    """Give the conditions as a put takes them; several on one path become one."""
    kept: dict[Pattern, Component] = {}
    for plain, part in watches:
        pattern = resolve_path([component_from_plain(component) for component in plain])
        condition = component_from_plain(part)
        # Two keys that are written differently can mean one tree node, as "/a" and "../a" do.
        former = kept.setdefault(pattern, condition)
        if former != condition:
            kept[pattern] = IfAll(former, condition)
    return kept


def _moment(milliseconds: int) -> datetime:
    """Give a moment of log time; the last one there is, if a clock was wrong by millennia."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
