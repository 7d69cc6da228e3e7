"""What a host's actor may ask of or tell to a store's server (`khepri.server_ref`).

Each message is the function of the same name in `khepri.Store`, with its arguments and errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from khepri.actors.future import KhepriFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike

    from .options import Favor
    from .store import Store


class Message(Protocol):
    """Something that can be asked of a store."""

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it, without waiting; bad arguments raise at once."""
        ...


@dataclass(frozen=True, slots=True)
class Put:
    """See `khepri.Store.put`."""

    path: PathLike
    data: object
    keep_while: KeepWhileOption | None = None

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.put(self.path, self.data, keep_while=self.keep_while, async_=True)


@dataclass(frozen=True, slots=True)
class Create:
    """See `khepri.Store.create`."""

    path: PathLike
    data: object
    keep_while: KeepWhileOption | None = None

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.create(self.path, self.data, keep_while=self.keep_while, async_=True)


@dataclass(frozen=True, slots=True)
class Update:
    """See `khepri.Store.update`."""

    path: PathLike
    data: object
    keep_while: KeepWhileOption | None = None

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.update(self.path, self.data, keep_while=self.keep_while, async_=True)


@dataclass(frozen=True, slots=True)
class CompareAndSwap:
    """See `khepri.Store.compare_and_swap`."""

    path: PathLike
    expected: object
    data: object

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.compare_and_swap(self.path, self.expected, self.data, async_=True)


@dataclass(frozen=True, slots=True)
class Delete:
    """See `khepri.Store.delete`."""

    path: PathLike

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.delete(self.path, async_=True)


@dataclass(frozen=True, slots=True)
class DeleteMany:
    """See `khepri.Store.delete_many`."""

    pattern: PathLike

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.delete_many(self.pattern, async_=True)


@dataclass(frozen=True, slots=True)
class ClearPayload:
    """See `khepri.Store.clear_payload`."""

    path: PathLike

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Send it."""
        return store.clear_payload(self.path, async_=True)


@dataclass(frozen=True, slots=True)
class Get:
    """See `khepri.Store.get`. Local reads need no server: the answer is there at once."""

    path: PathLike
    favor: Favor = "low_latency"

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Read it in the asker's thread."""
        return _answered(lambda: store.get(self.path, favor=self.favor))


@dataclass(frozen=True, slots=True)
class GetMany:
    """See `khepri.Store.get_many`."""

    pattern: PathLike
    favor: Favor = "low_latency"

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Read it in the asker's thread."""
        return _answered(lambda: store.get_many(self.pattern, favor=self.favor))


@dataclass(frozen=True, slots=True)
class Exists:
    """See `khepri.Store.exists`."""

    path: PathLike
    favor: Favor = "low_latency"

    def submit(self, store: Store) -> KhepriFuture[Any]:
        """Read it in the asker's thread."""
        return _answered(lambda: store.exists(self.path, favor=self.favor))


def _answered(read: Callable[[], Any]) -> KhepriFuture[Any]:
    future: KhepriFuture[Any] = KhepriFuture()
    try:
        future.set(read())
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets it
        future.fail(error)
    return future
