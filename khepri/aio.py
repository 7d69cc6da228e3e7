"""khepri for asyncio: the functions of `khepri`, awaited, without a thread per call.

::

    from khepri import aio

    await aio.put("/stock/wood/oak", 156)
    await aio.get("/stock/wood/oak", favor="consistency")

Each has the name, arguments, options, results and errors of the function in `khepri`, but for
``async_``. Timeouts mean the same, and an ``asyncio.timeout`` around them works as usual.
Cancelling a task that waits is safe: it stops waiting, and a write that was sent is done once
nevertheless. Starting, stopping and joining stores takes a while; run the functions of `khepri`
for that with ``asyncio.to_thread``.

It is long because each function is here with its whole signature, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from khepri.config import get_default_store_id

from .advanced import AdvancedStore
from .async_advanced import AsyncAdvancedStore
from .async_backup import AsyncBackup
from .async_coordination import AsyncEphemeralNode as EphemeralNode
from .async_coordination import AsyncLock as Lock
from .async_reading import AsyncReader
from .async_writing import AsyncBatch, AsyncWriter
from .docstrings import tell_as_methods, with_options_of
from .exporting import Exporter
from .following import Follower
from .importer import Importer
from .reading import Reader
from .transacting import Transactor
from .writing import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties

    from .exporting import Exported, ExportOptions, ExportWriter
    from .following import Changes
    from .import_sources import ExportReader
    from .importing import Imported
    from .options import (
        AdvancedReadOptions,
        CountOptions,
        FoldOptions,
        ManyOptions,
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
    from .viewing import Difference, TreeView

__all__ = [
    "AsyncAdvancedStore",
    "AsyncBatch",
    "EphemeralNode",
    "Lock",
    "Store",
    "batch",
    "clear_many_payloads",
    "clear_payload",
    "compare_and_swap",
    "copy",
    "count",
    "create",
    "delete",
    "delete_many",
    "diff",
    "exists",
    "export",
    "fence",
    "filter",
    "fold",
    "follow",
    "foreach",
    "get",
    "get_many",
    "get_many_or",
    "get_or",
    "has_data",
    "import_",
    "increment",
    "is_empty",
    "is_sproc",
    "map",
    "move",
    "put",
    "put_many",
    "register_trigger",
    "run_sproc",
    "touch",
    "transaction",
    "triggers",
    "unregister_trigger",
    "update",
    "view",
]

T = TypeVar("T")
A = TypeVar("A")


class Store(AsyncBackup):
    """A handle on a store of this process for asyncio; the twin of `khepri.Store`.

    Without state, so make as many as you like; any task of any loop may use it.
    """

    __slots__ = ("_node",)
    __doc__ = with_options_of(__doc__, Reader, Writer)

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle; nothing is started and nothing has to run yet.

        Args:
            store_id: which store.
            node: on which node of this process; its default node if left out.

        Raises:
            WrongTypeError, InvalidOptionError: not a store id.
        """
        super().__init__(store_id, node)
        self._node = node

    @property
    def adv(self) -> AsyncAdvancedStore:
        """The variants that return node properties."""
        return AsyncAdvancedStore(self.store_id, self._node)

    def __repr__(self) -> str:
        """Show which store it is a handle of."""
        return f"aio.Store({self.store_id!r})"


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


def batch(*, store_id: str | None = None, **options: Unpack[WriteOptions]) -> AsyncBatch:
    """See `khepri.Store.batch`; use it with ``async with``."""
    return _store(store_id).batch(**options)


async def get(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> Any:  # noqa: ANN401
    """See `khepri.Store.get`."""
    return await _store(store_id).get(path, **options)


async def get_or(
    path: PathLike, default: object, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> Any:  # noqa: ANN401
    """See `khepri.Store.get_or`."""
    return await _store(store_id).get_or(path, default, **options)


async def exists(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> bool:
    """See `khepri.Store.exists`."""
    return await _store(store_id).exists(path, **options)


async def has_data(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> bool:
    """See `khepri.Store.has_data`."""
    return await _store(store_id).has_data(path, **options)


async def is_sproc(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> bool:
    """See `khepri.Store.is_sproc`."""
    return await _store(store_id).is_sproc(path, **options)


async def get_many(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[ManyOptions]
) -> dict[Path, Any]:
    """See `khepri.Store.get_many`."""
    return await _store(store_id).get_many(pattern, **options)


async def get_many_or(
    pattern: PathLike,
    default: object,
    *,
    store_id: str | None = None,
    **options: Unpack[ManyOptions],
) -> dict[Path, Any]:
    """See `khepri.Store.get_many_or`."""
    return await _store(store_id).get_many_or(pattern, default, **options)


async def count(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[CountOptions]
) -> int:
    """See `khepri.Store.count`."""
    return await _store(store_id).count(pattern, **options)


async def is_empty(*, store_id: str | None = None, **options: Unpack[ReadOptions]) -> bool:
    """See `khepri.Store.is_empty`."""
    return await _store(store_id).is_empty(**options)


async def fold(
    pattern: PathLike,
    function: Callable[[Path, NodeProperties, A], A],
    accumulator: A,
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> A:
    """See `khepri.Store.fold`."""
    return await _store(store_id).fold(pattern, function, accumulator, **options)


async def foreach(
    pattern: PathLike,
    function: Callable[[Path, NodeProperties], object],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> None:
    """See `khepri.Store.foreach`."""
    await _store(store_id).foreach(pattern, function, **options)


async def map(  # noqa: A001 - the function's name in Khepri
    pattern: PathLike,
    function: Callable[[Path, NodeProperties], T],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> dict[Path, T]:
    """See `khepri.Store.map`."""
    return await _store(store_id).map(pattern, function, **options)


async def filter(  # noqa: A001 - the function's name in Khepri
    pattern: PathLike,
    predicate: Callable[[Path, NodeProperties], object],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> dict[Path, Any]:
    """See `khepri.Store.filter`."""
    return await _store(store_id).filter(pattern, predicate, **options)


async def view(*, store_id: str | None = None, **options: Unpack[ReadOptions]) -> TreeView:
    """See `khepri.Store.view`."""
    return await _store(store_id).view(**options)


async def diff(
    path: PathLike,
    since: TreeView,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedReadOptions],
) -> list[Difference]:
    """See `khepri.Store.diff`."""
    return await _store(store_id).diff(path, since, **options)


def follow(
    path: PathLike,
    *,
    since: TreeView | None = None,
    timeout: float | None = None,
    props_to_return: Iterable[str] | None = None,
    store_id: str | None = None,
) -> AsyncGenerator[Changes]:
    """See `khepri.Store.follow`; it is followed with ``async for``."""
    return _store(store_id).follow(
        path, since=since, timeout=timeout, props_to_return=props_to_return
    )


async def put(
    path: PathLike, data: object, *, store_id: str | None = None, **options: Unpack[PutOptions]
) -> None:
    """See `khepri.Store.put`."""
    await _store(store_id).put(path, data, **options)


async def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[PutManyOptions],
) -> None:
    """See `khepri.Store.put_many`."""
    await _store(store_id).put_many(pattern, data, **options)


async def create(
    path: PathLike, data: object, *, store_id: str | None = None, **options: Unpack[PutOptions]
) -> None:
    """See `khepri.Store.create`."""
    await _store(store_id).create(path, data, **options)


async def update(
    path: PathLike, data: object, *, store_id: str | None = None, **options: Unpack[PutOptions]
) -> None:
    """See `khepri.Store.update`."""
    await _store(store_id).update(path, data, **options)


async def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[PutOptions],
) -> None:
    """See `khepri.Store.compare_and_swap`."""
    await _store(store_id).compare_and_swap(path, expected, data, **options)


async def delete(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[WriteOptions]
) -> None:
    """See `khepri.Store.delete`."""
    await _store(store_id).delete(path, **options)


async def delete_many(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[ManyWriteOptions]
) -> None:
    """See `khepri.Store.delete_many`."""
    await _store(store_id).delete_many(pattern, **options)


async def clear_payload(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[WriteOptions]
) -> None:
    """See `khepri.Store.clear_payload`."""
    await _store(store_id).clear_payload(path, **options)


async def clear_many_payloads(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[ManyWriteOptions]
) -> None:
    """See `khepri.Store.clear_many_payloads`."""
    await _store(store_id).clear_many_payloads(pattern, **options)


async def increment(
    path: PathLike, by: int = 1, *, store_id: str | None = None, **options: Unpack[WriteOptions]
) -> int:
    """See `khepri.Store.increment`."""
    return await _store(store_id).increment(path, by, **options)


async def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    **options: Unpack[WriteOptions],
) -> None:
    """See `khepri.Store.copy`."""
    await _store(store_id).copy(path, new_path, **options)


async def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    **options: Unpack[WriteOptions],
) -> None:
    """See `khepri.Store.move`."""
    await _store(store_id).move(path, new_path, **options)


async def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    **options: Unpack[WriteOptions],
) -> None:
    """See `khepri.Store.touch`."""
    await _store(store_id).touch(path, ttl=ttl, **options)


async def fence(*, store_id: str | None = None, **options: Unpack[TimeoutOption]) -> None:
    """See `khepri.Store.fence`."""
    await _store(store_id).fence(**options)


@overload
async def transaction(
    function: Callable[[Transaction], T],
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> T: ...
@overload
async def transaction(
    function: Callable[..., T],
    args: Sequence[object],
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> T: ...
@overload
async def transaction(
    function: PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> Any: ...  # noqa: ANN401 - the stored procedure decides
async def transaction(
    function: Callable[..., T] | PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> Any:
    """See `khepri.Store.transaction`."""
    return await _store(store_id).transaction(function, args, **options)


async def run_sproc(
    path: PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[ReadOptions],
) -> Any:  # noqa: ANN401 - the function decides
    """See `khepri.Store.run_sproc`."""
    return await _store(store_id).run_sproc(path, args, **options)


async def register_trigger(
    trigger_id: str,
    path_pattern: PathLike,
    procedure_path: PathLike,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
    store_id: str | None = None,
    **options: Unpack[TimeoutOption],
) -> None:
    """See `khepri.Store.register_trigger`."""
    await _store(store_id).register_trigger(
        trigger_id,
        path_pattern,
        procedure_path,
        on_actions=on_actions,
        priority=priority,
        **options,
    )


async def unregister_trigger(
    trigger_id: str, *, store_id: str | None = None, **options: Unpack[TimeoutOption]
) -> bool:
    """See `khepri.Store.unregister_trigger`."""
    return await _store(store_id).unregister_trigger(trigger_id, **options)


async def triggers(
    *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> dict[str, Trigger]:
    """See `khepri.Store.triggers`."""
    return await _store(store_id).triggers(**options)


async def export(
    target: str | os.PathLike[str] | ExportWriter,
    path_pattern: PathLike | None = None,
    *,
    store_id: str | None = None,
    **options: Unpack[ExportOptions],
) -> Exported:
    """See `khepri.Store.export`; a writer is called in another thread."""
    return await _store(store_id).export(target, path_pattern, **options)


async def import_(
    source: str | os.PathLike[str] | ExportReader,
    *,
    store_id: str | None = None,
    **options: Unpack[WriteOptions],
) -> Imported:
    """See `khepri.Store.import_`; a reader is called in another thread."""
    return await _store(store_id).import_(source, **options)


_AS_HERE = frozenset({"batch"})
for _told_by in (Transactor, Follower, Exporter, Importer):
    for _part in (globals(), vars(AsyncReader), vars(AsyncWriter), vars(AsyncBackup)):
        tell_as_methods(_part, _told_by, but=_AS_HERE)
tell_as_methods(vars(AsyncAdvancedStore), AdvancedStore)
