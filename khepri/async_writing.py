"""The writes of a store for asyncio: those of `Writer`, awaited.

Encoding and checks are the same code, in the loop's thread; nothing is sent before it is awaited
or made a task of. A task that is cancelled while it waits leaves its write to be done.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast, overload

from khepri.actors.server_messages import ConsistentRead
from khepri.errors import KhepriTimeoutError, MisuseError, WrongTypeError

from .async_calls import call, send
from .async_reading import AsyncReader
from .batch import Batch
from .calls import DEFAULT, Deadline, Timeout, check_size, result
from .options import TIMEOUT, WRITE, check_options, check_unknown
from .procedures import find_procedure
from .transacting import Runs, is_done
from .triggering import Triggering, listed_triggers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from types import TracebackType
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.paths import PathLike

    from .options import (
        ManyWriteOptions,
        PutManyOptions,
        PutOptions,
        ReadOptions,
        TimeoutOption,
        TransactionOptions,
        WriteOptions,
    )
    from .transaction import Transaction
    from .triggering import Trigger

T = TypeVar("T")


class CoroutineWriter(Triggering):
    """A writer whose functions check, encode, and give a coroutine that sends and waits."""

    __slots__ = ()

    def _send(
        self,
        command: bytes,
        timeout: Timeout,
        async_: bool = False,  # noqa: FBT001, FBT002 - as the base has it
        decode: Callable[[Any], Any] = result,
        options: WriteOptions | None = None,
    ) -> Coroutine[Any, Any, Any]:
        if async_:
            raise WrongTypeError("khepri.aio takes no async_", option="async_", value=async_)
        check_size(command)
        how: WriteOptions = {**(options or {}), "timeout": timeout}
        return send(self._get_node(), self._store_id, command, decode, how)


class AsyncBatch(Batch):
    """A write batch for asyncio: ``async with store.batch() as batch`` commits at its end.

    Operations are added without waiting, as to a `khepri.types.Batch`. One task.
    """

    __slots__ = ()

    def __enter__(self) -> NoReturn:
        """Refuse: committing waits.

        Raises:
            MisuseError: always.
        """
        raise MisuseError("a batch of khepri.aio is used with `async with`")

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit, unless an exception leaves the block or it was committed inside."""
        if kind is None and self._operations is not None:
            await self.commit()

    async def commit(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send the batch; see `khepri.types.Batch.commit`."""
        committing: Any = super().commit()
        results: list[Any] = await committing
        self._results = results
        return results


class AsyncWriter(AsyncReader):
    """The writing half of a `khepri.aio.Store`. Options and errors as for `khepri.Store`."""

    __slots__ = ("_writer",)

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle; see `AsyncReader`."""
        super().__init__(store_id, node)
        # What its functions give, here, is a coroutine.
        self._writer: Any = CoroutineWriter(store_id, node)

    async def put(self, path: PathLike, data: object, **options: Unpack[PutOptions]) -> None:
        """See `khepri.Store.put`."""
        await self._writer.put(path, data, **options)

    async def put_many(
        self, pattern: PathLike, data: object, **options: Unpack[PutManyOptions]
    ) -> None:
        """See `khepri.Store.put_many`."""
        await self._writer.put_many(pattern, data, **options)

    async def create(self, path: PathLike, data: object, **options: Unpack[PutOptions]) -> None:
        """See `khepri.Store.create`."""
        await self._writer.create(path, data, **options)

    async def update(self, path: PathLike, data: object, **options: Unpack[PutOptions]) -> None:
        """See `khepri.Store.update`."""
        await self._writer.update(path, data, **options)

    async def compare_and_swap(
        self, path: PathLike, expected: object, data: object, **options: Unpack[PutOptions]
    ) -> None:
        """See `khepri.Store.compare_and_swap`."""
        await self._writer.compare_and_swap(path, expected, data, **options)

    async def delete(self, path: PathLike, **options: Unpack[WriteOptions]) -> None:
        """See `khepri.Store.delete`."""
        await self._writer.delete(path, **options)

    async def delete_many(self, pattern: PathLike, **options: Unpack[ManyWriteOptions]) -> None:
        """See `khepri.Store.delete_many`."""
        await self._writer.delete_many(pattern, **options)

    async def clear_payload(self, path: PathLike, **options: Unpack[WriteOptions]) -> None:
        """See `khepri.Store.clear_payload`."""
        await self._writer.clear_payload(path, **options)

    async def clear_many_payloads(
        self, pattern: PathLike, **options: Unpack[ManyWriteOptions]
    ) -> None:
        """See `khepri.Store.clear_many_payloads`."""
        await self._writer.clear_many_payloads(pattern, **options)

    async def increment(self, path: PathLike, by: int = 1, **options: Unpack[WriteOptions]) -> int:
        """See `khepri.Store.increment`."""
        number: int = await self._writer.increment(path, by, **options)
        return number

    async def copy(
        self, path: PathLike, new_path: PathLike, **options: Unpack[WriteOptions]
    ) -> None:
        """See `khepri.Store.copy`."""
        await self._writer.copy(path, new_path, **options)

    async def move(
        self, path: PathLike, new_path: PathLike, **options: Unpack[WriteOptions]
    ) -> None:
        """See `khepri.Store.move`."""
        await self._writer.move(path, new_path, **options)

    async def touch(
        self, path: PathLike, *, ttl: float | None = None, **options: Unpack[WriteOptions]
    ) -> None:
        """See `khepri.Store.touch`."""
        await self._writer.touch(path, ttl=ttl, **options)

    def batch(self, **options: Unpack[WriteOptions]) -> AsyncBatch:
        """See `khepri.Store.batch`; its `AsyncBatch.commit` is awaited."""
        check_options("batch", options, WRITE)
        timeout = options.get("timeout", DEFAULT)
        Deadline(timeout)  # a mistake is told now
        return AsyncBatch(partial(self._writer._send, options=options), timeout)  # noqa: SLF001

    async def run_sproc(
        self, path: PathLike, args: Sequence[object] = (), **options: Unpack[ReadOptions]
    ) -> Any:  # noqa: ANN401 - the function decides
        """See `khepri.Store.run_sproc`; it is called in the loop's thread."""
        return find_procedure(await self.get(path, **options), path)(*args)

    async def register_trigger(
        self,
        trigger_id: str,
        path_pattern: PathLike,
        procedure_path: PathLike,
        *,
        on_actions: Iterable[str] | None = None,
        priority: int = 0,
        **options: Unpack[TimeoutOption],
    ) -> None:
        """See `khepri.Store.register_trigger`."""
        await self._writer.register_trigger(
            trigger_id,
            path_pattern,
            procedure_path,
            on_actions=on_actions,
            priority=priority,
            **options,
        )

    async def unregister_trigger(self, trigger_id: str, **options: Unpack[TimeoutOption]) -> bool:
        """See `khepri.Store.unregister_trigger`."""
        return bool(await self._writer.unregister_trigger(trigger_id, **options))

    async def triggers(self, **options: Unpack[ReadOptions]) -> dict[str, Trigger]:
        """See `khepri.Store.triggers`."""
        return listed_triggers((await self.view(**options)).held)

    @overload
    async def transaction(
        self,
        function: Callable[[Transaction], T],
        **options: Unpack[TransactionOptions],
    ) -> T: ...
    @overload
    async def transaction(
        self,
        function: Callable[..., T],
        args: Sequence[object],
        **options: Unpack[TransactionOptions],
    ) -> T: ...
    @overload
    async def transaction(
        self,
        function: PathLike,
        args: Sequence[object] = (),
        **options: Unpack[TransactionOptions],
    ) -> Any: ...  # noqa: ANN401 - the stored procedure decides
    async def transaction(
        self,
        function: Callable[..., T] | PathLike,
        args: Sequence[object] = (),
        **options: Unpack[TransactionOptions],
    ) -> T:
        """See `khepri.Store.transaction`."""
        runs: Runs[T] = Runs(function, args, options)
        node = self._reader.node
        async with AsyncExitStack() as turn:
            while runs.again(self.store_id, (await self.view(**runs.read_options)).held):
                check_size(runs.command)
                how: WriteOptions = {"timeout": runs.deadline.remaining()}
                try:
                    done = await send(node, self.store_id, runs.command, is_done, how)
                except KhepriTimeoutError as error:
                    raise runs.late(error) from error
                if done:
                    break
                if runs.count == 1:
                    await self._wait_for_turn(runs, turn)
        return runs.result

    async def _wait_for_turn(self, runs: Runs[Any], turn: AsyncExitStack) -> None:
        """Run again when no other task here does."""
        lock = self._reader.access.transaction_turns.of_tasks()
        try:
            async with asyncio.timeout(runs.deadline.remaining()):
                await turn.enter_async_context(lock)
        except TimeoutError:
            raise runs.behind() from None

    async def fence(self, **options: Unpack[TimeoutOption]) -> None:
        """See `khepri.Store.fence`."""
        check_unknown("fence", cast("dict[str, Any]", options), TIMEOUT)
        deadline = Deadline(options.get("timeout", DEFAULT))
        await call(self._reader.node, self.store_id, ConsistentRead(), result, deadline)
