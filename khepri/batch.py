"""Write batches: many operations, one command, one log entry, all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, overload

from khepri.errors import MisuseError
from khepri.machine import commands
from khepri.machine.batch_bytes import BatchBytes
from khepri.machine.values import encode_value

from .calls import result
from .compound import CompoundWrite
from .reading import concrete_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from khepri.actors.future import KhepriFuture
    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike

    from .calls import Timeout


class Batch(CompoundWrite):
    """Operations that are applied together: each sees those before it, and all are, or none.

    Made by `Store.batch`. Arguments are checked when an operation is added, and encoded: what
    happens to them afterwards changes nothing. Nothing is sent before `commit`. One thread.

    Each function that adds an operation takes the arguments of the function of the same name in
    `Store`, without those that say how it is sent, and raises at once what that would raise for
    bad arguments; `MisuseError` if the batch was sent already. What depends on the tree is raised
    by `commit`.
    """

    __slots__ = ("_operations", "_results", "_send", "_timeout")

    def __init__(
        self,
        send: Callable[[bytes, Timeout, bool, Callable[[Any], Any]], Any],
        timeout: Timeout,
    ) -> None:
        """Make an empty batch; use `Store.batch`."""
        self._send = send
        self._timeout = timeout
        self._operations: BatchBytes | None = BatchBytes()  # None once it was sent
        self._results: list[Any] | None = None

    def __len__(self) -> int:
        """Give the number of operations so far."""
        return 0 if self._operations is None else self._operations.count

    def __repr__(self) -> str:
        """Show how much is in it, or that it is done."""
        if self._operations is None:
            return "<batch, sent>"
        return f"<batch of {len(self)} operations>"

    @property
    def results(self) -> list[Any]:
        """What `commit` has given, also when it was the end of a ``with`` block.

        Raises:
            MisuseError: the batch was not committed, or failed, or a future has its results.
        """
        if self._results is None:
            raise MisuseError("there are results once the batch is committed and has not failed")
        return self._results

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit, unless an exception leaves the block or it was committed inside."""
        if kind is None and self._operations is not None:
            self.commit()

    def put(
        self,
        path: PathLike,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
    ) -> None:
        """Add a `Store.put`."""
        is_plain = keep_while is None and ttl is None
        if not (is_plain and self._unsent().put(path, encode_value(data))):
            super().put(path, data, keep_while=keep_while, ttl=ttl)

    def increment(self, path: PathLike, by: int = 1) -> None:
        """Add a `Store.increment`; `commit` gives the new number in its place."""
        self._add(commands.increment(concrete_path(path), by))

    @overload
    def commit(self, *, async_: Literal[False] = False) -> list[Any]: ...
    @overload
    def commit(self, *, async_: Literal[True]) -> KhepriFuture[list[Any]]: ...
    @overload
    def commit(self, *, async_: bool) -> KhepriFuture[list[Any]] | list[Any]: ...
    def commit(self, *, async_: bool = False) -> KhepriFuture[list[Any]] | list[Any]:
        """Send the batch; it cannot be used afterwards.

        Args:
            async_: return a future at once.

        Returns:
            what each operation gives, in order: the new number for an increment, None for others.

        Raises:
            KhepriError: what an operation would raise; ``batch_position`` among its facts says
                which. Nothing of the batch was done then.
            ValueTooLargeError: all operations together are above ``max_command_bytes``.
        """
        operations, self._operations = self._unsent(), None
        # An empty batch is sent too: its reply says that the store takes writes.
        command, count = operations.encode(), operations.count
        results: KhepriFuture[list[Any]] | list[Any] = self._send(
            command, self._timeout, async_, lambda reply: result(reply) or [None] * count
        )
        if isinstance(results, list):
            self._results = results
        return results

    def _add(self, operation: commands.Operation) -> None:
        self._unsent().add(operation)

    def _unsent(self) -> BatchBytes:
        if self._operations is None:
            raise MisuseError("the batch was sent already, whatever came of it; make a new one")
        return self._operations
