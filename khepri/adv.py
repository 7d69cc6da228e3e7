"""The functions that return node properties, for the default store or ``store_id=``.

Each is the method of the same name of `khepri.advanced.AdvancedStore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.config import get_default_store_id

from .advanced import AdvancedStore
from .docstrings import tell_as_methods

if TYPE_CHECKING:
    from typing import Unpack

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


def _store(store_id: str | None) -> AdvancedStore:
    return AdvancedStore(get_default_store_id() if store_id is None else store_id)


def get(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedReadOptions]
) -> NodeProperties:
    """See `AdvancedStore.get`."""
    return _store(store_id).get(path, **options)


def get_many(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedManyOptions]
) -> Properties:
    """See `AdvancedStore.get_many`."""
    return _store(store_id).get_many(pattern, **options)


def put(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedPutOptions],
) -> Properties:
    """See `AdvancedStore.put`."""
    return _store(store_id).put(path, data, **options)


def put_many(
    pattern: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedPutManyOptions],
) -> Properties:
    """See `AdvancedStore.put_many`."""
    return _store(store_id).put_many(pattern, data, **options)


def create(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedPutOptions],
) -> Properties:
    """See `AdvancedStore.create`."""
    return _store(store_id).create(path, data, **options)


def update(
    path: PathLike,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedPutOptions],
) -> Properties:
    """See `AdvancedStore.update`."""
    return _store(store_id).update(path, data, **options)


def compare_and_swap(
    path: PathLike,
    expected: object,
    data: object,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedPutOptions],
) -> Properties:
    """See `AdvancedStore.compare_and_swap`."""
    return _store(store_id).compare_and_swap(path, expected, data, **options)


def delete(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedWriteOptions]
) -> Properties:
    """See `AdvancedStore.delete`."""
    return _store(store_id).delete(path, **options)


def delete_many(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedManyWriteOptions]
) -> Properties:
    """See `AdvancedStore.delete_many`."""
    return _store(store_id).delete_many(pattern, **options)


def clear_payload(
    path: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedWriteOptions]
) -> Properties:
    """See `AdvancedStore.clear_payload`."""
    return _store(store_id).clear_payload(path, **options)


def clear_many_payloads(
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[AdvancedManyWriteOptions]
) -> Properties:
    """See `AdvancedStore.clear_many_payloads`."""
    return _store(store_id).clear_many_payloads(pattern, **options)


def increment(
    path: PathLike,
    by: int = 1,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedWriteOptions],
) -> Properties:
    """See `AdvancedStore.increment`."""
    return _store(store_id).increment(path, by, **options)


def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedWriteOptions],
) -> Properties:
    """See `AdvancedStore.copy`."""
    return _store(store_id).copy(path, new_path, **options)


def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedWriteOptions],
) -> Properties:
    """See `AdvancedStore.move`."""
    return _store(store_id).move(path, new_path, **options)


def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    **options: Unpack[AdvancedWriteOptions],
) -> Properties:
    """See `AdvancedStore.touch`."""
    return _store(store_id).touch(path, ttl=ttl, **options)


tell_as_methods(globals(), AdvancedStore)
