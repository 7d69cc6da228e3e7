"""The writing functions of a `Store`, for the default store or ``store_id=``.

Each is the method of the same name: its arguments, results and errors are told there. Those that
Khepri does not have are in `more_functions.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from khepri.config import get_default_store_id

from .docstrings import tell_as_methods
from .store import Store

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

    from .batch import Batch
    from .options import (
        ManyWriteOptions,
        PutManyOptions,
        PutOptions,
        TimeoutOption,
        WriteOptions,
    )


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


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
    **options: Unpack[PutManyOptions],
) -> None: ...
@overload
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[PutManyOptions],
) -> KhepriFuture[None]: ...
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutManyOptions],
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
    **options: Unpack[ManyWriteOptions],
) -> None: ...
@overload
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None]: ...
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[ManyWriteOptions],
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
    **options: Unpack[ManyWriteOptions],
) -> None: ...
@overload
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None]: ...
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[ManyWriteOptions],
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


def fence(*, store_id: str | None = None, **options: Unpack[TimeoutOption]) -> None:
    """See `Store.fence`."""
    _store(store_id).fence(**options)


tell_as_methods(globals(), Store)
