"""Subscriptions and projections of a `Store`, for the default store or ``store_id=``.

Each is the method of the same name: its arguments, results and errors are told there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from khepri.config import get_default_store_id

from .docstrings import tell_as_methods
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.machine.paths import Path, PathLike, PathPattern

    from .projection_table import ProjectionTable
    from .projections import Projection
    from .subscribing import Recipient, Subscription
    from .viewing import TreeView


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


def subscribe(
    path_pattern: PathLike,
    to: Recipient,
    *,
    since: TreeView | None = None,
    props_to_return: Iterable[str] | None = None,
    store_id: str | None = None,
) -> Subscription:
    """See `Store.subscribe`."""
    return _store(store_id).subscribe(
        path_pattern, to, since=since, props_to_return=props_to_return
    )


def unsubscribe(subscription: Subscription, *, store_id: str | None = None) -> None:
    """See `Store.unsubscribe`."""
    _store(store_id).unsubscribe(subscription)


def register_projection(
    path_pattern: PathLike, projection: Projection, *, store_id: str | None = None
) -> None:
    """See `Store.register_projection`."""
    _store(store_id).register_projection(path_pattern, projection)


def unregister_projections(
    names: Iterable[str] | Literal["all"], *, store_id: str | None = None
) -> dict[str, Path | PathPattern]:
    """See `Store.unregister_projections`."""
    return _store(store_id).unregister_projections(names)


def has_projection(name: str, *, store_id: str | None = None) -> bool:
    """See `Store.has_projection`."""
    return _store(store_id).has_projection(name)


def projection(name: str, *, store_id: str | None = None) -> ProjectionTable:
    """See `Store.projection`."""
    return _store(store_id).projection(name)


tell_as_methods(globals(), Store)
