"""The variants for asyncio that return node properties: those of `AdvancedStore`, awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .advanced import AdvancedStore
from .async_reading import AsyncReader
from .async_writing import CoroutineWriter
from .options import FOLD, READ

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties

    from .advanced import Properties
    from .options import (
        AdvancedManyOptions,
        AdvancedManyWriteOptions,
        AdvancedPutManyOptions,
        AdvancedPutOptions,
        AdvancedReadOptions,
        AdvancedWriteOptions,
    )


class AsyncAdvancedStore:
    """A handle whose functions return node properties; see `khepri.advanced.AdvancedStore`."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle."""
        self._reader = AsyncReader(store_id, node)
        # What its functions give, here, is a coroutine.
        self._writer: Any = AdvancedStore.of(CoroutineWriter(store_id, node))

    def __repr__(self) -> str:
        """Show which store it is a handle of."""
        return f"aio.Store({self._reader.store_id!r}).adv"

    async def get(self, path: PathLike, **options: Unpack[AdvancedReadOptions]) -> NodeProperties:
        """See `AdvancedStore.get`."""
        tree = await self._reader._tree("get", options, READ | {"props_to_return"})  # noqa: SLF001
        return AdvancedStore.of(tree).get(path, **options)

    async def get_many(
        self, pattern: PathLike, **options: Unpack[AdvancedManyOptions]
    ) -> Properties:
        """See `AdvancedStore.get_many`."""
        tree = await self._reader._tree("get_many", options, FOLD)  # noqa: SLF001
        return AdvancedStore.of(tree).get_many(pattern, **options)

    async def put(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """See `AdvancedStore.put`."""
        return await _properties(self._writer.put(path, data, **options))

    async def put_many(
        self, pattern: PathLike, data: object, **options: Unpack[AdvancedPutManyOptions]
    ) -> Properties:
        """See `AdvancedStore.put_many`."""
        return await _properties(self._writer.put_many(pattern, data, **options))

    async def create(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """See `AdvancedStore.create`."""
        return await _properties(self._writer.create(path, data, **options))

    async def update(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """See `AdvancedStore.update`."""
        return await _properties(self._writer.update(path, data, **options))

    async def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        **options: Unpack[AdvancedPutOptions],
    ) -> Properties:
        """See `AdvancedStore.compare_and_swap`."""
        return await _properties(self._writer.compare_and_swap(path, expected, data, **options))

    async def delete(self, path: PathLike, **options: Unpack[AdvancedWriteOptions]) -> Properties:
        """See `AdvancedStore.delete`."""
        return await _properties(self._writer.delete(path, **options))

    async def delete_many(
        self, pattern: PathLike, **options: Unpack[AdvancedManyWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.delete_many`."""
        return await _properties(self._writer.delete_many(pattern, **options))

    async def clear_payload(
        self, path: PathLike, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.clear_payload`."""
        return await _properties(self._writer.clear_payload(path, **options))

    async def clear_many_payloads(
        self, pattern: PathLike, **options: Unpack[AdvancedManyWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.clear_many_payloads`."""
        return await _properties(self._writer.clear_many_payloads(pattern, **options))

    async def increment(
        self, path: PathLike, by: int = 1, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.increment`."""
        return await _properties(self._writer.increment(path, by, **options))

    async def copy(
        self, path: PathLike, new_path: PathLike, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.copy`."""
        return await _properties(self._writer.copy(path, new_path, **options))

    async def move(
        self, path: PathLike, new_path: PathLike, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.move`."""
        return await _properties(self._writer.move(path, new_path, **options))

    async def touch(
        self, path: PathLike, *, ttl: float | None = None, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """See `AdvancedStore.touch`."""
        return await _properties(self._writer.touch(path, ttl=ttl, **options))


async def _properties(coroutine: Any) -> Properties:  # noqa: ANN401 - see `_writer`
    properties: Properties = await coroutine
    return properties
