"""What runs on a node: its Ra systems, the stores in them, and why one that gave up is down.

Any thread may look. `Node` adds and takes out, one change at a time; what gives up by itself is
taken out by the thread of its actor, which takes no lock of the node: whoever holds that may be
waiting for this actor.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from khepri.errors import InvalidOptionError, NoSuchServerError, ServerStoppedError
from khepri.machine.commands import actions_done, encode

from .exit_reason import ExitKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from .access import StoreAccess
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .ra_system_handle import RaSystemHandle
    from .server_setup import ServerSetup

_logger = logging.getLogger("khepri.node")


class RunningStores:
    """The Ra systems and stores of a node."""

    def __init__(
        self, node_name: str, stores: dict[str, StoreAccess], on_failure: Callable[[str], object]
    ) -> None:
        """Begin without any.

        Args:
            node_name: whose they are.
            stores: where the stores are published.
            on_failure: is told, in an actor's thread, which store has given up, and why.
        """
        self._node_name = node_name
        self._stores = stores
        self.systems: dict[str, RaSystemHandle] = {}
        """The running Ra systems, by name."""
        self._failures: dict[str, str] = {}
        self._changing = threading.Lock()  # held for a moment only, and never with another one
        self._on_failure = on_failure

    def system_at(self, name: str, path: str) -> RaSystemHandle | None:
        """Give the Ra system of a name and a directory; None if neither is in use.

        Raises:
            InvalidOptionError: one of them is in use with another one.
        """
        for handle in tuple(self.systems.values()):
            if (handle.name == name) != (handle.storage.path == path):
                raise in_use_with_another(handle.name, handle.storage.path, (name, path))
        return self.systems.get(name)

    def find(self, store_id: str) -> tuple[RaSystemHandle, ServerSetup] | None:
        """Give the Ra system of a store, and what it was started with; None if it is down."""
        for handle in tuple(self.systems.values()):
            setup = handle.storage.wanted.get(store_id)
            if setup is not None:
                return handle, setup
        return None

    def published(self, handle: RaSystemHandle) -> list[StoreAccess]:
        """Give the stores that run in a Ra system."""
        found = (self._stores.get(store_id) for store_id in handle.stores)
        return [access for access in found if access is not None]

    def no_such_store(self, store_id: str) -> NoSuchServerError:
        """Make the error for a store that does not run; it has the reason if the store gave up."""
        failure = self._failures.get(store_id)
        why = "; khepri.start(directory) starts it" if failure is None else f": {failure}"
        return NoSuchServerError(
            f"the store {store_id!r} does not run on {self._node_name}{why}",
            store_id=store_id,
            reason=failure,
        )

    def add_system(self, handle: RaSystemHandle) -> None:
        """Note a Ra system that runs."""
        self.systems[handle.name] = handle
        handle.reference.down.add_done_callback(lambda down: self._system_down(handle, down))

    def remove_system(self, handle: RaSystemHandle) -> None:
        """Take out a Ra system with its stores: it is about to be stopped."""
        for access in self.published(handle):
            self.remove(handle, access)
        self.systems.pop(handle.name, None)

    def add(self, handle: RaSystemHandle, setup: ServerSetup) -> None:
        """Publish a store that is about to be started, and have its Ra system keep it running."""
        with self._changing:
            self._failures.pop(setup.store_id, None)
            handle.storage.wanted[setup.store_id] = setup
            self._stores[setup.store_id] = setup.access

    def remove(self, handle: RaSystemHandle, access: StoreAccess, failure: str = "") -> bool:
        """Take out a store that shall not run any more.

        Args:
            handle: its Ra system.
            access: the store in its present life; another one under the same id stays.
            failure: why it is down, if nobody has told it to stop.

        Returns:
            whether it was there.
        """
        with self._changing:
            if self._stores.get(access.store_id) is not access:
                return False
            if failure:
                self._failures[access.store_id] = failure
            del self._stores[access.store_id]
            handle.storage.wanted.pop(access.store_id, None)
        access.close()
        made, server = access.take_calls_made(), access.server
        if made and server is not None:  # the last chance to say so: else they are made again
            server.cast(encode(actions_done(made)))
        return True

    def store_down(self, handle: RaSystemHandle, access: StoreAccess, reason: Exit) -> None:
        """Take note of a store's end: if nobody told it to stop, it is gone, and says why.

        Unless it ended because the log did, while it was being started: the Ra system starts the
        log and all its stores again.
        """
        if isinstance(reason.error, NoSuchServerError | ServerStoppedError):
            return
        if reason.kind in {ExitKind.GAVE_UP, ExitKind.CRASHED}:
            self._lose(handle, access, reason)

    def _system_down(self, handle: RaSystemHandle, down: KhepriFuture[Exit]) -> None:
        if self.systems.get(handle.name) is handle:
            del self.systems[handle.name]
            reason = down.get()
            _logger.error(
                "the Ra system %s on %s is down: %s", handle.name, self._node_name, reason
            )
            for access in self.published(handle):
                self._lose(handle, access, reason)

    def _lose(self, handle: RaSystemHandle, access: StoreAccess, reason: Exit) -> None:
        if self.remove(handle, access, str(reason)):
            self._on_failure(f"the store {access.store_id} on {self._node_name} is down: {reason}")


def in_use_with_another(name: str, path: str, wanted: tuple[str, str]) -> InvalidOptionError:
    """Make the error for a name and a directory of which one is in use without the other."""
    return InvalidOptionError(
        f"the Ra system {name!r} has the directory {path}", option="ra_system", value=wanted
    )


def runs_elsewhere(store_id: str, path: str) -> InvalidOptionError:
    """Make the error for a store that is to be started in one directory and runs in another."""
    return InvalidOptionError(
        f"the store {store_id!r} runs already, in another directory than {path}",
        option="data_dir",
        value=path,
    )
