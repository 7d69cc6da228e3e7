"""The codes of commands and their options, and the plain forms of their parts.

Here is what is shared by those who make commands: ``commands.py`` and ``more_commands.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from khepri.encoding import pack
from khepri.errors import InvalidOptionError, WrongTypeError

from .components import Component
from .condition_codec import component_to_plain
from .condition_rules import normalise
from .conditions import ensure_is_condition
from .names import PARENT, THIS
from .paths import Path, PathPattern, includes_root, parse_path, realpath

if TYPE_CHECKING:
    from collections.abc import Iterable


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
REQUIRE: Final = 15
PUT_FAMILY: Final = 16
"""Part of a batch: puts to tree nodes with one parent. Its path, their names, their payloads."""
REGISTER_TRIGGER: Final = 17
UNREGISTER_TRIGGER: Final = 18
ACTIONS_DONE: Final = 19

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

KeepWhileOption: TypeAlias = Mapping[Any, Component]
"""Paths, in any form a path may have (``paths.PathLike``), to conditions."""


def told(returning: int | None, return_indirect_deletes: bool) -> list[dict[int, Any]]:  # noqa: FBT001
    """Give the options at the end of a command, none if they are all the default."""
    if returning is None:
        return []
    return [{RETURNING: returning} | ({} if return_indirect_deletes else {TARGETS_ONLY: True})]


def checked_ttl(
    path: Path | PathPattern, ttl_milliseconds: int, *, with_root: bool = False
) -> int:
    """Give a time to live; the root has none, whether the path is it or it comes with others."""
    if with_root or includes_root(path):
        raise InvalidOptionError(
            "the root stays whatever happens and has no time to live",
            option="ttl",
            value=math.inf if ttl_milliseconds == FOREVER else ttl_milliseconds / 1000,
        )
    assert 0 <= ttl_milliseconds <= MAX_TTL_MILLISECONDS
    return ttl_milliseconds


def pattern_to_plain(pattern: Iterable[Component]) -> list[Any]:
    """Give the components of a pattern as msgpack carries them."""
    return [component_to_plain(component) for component in pattern]


def keep_while_to_plain(keep_while: KeepWhileOption) -> list[Any]:
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
        watches.append([pattern_to_plain(pattern), component_to_plain(checked)])
    return sorted(watches, key=pack)
