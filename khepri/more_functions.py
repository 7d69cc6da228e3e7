"""The writing functions beyond Khepri's, for the default store or ``store_id=``.

Each is the method of the same name of `Store`: its arguments, results and errors are told there.
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

    from .options import WriteOptions


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


@overload
def increment(
    path: PathLike,
    by: int = 1,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> int: ...
@overload
def increment(
    path: PathLike,
    by: int = 1,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[int]: ...
@overload
def increment(
    path: PathLike,
    by: int = 1,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[int] | int: ...
def increment(
    path: PathLike,
    by: int = 1,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[int] | int:
    """See `Store.increment`."""
    return _store(store_id).increment(path, by, async_=async_, **options)


@overload
def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
@overload
def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None: ...
def copy(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.copy`."""
    return _store(store_id).copy(path, new_path, async_=async_, **options)


@overload
def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
@overload
def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None: ...
def move(
    path: PathLike,
    new_path: PathLike,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.move`."""
    return _store(store_id).move(path, new_path, async_=async_, **options)


@overload
def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[WriteOptions],
) -> None: ...
@overload
def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None]: ...
@overload
def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None: ...
def touch(
    path: PathLike,
    *,
    ttl: float | None = None,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[WriteOptions],
) -> KhepriFuture[None] | None:
    """See `Store.touch`."""
    return _store(store_id).touch(path, ttl=ttl, async_=async_, **options)


tell_as_methods(globals(), Store)
