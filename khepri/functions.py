"""The functions of a `Store`, for the default store or ``store_id=``.

Each is the method of the same name: its arguments, results and errors are told there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from khepri.config import get_default_store_id

from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties

    from .batch import Batch
    from .options import FoldOptions, ManyOptions, PutOptions, ReadOptions, WriteOptions

T = TypeVar("T")
A = TypeVar("A")


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


def get(path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
    """See `Store.get`."""
    return _store(store_id).get(path, **options)


def get_or(
    path: PathLike, default: object, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> Any:  # noqa: ANN401
    """See `Store.get_or`."""
    return _store(store_id).get_or(path, default, **options)


def exists(path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]) -> bool:
    """See `Store.exists`."""
    return _store(store_id).exists(path, **options)


def has_data(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> bool:
    """See `Store.has_data`."""
    return _store(store_id).has_data(path, **options)


def is_sproc(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> bool:
    """See `Store.is_sproc`."""
    return _store(store_id).is_sproc(path, **options)


def get_many(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[ManyOptions]
) -> dict[Path, Any]:
    """See `Store.get_many`."""
    return _store(store_id).get_many(pattern, **options)


def get_many_or(
    pattern: PathLike,
    default: object,
    *,
    store_id: str | None = None,
    **options: Unpack[ManyOptions],
) -> dict[Path, Any]:
    """See `Store.get_many_or`."""
    return _store(store_id).get_many_or(pattern, default, **options)


def count(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[ReadOptions]
) -> int:
    """See `Store.count`."""
    return _store(store_id).count(pattern, **options)


def is_empty(*, store_id: str | None = None, **options: Unpack[ReadOptions]) -> bool:
    """See `Store.is_empty`."""
    return _store(store_id).is_empty(**options)


def fold(
    pattern: PathLike,
    function: Callable[[Path, NodeProperties, A], A],
    accumulator: A,
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> A:
    """See `Store.fold`."""
    return _store(store_id).fold(pattern, function, accumulator, **options)


def foreach(
    pattern: PathLike,
    function: Callable[[Path, NodeProperties], object],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> None:
    """See `Store.foreach`."""
    _store(store_id).foreach(pattern, function, **options)


def map(  # noqa: A001 - the function's name in Khepri
    pattern: PathLike,
    function: Callable[[Path, NodeProperties], T],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> dict[Path, T]:
    """See `Store.map`."""
    return _store(store_id).map(pattern, function, **options)


def filter(  # noqa: A001 - the function's name in Khepri
    pattern: PathLike,
    predicate: Callable[[Path, NodeProperties], object],
    *,
    store_id: str | None = None,
    **options: Unpack[FoldOptions],
) -> dict[Path, Any]:
    """See `Store.filter`."""
    return _store(store_id).filter(pattern, predicate, **options)


@overload
def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[PutOptions],
) -> None: ...
@overload
def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutOptions],
) -> KhepriFuture[None]: ...
def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.put`."""
    store = _store(store_id)
    return (
        store.put(path, data, async_=True, **options)
        if async_
        else store.put(path, data, **options)
    )


@overload
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[PutOptions],
) -> None: ...
@overload
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutOptions],
) -> KhepriFuture[None]: ...
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.put_many`."""
    store = _store(store_id)
    return (
        store.put_many(pattern, data, async_=True, **options)
        if async_
        else store.put_many(pattern, data, **options)
    )


@overload
def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[PutOptions],
) -> None: ...
@overload
def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutOptions],
) -> KhepriFuture[None]: ...
def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.create`."""
    store = _store(store_id)
    return (
        store.create(path, data, async_=True, **options)
        if async_
        else store.create(path, data, **options)
    )


@overload
def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[PutOptions],
) -> None: ...
@overload
def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutOptions],
) -> KhepriFuture[None]: ...
def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.update`."""
    store = _store(store_id)
    return (
        store.update(path, data, async_=True, **options)
        if async_
        else store.update(path, data, **options)
    )


@overload
def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[PutOptions],
) -> None: ...
@overload
def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutOptions],
) -> KhepriFuture[None]: ...
def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.compare_and_swap`."""
    store = _store(store_id)
    return (
        store.compare_and_swap(path, expected, data, async_=True, **options)
        if async_
        else store.compare_and_swap(path, expected, data, **options)
    )


@overload
def delete(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def delete(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
def delete(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.delete`."""
    store = _store(store_id)
    return store.delete(path, async_=True, **options) if async_ else store.delete(path, **options)


@overload
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.delete_many`."""
    store = _store(store_id)
    return (
        store.delete_many(pattern, async_=True, **options)
        if async_
        else store.delete_many(pattern, **options)
    )


@overload
def clear_payload(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def clear_payload(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
def clear_payload(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.clear_payload`."""
    store = _store(store_id)
    return (
        store.clear_payload(path, async_=True, **options)
        if async_
        else store.clear_payload(path, **options)
    )


@overload
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.clear_many_payloads`."""
    store = _store(store_id)
    return (
        store.clear_many_payloads(pattern, async_=True, **options)
        if async_
        else store.clear_many_payloads(pattern, **options)
    )


def batch(*, store_id: str | None = None, **options: Unpack[WriteOptions]) -> Batch:
    """See `Store.batch`."""
    return _store(store_id).batch(**options)


def fence(*, store_id: str | None = None, **options: Unpack[WriteOptions]) -> None:
    """See `Store.fence`."""
    _store(store_id).fence(**options)
