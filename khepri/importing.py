"""Imports: what was exported goes into a store, from a file or from a reader of your own.

Writes go in batches of bounded size, several under way at once. What becomes of a tree node is in
`import_commands.py`; here is in which order, what is waited for, and what is done where a store
refuses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from khepri.errors import KeepWhileConditionsNotMetError
from khepri.machine.batch_bytes import BatchBytes
from khepri.machine.command_bytes import encode
from khepri.machine.command_codes import PUT

from .calls import result
from .import_commands import (
    Gone,
    Step,
    about_bytes,
    conditional,
    implicit,
    is_below,
    removal,
    standing,
    time_left,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from khepri.actors.future import KhepriFuture
    from khepri.machine.commands import Operation
    from khepri.machine.keep_while import KeepWhile
    from khepri.machine.paths import Path

    from .exported_node import ExportedNode
    from .import_commands import Found

_Refusal: TypeAlias = "tuple[Step, KeepWhileConditionsNotMetError]"

BATCH_BYTES: Final = 256 * 1024
BATCH_OPERATIONS: Final = 500
BATCHES_IN_FLIGHT: Final = 8
CONDITIONS_IN_FLIGHT: Final = 256
"""They go one by one: a batch is refused as a whole."""


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
        """Give all; at the second and third time those with conditions and marks are enough."""
        ...


class Target(Protocol):
    """The store that an import writes to."""

    def time_milliseconds(self) -> int:
        """Give the log's time."""
        ...

    def lifetime(self, path: Path) -> KeepWhile | None:
        """Give what a tree node lives under; `UNKNOWN` if that cannot be said at once."""
        ...

    def find(self, path: Path) -> Found | None:
        """Give what is in the place of a tree node; None if nothing is."""
        ...

    def send(self, command: bytes, decode: Callable[[Any], Any] = result) -> KhepriFuture[Any]:
        """Send a command; the future gives what `decode` makes of the reply."""
        ...

    def wait(self, future: KhepriFuture[Any]) -> object:
        """Wait for the reply as long as may be waited for one, and give its result."""
        ...


class Import:
    """One import, of one thread.

    Attributes:
        acknowledged: how many tree nodes are certainly in the store.
    """

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
        self._look = look
        self._gone = Gone()
        self._waiting: list[list[ExportedNode]] = []
        self._nodes = self._left_out = 0
        self._has_implicit = self._has_conditions = False
        self.acknowledged = 0

    def run(self) -> Imported:
        """Import everything; it may be done again, and comes to the same.

        Raises:
            KeepWhileConditionsNotMetError: a tree node lives under something that is neither in
                the export nor in the store.
            MismatchingNodeError: a tree node waits for something below it, and there is one with
                children in its place.
            KhepriError: the store refuses, or does not answer in time.
        """
        self._write(self._what_stands(), standing)
        if self._has_implicit:
            self._write(self._steps(lambda node: node.is_implicit), implicit)
        self._make_waiting()
        if self._has_conditions:
            self._set_conditions()
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
            self._has_conditions |= bool(node.keep_while) and not node.is_waiting
            if group and is_below(node, group[0]):
                group.append(node)
            elif node.is_waiting:
                group = [node]
                self._waiting.append(group)
            elif node.is_implicit and not self._has_conditions_now(node):
                self._has_implicit = True
            else:
                yield step

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

    def _step(self, node: ExportedNode) -> Step | None:
        """Give how a tree node is to be written now; None if it has gone."""
        if self._gone.has(node.path):
            return None
        if node.expires_at_milliseconds is None:
            return Step(node, None)
        left = time_left(node, self._target.time_milliseconds())
        if left is not None and left <= 0:
            self._gone.add(node.path)
            return None
        return Step(node, left)

    # --- in batches

    def _write(
        self,
        steps: Iterable[Step],
        operation_of: Callable[[Step, KeepWhile | None], Operation],
    ) -> None:
        """Write tree nodes in batches; when it returns, all are on disk."""
        under_way: deque[tuple[int, KhepriFuture[Any]]] = deque()
        batch, size_bytes = BatchBytes(), 0
        only: Operation = []

        def send() -> None:
            # What comes alone may be as large as a command can be.
            command = batch.encode() if batch.count > 1 else encode(only)
            under_way.append((batch.count, self._target.send(command)))
            if len(under_way) >= BATCHES_IN_FLIGHT:
                self._wait_for_oldest(under_way)

        for step in steps:
            more_bytes = about_bytes(step.node)
            if batch.count and (
                size_bytes + more_bytes > BATCH_BYTES or batch.count >= BATCH_OPERATIONS
            ):
                send()
                batch, size_bytes = BatchBytes(), 0
            only = operation_of(step, self._lifetime(step.node))
            if only[0] != PUT or not batch.put(step.node.path, only[2]):
                batch.add(only)
            size_bytes += more_bytes
        if batch.count:
            send()
        while under_way:
            self._wait_for_oldest(under_way)

    def _lifetime(self, node: ExportedNode) -> KeepWhile | None:
        if not node.is_implicit:
            return self._target.lifetime(node.path)
        found = self._target.find(node.path)
        return None if found is None else found.keep_while

    def _wait_for_oldest(self, under_way: deque[tuple[int, KhepriFuture[Any]]]) -> None:
        count, future = under_way.popleft()
        self._target.wait(future)
        self.acknowledged += count
        self._look(count)

    # --- with conditions

    def _make_waiting(self) -> None:
        """Make what waits for something below it, each before what is below it."""
        while self._waiting:
            refusals: list[_Refusal] = []
            groups = [
                rest for group in self._waiting for rest in self._make_group(group, refusals)
            ]
            groups += self._undone({step.node.path for step, _ in refusals})
            count = sum(map(len, groups))
            if count == sum(map(len, self._waiting)):
                self._without_gone(refusals or [_overtaken(groups[0][0])])
            self._waiting = [group for group in groups if self._step(group[0]) is not None]
            lost = count - sum(map(len, self._waiting))
            self._nodes -= lost
            self._left_out += lost

    def _undone(self, refused: set[Path]) -> list[list[ExportedNode]]:
        """Give what was made and is gone: others were made, and it looks at them."""
        made = [group for group in self._waiting if group[0].path not in refused]
        return [
            group
            for group in made
            if not self._gone.has(group[0].path) and self._target.find(group[0].path) is None
        ]

    def _make_group(
        self, group: list[ExportedNode], refusals: list[_Refusal]
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
                self._write(ready, standing)
                ready.clear()
                refused = self._put_conditional([step])
                refusals += refused
                if refused:
                    left.append([node])
            elif node.is_implicit:
                implicit_ones.append(step)
            else:
                ready.append(step)
        self._write(ready, standing)
        self._write(implicit_ones, implicit)
        return left

    def _set_conditions(self) -> None:
        """Have tree nodes live under their conditions.

        What cannot, since it hangs on what has expired, goes with that, as it would have done in
        the store it comes from.
        """
        refused = self._put_conditional(
            self._steps(lambda node: node.keep_while and not node.is_waiting)
        )
        while refused:
            refused = self._without_gone(refused)
            steps = [self._step(step.node) for step, _ in refused]
            refused = self._put_conditional([step for step in steps if step is not None])

    def _put_conditional(self, steps: Iterable[Step]) -> list[_Refusal]:
        """Write tree nodes with their conditions; give those that the store refuses."""
        refused: list[_Refusal] = []
        under_way: deque[tuple[Step, KhepriFuture[Any]]] = deque()

        def wait_for_oldest() -> None:
            step, future = under_way.popleft()
            try:
                self._target.wait(future)
            except KeepWhileConditionsNotMetError as error:
                refused.append((step, error))

        for step in steps:
            node = step.node
            operation = (
                waiting(step, self._target.find(node.path))
                if node.is_waiting
                else conditional(step, self._target.lifetime(node.path))
            )
            under_way.append((step, self._target.send(encode(operation))))
            if len(under_way) >= CONDITIONS_IN_FLIGHT:
                wait_for_oldest()
                self._look(0)
        while under_way:
            wait_for_oldest()
        return refused

    def _without_gone(self, refused: list[_Refusal]) -> list[_Refusal]:
        """Remove what has gone with something that has expired; give the others.

        Raises:
            KeepWhileConditionsNotMetError: there is nothing but others.
        """
        others: list[_Refusal] = []
        for step, error in refused:
            if not self._gone.concerns(error.keep_while_reason[0]):
                others.append((step, error))
                continue
            self._target.wait(self._target.send(encode(removal(step.node.path))))
            self._gone.add(step.node.path)
            if not step.node.is_waiting:  # those are counted with what is below them
                self._nodes -= 1
                self._left_out += 1
        if len(others) == len(refused):
            _, error = others[0]
            raise KeepWhileConditionsNotMetError(
                f"{error.message}, and nothing in the export makes it so", **error.facts
            ) from error
        return others


def _overtaken(node: ExportedNode) -> _Refusal:
    """Make the error for one that waits, and is gone whenever another one is made."""
    return Step(node, None), KeepWhileConditionsNotMetError(
        f"the tree node {node.path} cannot be kept: what it looks at has changed",
        node_name=node.path.name,
        node_path=node.path,
        keep_while_reason=tuple(node.keep_while[0]),
    )
