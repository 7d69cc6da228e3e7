"""How an import writes: in batches of bounded size, several under way at once.

Conditions go one by one, since a batch is refused as a whole. What is written when is in
`importing.py`.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from khepri.config import get_max_command_bytes
from khepri.errors import KeepWhileConditionsNotMetError, MismatchingNodeError, ServerStoppedError
from khepri.machine.batch_bytes import BatchBytes
from khepri.machine.command_bytes import encode
from khepri.machine.command_codes import PUT

from .import_commands import (
    UNKNOWN,
    Step,
    about_bytes,
    conditional,
    removing,
    waiting,
    waiting_alone,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from khepri.actors.future import KhepriFuture
    from khepri.machine.commands import Operation
    from khepri.machine.keep_while import KeepWhile
    from khepri.machine.paths import Path

    from .exported_node import ExportedNode
    from .import_commands import Found

Refusal: TypeAlias = "tuple[Step, KeepWhileConditionsNotMetError]"

BATCH_BYTES: Final = 256 * 1024
BATCH_OPERATIONS: Final = 500
BATCHES_IN_FLIGHT: Final = 8
CONDITIONS_IN_FLIGHT: Final = 256


class Target(Protocol):
    """The store that an import writes to."""

    @property
    def is_near(self) -> bool:
        """Whether `find` answers at once."""
        ...

    def time_milliseconds(self) -> int:
        """Give the log's time."""
        ...

    def find(self, path: Path) -> Found | None:
        """Give what is in the place of a tree node; None if nothing is."""
        ...

    def send(self, command: bytes) -> KhepriFuture[Any]:
        """Send a command; the future gives its result, or raises."""
        ...

    def wait(self, future: KhepriFuture[Any]) -> object:
        """Wait for the reply as long as may be waited for one, and give its result."""
        ...


class Sending:
    """What an import has under way. One thread.

    Attributes:
        acknowledged: how many tree nodes are certainly in the store.
    """

    def __init__(self, target: Target, look: Callable[[int], object]) -> None:
        """Begin; arguments as for an `Import`."""
        self._target = target
        self._look = look
        self.acknowledged = 0

    def write(
        self,
        steps: Iterable[Step],
        operation_of: Callable[[Step, KeepWhile | None], Operation],
    ) -> None:
        """Write tree nodes in batches; when it returns, all are on disk."""
        under_way: deque[tuple[int, KhepriFuture[Any]]] = deque()
        batch, size_bytes = BatchBytes(), 0
        limit_bytes = min(BATCH_BYTES, get_max_command_bytes())
        only: Operation = []

        def send() -> None:
            # What comes alone may be as large as a command can be.
            command = batch.encode() if batch.count > 1 else encode(only)
            written = 0 if operation_of is removing else batch.count
            under_way.append((written, self._target.send(command)))
            if len(under_way) >= BATCHES_IN_FLIGHT:
                self._wait_for_oldest(under_way)

        with _nobody_waits_after_an_error(under_way):
            for step in steps:
                more_bytes = about_bytes(step.node)
                if batch.count and (
                    size_bytes + more_bytes > limit_bytes or batch.count >= BATCH_OPERATIONS
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
        """Give what a tree node lives under; `UNKNOWN` if to ask costs more than to say all."""
        if not self._target.is_near and not node.is_implicit:
            return UNKNOWN
        found = self._target.find(node.path)
        return None if found is None else found.keep_while

    def _wait_for_oldest(self, under_way: deque[tuple[int, KhepriFuture[Any]]]) -> None:
        count, future = under_way.popleft()
        self._target.wait(future)
        self.acknowledged += count
        self._look(count)

    def write_conditional(self, steps: Iterable[Step]) -> list[Refusal]:
        """Write tree nodes with their conditions; give those that the store refuses."""
        refused: list[Refusal] = []
        under_way: deque[tuple[Step, KhepriFuture[Any]]] = deque()

        def wait_for_oldest() -> None:
            step, future = under_way.popleft()
            try:
                self._target.wait(future)
            except KeepWhileConditionsNotMetError as error:
                refused.append((step, error))

        with _nobody_waits_after_an_error(under_way):
            for step in steps:
                node = step.node
                operation = (
                    waiting(step, self._target.find(node.path))
                    if node.is_waiting
                    else conditional(step, self._lifetime(node))
                )
                under_way.append((step, self._target.send(encode(operation))))
                if len(under_way) >= CONDITIONS_IN_FLIGHT:
                    wait_for_oldest()
                    self._look(0)
            while under_way:
                wait_for_oldest()
        return refused

    def write_alone(self, step: Step) -> bool:
        """Write one that waits below what nobody has made; tell whether the store takes it."""
        if not step.node.path[:-1] or self._target.find(step.node.path.parent) is not None:
            return False
        try:
            self._target.wait(self._target.send(encode(waiting_alone(step))))
        except (KeepWhileConditionsNotMetError, MismatchingNodeError):
            return False
        return True


@contextmanager
def _nobody_waits_after_an_error(
    under_way: deque[tuple[Any, KhepriFuture[Any]]],
) -> Generator[None]:
    """Let the server know, if an import ends, that nobody waits for what is under way.

    What it has not begun by then, it never does: who imports again would find it coming late.
    """
    try:
        yield
    except BaseException:
        for _, future in under_way:
            future.fail(ServerStoppedError("the import has ended", outcome="unknown"))
        raise
