"""How exported tree nodes become commands, in which order, and which come to nothing.

A tree node may live under others that come behind it in the export (BUG-21 upstream), so an import
has several steps, each when the one before is done:

1. what stands by itself: payloads and times to live. Conditions that the tree node has in the
   store are taken away, so that nothing goes while half of the export is there. Parents that were
   made on the way to a child come behind the first child: it makes them, so they stay such;
2. tree nodes whose conditions on themselves are not met yet (`ExportedNode.is_waiting`), with what
   is below them. They must be made with these conditions, before what is below them, and when what
   else they look at is there, since the next change of that would be their end;
3. all other conditions: everything that is in the export can be looked at now;
4. what was written below a tree node that had expired by then is removed: it stands there by
   itself, and would never go.

Pure: time and tree are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.encoding import pack
from khepri.machine import commands
from khepri.machine.command_codes import pattern_to_plain
from khepri.machine.condition_codec import component_to_plain
from khepri.machine.conditions import IfAny, IfChildListLength, IfNodeExists
from khepri.machine.keep_while import KeepWhile, literal_prefix
from khepri.machine.paths import combine_with_conditions
from khepri.machine.properties import known_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


class Found(NamedTuple):
    """What is in a store in the place of a tree node."""

    payload: bytes | None
    keep_while: KeepWhile | None

    @property
    def is_made_on_the_way(self) -> bool:
        """Whether it is there for what is below it and nothing else."""
        kept = self.keep_while
        has_more = self.payload is not None or kept is None or kept.watches or kept.expiry
        return not has_more and kept is not None and kept.is_implicit


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
        options[commands.TTL] = commands.FOREVER
        # To take conditions away would take away that it was made on the way.
        if kept.watches or not step.node.is_implicit:
            options[commands.KEEP_WHILE] = []
    return _put(step, options)


def waiting(step: Step, found: Found | None) -> Operation:
    """Give the command of the second step for the one that waits.

    Its conditions are not asked only where it is made, so it must not be there: another one is
    removed if it has no children, and stops the import if it has.

    Args:
        step: the tree node.
        found: what is in its place in the store now; None if nothing is.
    """
    put = conditional(step, None if found is None else found.keep_while)
    if (
        found is not None
        and commands.KEEP_WHILE not in put[-1]
        and found.payload == step.node.payload
    ):  # it waits already, and nothing that it looks at changes
        return put
    put = conditional(step, None)
    alone = IfAny(IfNodeExists(exists=False), IfChildListLength(0))
    may_be_made = commands.require(combine_with_conditions(step.node.path, alone))
    return commands.batch([may_be_made, commands.delete(step.node.path), put])


def waiting_alone(step: Step) -> Operation:
    """Give the command of the second step for one that looks at a parent that nobody has made.

    Made on the way to it, the parent would be there too late. Somebody beside it, who goes as
    soon as it comes, has the parent made: so it was in the store that it comes from.

    Args:
        step: the tree node, whose parent is not in the store.
    """
    path = step.node.path
    beside = path.parent / ("0" if path.name != "0" else "1")
    nothing = IfNodeExists(exists=False)
    return commands.batch(
        [
            commands.require(combine_with_conditions(path.parent, nothing)),
            commands.put(beside, None, keep_while={path: nothing}),
            conditional(step, None),
        ]
    )


def conditional(step: Step, kept: KeepWhile | None) -> Operation:
    """Give the command of the third step; arguments as for `standing`."""
    options: dict[int, object] = {commands.TTL: commands.FOREVER}
    watches = step.node.keep_while
    # Those that it has need not be met at this moment, and stay.
    if kept is None or set(kept.watches) != set(watches):
        options[commands.KEEP_WHILE] = [
            [pattern_to_plain(pattern), component_to_plain(condition)]
            for pattern, condition in watches
        ]
    return _put(step, options)


def removing(step: Step, _kept: KeepWhile | None) -> Operation:
    """Give the command that removes what cannot live, with what is below it."""
    return commands.delete(step.node.path)


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


def is_below(node: ExportedNode, other: ExportedNode) -> bool:
    """Tell whether a tree node is below another one, or in its place."""
    return node.path[: len(other.path)] == other.path


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

    def copy(self) -> Gone:
        """Give them as they are now."""
        other = Gone()
        other._paths, other._above = set(self._paths), set(self._above)
        return other

    def has(self, path: Sequence[str]) -> bool:
        """Tell whether a tree node is gone."""
        return self.highest(path) is not None

    def highest(self, path: Sequence[str]) -> Path | None:
        """Give the highest one that is gone at a path or above it, None if none is."""
        names = tuple(path)
        lengths = range(len(names) + 1) if self._paths else ()
        found = next((length for length in lengths if names[:length] in self._paths), None)
        return None if found is None else known_path(names[:found])

    def concerns(self, pattern: Iterable[object]) -> bool:
        """Tell whether a condition may be unmet since something that it looks at is gone."""
        if not self._paths:
            return False
        prefix = literal_prefix(tuple(pattern))  # type: ignore[arg-type]
        return prefix in self._above or self.has(prefix)


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
