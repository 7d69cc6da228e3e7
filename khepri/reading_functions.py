"""The reading functions of a `Store`, for the default store or ``store_id=``.

Each is the method of the same name: its arguments, results and errors are told there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from khepri.config import get_default_store_id

from .docstrings import tell_as_methods
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Unpack

    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties

    from .following import Changes
    from .options import (
        AdvancedReadOptions,
        CountOptions,
        FoldOptions,
        ManyOptions,
        ReadOptions,
    )
    from .viewing import Difference, TreeView

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
    pattern: PathLike, *, store_id: str | None = None, **options: Unpack[CountOptions]
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


def view(*, store_id: str | None = None, **options: Unpack[ReadOptions]) -> TreeView:
    """See `Store.view`."""
    return _store(store_id).view(**options)


def diff(
    path: PathLike,
    since: TreeView,
    *,
    store_id: str | None = None,
    **options: Unpack[AdvancedReadOptions],
) -> list[Difference]:
    """See `Store.diff`."""
    return _store(store_id).diff(path, since, **options)


def follow(
    path: PathLike,
    *,
    since: TreeView | None = None,
    timeout: float | None = None,
    props_to_return: Iterable[str] | None = None,
    store_id: str | None = None,
) -> Generator[Changes]:
    """See `Store.follow`."""
    return _store(store_id).follow(
        path, since=since, timeout=timeout, props_to_return=props_to_return
    )


tell_as_methods(globals(), Store)
