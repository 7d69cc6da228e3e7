"""Arguments of commands, checked: what several operations need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .commands import MAX_TTL_MILLISECONDS
from .condition_codec import component_from_plain
from .keep_while import Expiry
from .names import MAX_PATH_COMPONENTS
from .paths import Path, PathPattern, resolve_path

if TYPE_CHECKING:
    from .edit import Edit
    from .tree import Names


def checked_path(names: list[str]) -> Names:
    """Refuse what cannot be a path: a garbled command must not bring other keys into the tree."""
    if type(names) is not list:
        raise TypeError("a path is a list")
    "".join(names)  # raises for anything but text, at the speed of C
    if len(names) > MAX_PATH_COMPONENTS:
        raise ValueError("a path of too many components")
    return tuple(names)


def checked_payload(payload: bytes) -> bytes:
    """Refuse what cannot be a payload."""
    if type(payload) is not bytes or not payload:
        raise TypeError("a payload is bytes")
    return payload


def expiry_after(edit: Edit, ttl_milliseconds: int) -> Expiry | None:
    """Give when a time to live that begins now is over; None for one without end."""
    if type(ttl_milliseconds) is not int or not 0 <= ttl_milliseconds <= MAX_TTL_MILLISECONDS:
        raise ValueError("not a time to live")
    if not ttl_milliseconds:
        return None
    return Expiry(edit.now_milliseconds + ttl_milliseconds, ttl_milliseconds)


def existing_depth(edit: Edit, path: Names) -> int:
    """Give how many names of a path exist."""
    node = edit.root
    for depth, name in enumerate(path):
        child = node.children.get(name)
        if child is None:
            return depth
        node = child
    return len(path)


def pattern_from_plain(plain: list[Any]) -> Path | PathPattern:
    """Give the resolved pattern of a command."""
    return resolve_path([component_from_plain(component) for component in plain])
