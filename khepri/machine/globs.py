"""Globs on names: text in which each ``*`` stands for any characters, none included.

Everything else in a glob is literal. Matching is linear in the length of the name.
How a glob is written in a path is in ``unix_paths.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def merge_stars(parts: Sequence[str]) -> tuple[str, ...]:
    """Make neighbouring stars one: ``a**b`` says no more than ``a*b``.

    Args:
        parts: the literal texts around the stars; ``a*b`` has the parts ``a`` and ``b``.
    """
    middle = tuple(part for part in parts[1:-1] if part)
    return (parts[0], *middle, parts[-1])


def glob_matches(parts: tuple[str, ...], name: str) -> bool:
    """Tell whether a name consists of the parts, in order, with anything between them.

    The first part must begin the name and the last must end it. For each part between, the
    leftmost place is taken: if any places fit, the leftmost do, so nothing is tried twice.
    """
    first, last = parts[0], parts[-1]
    if len(name) < len(first) + len(last):
        return False
    if not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for part in parts[1:-1]:
        position = name.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True
