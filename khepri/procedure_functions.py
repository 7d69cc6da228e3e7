"""Transactions, stored procedures and triggers, for the default store or ``store_id=``.

Each is the method of the same name of `Store`: its arguments, results and errors are told there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from khepri.config import get_default_store_id

from .docstrings import tell_as_methods
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

    from .options import ReadOptions, TimeoutOption, TransactionOptions
    from .transaction import Transaction
    from .triggering import Trigger

T = TypeVar("T")


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


@overload
def transaction(
    function: Callable[[Transaction], T],
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> T: ...
@overload
def transaction(
    function: Callable[..., T],
    args: Sequence[object],
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> T: ...
@overload
def transaction(
    function: PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> Any: ...  # noqa: ANN401 - the stored procedure decides
def transaction(
    function: Callable[..., T] | PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[TransactionOptions],
) -> Any:
    """See `Store.transaction`."""
    return _store(store_id).transaction(function, args, **options)


def run_sproc(
    path: PathLike,
    args: Sequence[object] = (),
    *,
    store_id: str | None = None,
    **options: Unpack[ReadOptions],
) -> Any:  # noqa: ANN401 - the function decides
    """See `Store.run_sproc`."""
    return _store(store_id).run_sproc(path, args, **options)


@overload
def register_trigger(
    trigger_id: str,
    path_pattern: PathLike,
    procedure_path: PathLike,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[TimeoutOption],
) -> None: ...
@overload
def register_trigger(
    trigger_id: str,
    path_pattern: PathLike,
    procedure_path: PathLike,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[None]: ...
@overload
def register_trigger(
    trigger_id: str,
    path_pattern: PathLike,
    procedure_path: PathLike,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[None] | None: ...
def register_trigger(
    trigger_id: str,
    path_pattern: PathLike,
    procedure_path: PathLike,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[None] | None:
    """See `Store.register_trigger`."""
    return _store(store_id).register_trigger(
        trigger_id,
        path_pattern,
        procedure_path,
        on_actions=on_actions,
        priority=priority,
        async_=async_,
        **options,
    )


@overload
def unregister_trigger(
    trigger_id: str,
    *,
    store_id: str | None = None,
    async_: Literal[False] = False,
    **options: Unpack[TimeoutOption],
) -> bool: ...
@overload
def unregister_trigger(
    trigger_id: str,
    *,
    store_id: str | None = None,
    async_: Literal[True],
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[bool]: ...
@overload
def unregister_trigger(
    trigger_id: str,
    *,
    store_id: str | None = None,
    async_: bool,
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[bool] | bool: ...
def unregister_trigger(
    trigger_id: str,
    *,
    store_id: str | None = None,
    async_: bool = False,
    **options: Unpack[TimeoutOption],
) -> KhepriFuture[bool] | bool:
    """See `Store.unregister_trigger`."""
    return _store(store_id).unregister_trigger(trigger_id, async_=async_, **options)


def triggers(*, store_id: str | None = None, **options: Unpack[ReadOptions]) -> dict[str, Trigger]:
    """See `Store.triggers`."""
    return _store(store_id).triggers(**options)


tell_as_methods(globals(), Store)
