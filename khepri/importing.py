"""Imports: what was exported goes into a store, from a file or from a reader of your own.

Here is in which order, and what is done where a store refuses. What becomes of a tree node is in
`import_commands.py`, how it is written in `import_sending.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol

from khepri.errors import KeepWhileConditionsNotMetError

from .import_commands import Gone, Step, is_below, removing, standing, time_left
from .import_sending import Sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from khepri.machine.paths import Path

    from .exported_node import ExportedNode
    from .import_sending import Refusal, Target

CLOCK_LAG_MILLISECONDS: Final = 250
"""A log may be so much ahead of what is known of its time (`LogClock.look`)."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported.

    Attributes:
        nodes: how many tree nodes were written.
        left_out: how many were not, since their time to live is over, or since they have gone with
            one of which it is.
        closed: what the reader's ``close`` has given; None for a file.
    """

    nodes: int
    left_out: int
    closed: Any = None


class Source(Protocol):
    """Where the tree nodes of an import come from."""

    def nodes(self) -> Iterator[list[ExportedNode]]:
        """Give all; later what has conditions or an end, or is below an end, is enough."""
        ...


class Import:
    """One import, of one thread."""

    def __init__(
        self, source: Source, target: Target, look: Callable[[int], object] = int
    ) -> None:
        """Prepare it.

        Args:
            source: of the tree nodes.
            target: the store.
            look: called now and then, with how many tree nodes were written since the last time;
                what it raises ends the import.
        """
        self._source = source
        self._target = target
        self._sending = Sending(target, look)
        self._gone = Gone()
        self._never_written = self._gone
        self._waiting: list[list[ExportedNode]] = []
        self._nodes = self._left_out = 0
        self._has_conditions = self._has_ends = False

    @property
    def acknowledged(self) -> int:
        """How many tree nodes are certainly in the store."""
        return self._sending.acknowledged

    def run(self) -> Imported:
        """Import everything; it may be done again, and comes to the same.

        Raises:
            KeepWhileConditionsNotMetError: a tree node lives under something that is neither in
                the export nor in the store.
            MismatchingNodeError: a tree node waits for something below it, and there is one with
                children in its place.
            KhepriError: the store refuses, or does not answer in time.
        """
        self._sending.write(self._children_first(self._what_stands()), standing)
        self._never_written = self._gone.copy()
        self._make_waiting()
        if self._has_conditions:
            self._set_conditions()
        if self._has_ends:
            self._sending.write(self._what_came_late(), removing)
        return Imported(self._nodes, self._left_out)

    # --- what is to be written

    def _what_stands(self) -> Iterator[Step]:
        """Give what the first step writes, and note what is left to the others."""
        group: list[ExportedNode] = []  # the last one that waits, and what is below it
        for node in chain.from_iterable(self._source.nodes()):
            step = self._step(node)
            if step is None:
                self._left_out += 1
                continue
            self._nodes += 1
            self._has_ends |= step.ttl_milliseconds is not None
            self._has_conditions |= bool(node.keep_while) and not node.is_waiting
            if group and is_below(node, group[0]):
                group.append(node)
            elif node.is_waiting:
                group = [node]
                self._waiting.append(group)
            else:
                yield step

    def _children_first(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Give what was made on the way to a child behind the first child, which so makes it."""
        held: list[Step] = []
        for step in steps:
            while held and not is_below(step.node, held[-1].node):
                yield held.pop()  # nothing is below it
            if step.node.is_implicit and not self._has_conditions_now(step.node):
                held.append(step)
                continue
            yield step
            yield from reversed(held)
            held.clear()
        yield from reversed(held)

    def _has_conditions_now(self, node: ExportedNode) -> bool:
        """Tell whether a tree node has conditions in the store, under which it must not go now."""
        found = self._target.find(node.path)
        kept = None if found is None else found.keep_while
        return kept is not None and bool(kept.watches)

    def _steps(self, is_meant: Callable[[ExportedNode], object]) -> Iterator[Step]:
        """Give what another step writes."""
        for node in chain.from_iterable(self._source.nodes()):
            step = self._step(node)
            if step is not None and is_meant(node):
                yield step

    def _step(self, node: ExportedNode, least_milliseconds: int = 1) -> Step | None:
        """Give how a tree node is to be written now; None if it has gone, or is about to."""
        if self._gone.has(node.path):
            return None
        left = time_left(node, self._target.time_milliseconds())
        if left is not None and left < least_milliseconds:
            self._gone.add(node.path)
            return None
        return Step(node, left)

    # --- with an end

    def _note_ends(self) -> None:
        """Note what has expired meanwhile, or does so now by the log's own time."""
        if self._has_ends:
            for node in chain.from_iterable(self._source.nodes()):
                self._step(node, CLOCK_LAG_MILLISECONDS)

    def _what_came_late(self) -> Iterator[Step]:
        """Give what was written below something that had expired by then: it would never go.

        Not what somebody else has made there meanwhile, as far as that can be told.
        """
        self._note_ends()
        for node in chain.from_iterable(self._source.nodes()):
            ended = self._gone.highest(node.path)
            if ended is None or ended == node.path or self._never_written.has(node.path):
                continue
            above, found = self._target.find(ended), self._target.find(node.path)
            if found is None or found.payload != node.payload:
                continue
            if above is None or above.is_made_on_the_way:  # else it still has an end, or another
                self._nodes -= 1
                self._left_out += 1
                yield Step(node, None)

    # --- with conditions

    def _make_waiting(self) -> None:
        """Make what waits for something below it, each before what is below it."""
        while self._waiting:
            refusals: list[Refusal] = []
            groups = [
                rest for group in self._waiting for rest in self._make_group(group, refusals)
            ]
            groups += self._undone({step.node.path for step, _ in refusals})
            count = sum(map(len, groups))
            is_stuck = count == sum(map(len, self._waiting))
            if is_stuck and not self._make_alone(refusals, groups):
                self._without_gone(refusals or [_overtaken(groups[0][0])])
            self._waiting = [group for group in groups if self._step(group[0]) is not None]
            lost = count - sum(map(len, self._waiting))
            self._nodes -= lost
            self._left_out += lost

    def _make_alone(self, refusals: list[Refusal], groups: list[list[ExportedNode]]) -> bool:
        """Make what looks at a parent that is there for it alone; tell whether any was made.

        Only where nothing of the export is to be above it, and nothing that has gone is missed.
        """
        highest = [group[0] for group in groups]
        made = [
            self._sending.write_alone(step)
            for step, error in refusals
            if not self._gone.concerns(error.keep_while_reason[0])
            and not any(is_below(step.node, one) and one is not step.node for one in highest)
        ]
        return any(made)

    def _undone(self, refused: set[Path]) -> list[list[ExportedNode]]:
        """Give what was made and is gone: others were made, and it looks at them."""
        made = [group for group in self._waiting if group[0].path not in refused]
        return [
            group
            for group in made
            if not self._gone.has(group[0].path) and self._target.find(group[0].path) is None
        ]

    def _make_group(
        self, group: list[ExportedNode], refusals: list[Refusal]
    ) -> list[list[ExportedNode]]:
        """Make one that waits, and what is below it; give what the store refuses, and why."""
        left: list[list[ExportedNode]] = []
        ready: list[Step] = []
        implicit_ones: list[Step] = []
        for node in group:
            step = self._step(node)
            if left and is_below(node, left[-1][0]):
                left[-1].append(node)
            elif step is None:
                self._nodes -= 1
                self._left_out += 1
            elif node.is_waiting:
                self._sending.write(ready, standing)
                ready.clear()
                refused = self._sending.write_conditional([step])
                refusals += refused
                if refused:
                    left.append([node])
            elif node.is_implicit:
                implicit_ones.append(step)
            else:
                ready.append(step)
        self._sending.write(ready + implicit_ones, standing)
        return left

    def _set_conditions(self) -> None:
        """Have tree nodes live under their conditions.

        What cannot, since it hangs on what has expired, goes with that, as it would have done in
        the store it comes from.
        """
        refused = self._sending.write_conditional(
            self._steps(lambda node: node.keep_while and not node.is_waiting)
        )
        while refused:
            refused = self._without_gone(refused)
            steps = [self._step(step.node) for step, _ in refused]
            refused = self._sending.write_conditional([step for step in steps if step is not None])

    def _without_gone(self, refused: list[Refusal]) -> list[Refusal]:
        """Remove what has gone with something that has expired; give the others.

        Raises:
            KeepWhileConditionsNotMetError: there is nothing but others.
        """
        self._note_ends()
        others: list[Refusal] = []
        lost: list[Step] = []
        for step, error in refused:
            if not self._gone.concerns(error.keep_while_reason[0]):
                others.append((step, error))
                continue
            lost.append(step)
            self._gone.add(step.node.path)
            if not step.node.is_waiting:  # those are counted with what is below them
                self._nodes -= 1
                self._left_out += 1
        self._sending.write(lost, removing)
        if not lost:
            _, error = others[0]
            raise KeepWhileConditionsNotMetError(
                f"{error.message}, and nothing in the export makes it so", **error.facts
            ) from error
        return others


def _overtaken(node: ExportedNode) -> Refusal:
    """Make the error for one that waits, and is gone whenever another one is made."""
    return Step(node, None), KeepWhileConditionsNotMetError(
        f"the tree node {node.path} cannot be kept: what it looks at has changed",
        node_name=node.path.name,
        node_path=node.path,
        keep_while_reason=tuple(node.keep_while[0]),
    )
