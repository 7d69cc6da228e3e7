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
@overload
def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None: ...
def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.put`."""
    return _store(store_id).put(path, data, async_=async_, **options)


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
@overload
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[PutManyOptions],
) -> KhepriFuture[None] | None: ...
def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutManyOptions],
) -> KhepriFuture[None] | None:
    """See `Store.put_many`."""
    return _store(store_id).put_many(pattern, data, async_=async_, **options)


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
@overload
def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None: ...
def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.create`."""
    return _store(store_id).create(path, data, async_=async_, **options)


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
@overload
def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None: ...
def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None:
    """See `Store.update`."""
    return _store(store_id).update(path, data, async_=async_, **options)


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
@overload
def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[PutOptions],
) -> KhepriFuture[None] | None: ...
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
    return _store(store_id).compare_and_swap(path, expected, data, async_=async_, **options)


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
@overload
def delete(
    path: PathLike, *, store_id: str | None = None, async_: bool, **options: Unpack[WriteOptions]
) -> KhepriFuture[None] | None: ...
def delete(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.delete`."""
    return _store(store_id).delete(path, async_=async_, **options)


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
@overload
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None] | None: ...
def delete_many(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.delete_many`."""
    return _store(store_id).delete_many(pattern, async_=async_, **options)


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
@overload
def clear_payload(
    path: PathLike, *, store_id: str | None = None, async_: bool, **options: Unpack[WriteOptions]
) -> KhepriFuture[None] | None: ...
def clear_payload(
    path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.clear_payload`."""
    return _store(store_id).clear_payload(path, async_=async_, **options)


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
@overload
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None] | None: ...
def clear_many_payloads(
    pattern: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[ManyWriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.clear_many_payloads`."""
    return _store(store_id).clear_many_payloads(pattern, async_=async_, **options)


def batch(*, store_id: str | None = None, **options: Unpack[WriteOptions]) -> Batch:
    """See `Store.batch`."""
    return _store(store_id).batch(**options)


def fence(*, store_id: str | None = None, **options: Unpack[TimeoutOption]) -> None:
    """See `Store.fence`."""
    _store(store_id).fence(**options)


tell_as_methods(globals(), Store)
