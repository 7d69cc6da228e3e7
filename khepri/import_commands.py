"""How exported tree nodes become commands, in which order, and which come to nothing.

A tree node may live under others that come behind it in the export (BUG-21 upstream), so an import
has three steps, each when the one before is done:

1. what stands by itself: payloads and times to live. Conditions that the tree node has in the
   store are taken away, so that nothing goes while half of the export is there;
2. payloads of parents that were made on the way to a child: now they are there, and stay such;
3. conditions: all that is in the export can be looked at now.

Pure: time and tree are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.encoding import pack
from khepri.machine import commands
from khepri.machine.command_codes import pattern_to_plain
from khepri.machine.condition_codec import component_to_plain
from khepri.machine.keep_while import KeepWhile, literal_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from khepri.machine.commands import Operation
    from khepri.machine.paths import Path
    from khepri.machine.tree import Names

    from .exported_node import ExportedNode

UNKNOWN: Final = KeepWhile(())
"""What a tree node lives under in a store that cannot be looked at: everything is to be said."""

_OVERHEAD_BYTES: Final = 64


class Step(NamedTuple):
    """A tree node on its way into the store.

    Attributes:
        node: as it is in the export.
        ttl_milliseconds: what is left of its time to live, None if it has none.
    """

    node: ExportedNode
    ttl_milliseconds: int | None


def time_left(node: ExportedNode, now_milliseconds: int) -> int | None:
    """Give what is left of the time to live of a tree node, in milliseconds; not above 0 if none.

    It never becomes longer than it was given: the log that it comes from may have been ahead.

    Args:
        node: one with an end.
        now_milliseconds: the time of the log that it goes to.

    Returns:
        None for a tree node without end.
    """
    if node.expires_at_milliseconds is None:
        return None
    most = node.ttl_milliseconds or commands.MAX_TTL_MILLISECONDS
    left = node.expires_at_milliseconds - now_milliseconds
    return min(left, most, commands.MAX_TTL_MILLISECONDS)


def standing(step: Step, kept: KeepWhile | None) -> Operation:
    """Give the command of the first step.

    Args:
        step: the tree node.
        kept: what it lives under in the store now; None if nothing, or if it is not there.
    """
    options: dict[int, object] = {}
    if kept is not None:
        options = {commands.KEEP_WHILE: [], commands.TTL: commands.FOREVER}
    return _put(step, options)


def implicit(step: Step, kept: KeepWhile | None) -> Operation:
    """Give the command of the second step; arguments as for `standing`."""
    options: dict[int, object] = {}
    if kept is not None and kept.watches:
        options[commands.KEEP_WHILE] = []
    if kept is UNKNOWN or (kept is not None and kept.expiry is not None):
        options[commands.TTL] = commands.FOREVER
    return _put(step, options)


def conditional(step: Step, kept: KeepWhile | None) -> Operation:
    """Give the command of the third step; arguments as for `standing`."""
    options: dict[int, object] = {commands.TTL: commands.FOREVER}
    watches = step.node.keep_while
    # Those that it has need not be met at this moment (`is_about_itself`), and stay.
    if kept is None or set(kept.watches) != set(watches):
        options[commands.KEEP_WHILE] = [
            [pattern_to_plain(pattern), component_to_plain(condition)]
            for pattern, condition in watches
        ]
    return _put(step, options)


def removal(path: Path) -> Operation:
    """Give the command that removes a tree node that cannot live, with what is below it."""
    return commands.delete(path)


def about_bytes(node: ExportedNode) -> int:
    """Give a number of bytes that its command stays below, but for its conditions."""
    return (
        _OVERHEAD_BYTES + sum([4 * len(name) + 8 for name in node.path]) + len(node.payload or b"")
    )


def least_bytes(node: ExportedNode) -> int:
    """Give how long its largest command is at least."""
    if node.keep_while:
        return len(pack(conditional(Step(node, None), None)))
    return len(pack(standing(Step(node, None), None)))


def is_about_itself(node: ExportedNode) -> bool:
    """Tell whether a tree node lives under conditions on itself or on what is below it.

    Such ones need not be met when it is made, and so perhaps not when it was exported.
    """
    path = tuple(node.path)
    return any(literal_prefix(pattern)[: len(path)] == path for pattern, _ in node.keep_while)


def with_late(nodes: Iterable[ExportedNode]) -> Iterator[tuple[ExportedNode, bool]]:
    """Tell of each tree node whether it is to be made in the third step, and not before.

    It is if it lives under conditions on itself, and nothing below it follows: they are not asked
    of a tree node that is just being made. Made before, it would have to meet them.
    """
    before: ExportedNode | None = None
    for node in nodes:
        if before is not None:
            yield before, is_about_itself(before) and node.path[: len(before.path)] != before.path
        before = node
    if before is not None:
        yield before, is_about_itself(before)


class Gone:
    """The tree nodes of an export that have expired, and what has gone with them."""

    __slots__ = ("_above", "_paths")

    def __init__(self) -> None:
        """Begin with none."""
        self._paths: set[Names] = set()
        self._above: set[Names] = set()

    def add(self, path: Path) -> None:
        """Note that one is gone, with all below it."""
        names = tuple(path)
        self._paths.add(names)
        self._above.update(names[:length] for length in range(len(names)))

    def has(self, path: Path) -> bool:
        """Tell whether a tree node is gone."""
        return bool(self._paths) and self._is_below(tuple(path))

    def concerns(self, pattern: Iterable[object]) -> bool:
        """Tell whether a condition may be unmet since something that it looks at is gone."""
        if not self._paths:
            return False
        prefix = literal_prefix(tuple(pattern))  # type: ignore[arg-type]
        return prefix in self._above or self._is_below(prefix)

    def _is_below(self, names: Names) -> bool:
        return any(names[:length] in self._paths for length in range(len(names) + 1))


def _put(step: Step, options: dict[int, object]) -> Operation:
    """Give the shortest put that says all of it."""
    node = step.node
    if not node.path:  # the root lives under nothing
        options = {}
    elif step.ttl_milliseconds is not None:
        options[commands.TTL] = step.ttl_milliseconds
    if not options and node.payload is not None:
        return [commands.PUT, node.path, node.payload]
    return [commands.PUT_MATCHING, list(node.path), node.payload, options]
