"""The argument ``store`` of what is made for a store by itself: a handle, or None."""

from __future__ import annotations

from typing import Any

from khepri.config import get_default_store_id
from khepri.errors import WrongTypeError

from .store import Store


def checked_store(store: Any) -> Store:  # noqa: ANN401 - checked here
    """Give the store that something is for; the default one if None.

    Raises:
        WrongTypeError: it is no handle.
    """
    if store is None:
        return Store(get_default_store_id())
    if not isinstance(store, Store):
        raise WrongTypeError(
            f"store is a khepri.Store, not {store!r:.100}", option="store", value=store
        )
    return store
