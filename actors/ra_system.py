"""The RaSystem: one data directory, its log, and the stores in it; supervised.

::

    RaSystem                 one_for_all: without the log nobody can go on
    ├─ WalWriter             recovers the directory when it starts
    ├─ SegmentWriter
    └─ Stores                one_for_one: a store that gives up takes no other with it
       └─ StoreSupervisor    one per store
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from khepri.errors import StorageError

from .child_spec import (
    ChildSpec,
    Restart,
    Siblings,
    Strategy,
    SupervisorFlags,
    supervisor_spec,
)
from .label import ActorLabel
from .segment_writer import SegmentWriter
from .store_supervisor import start_store_supervisor
from .supervision import start_child
from .supervisor import Supervisor
from .wal_writer import WalWriter

if TYPE_CHECKING:
    from .exit_reason import Exit
    from .reference import ActorReference
    from .server_setup import ServerSetup
    from .storage import Storage


@dataclass(frozen=True, slots=True)
class RegisterStore:
    """Reply with the `Registration` of a store, new or not; durable when the reply comes.

    A new one founds a cluster, or waits to join that of `cluster_id`.
    """

    store_id: str
    cluster_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class UnregisterStore:
    """Delete the files of a store that does not run any more."""

    store_id: str


class RaSystem(Supervisor):
    """Supervises everything that works on one data directory."""

    def __init__(self, label: ActorLabel, storage: Storage) -> None:
        """Make the supervisor; the directory is opened when it starts."""
        super().__init__(
            label,
            SupervisorFlags(Strategy.ONE_FOR_ALL, intensity=5, period_seconds=5.0),
            (
                ChildSpec("wal_writer", self._start_wal_writer, shutdown_seconds=30.0),
                ChildSpec("segment_writer", self._start_segment_writer, shutdown_seconds=30.0),
                supervisor_spec("stores", self._start_stores),
            ),
        )
        self._storage = storage

    def on_start(self) -> None:
        """Open the directory, then start the children."""
        self._storage.open()
        super().on_start()

    def on_receive(self, message: Any) -> object:  # noqa: ANN401 - Pykka's signature
        """Register and delete stores: the directory is this actor's.

        What the disk refuses is answered, and can be asked again: the others here go on.
        """
        directory = self._storage.directory
        try:
            if isinstance(message, RegisterStore):
                if message.store_id not in directory.stores:
                    directory.register(message.store_id, message.cluster_id)
                else:
                    directory.settle()
                return directory.registration(message.store_id)
            if isinstance(message, UnregisterStore):
                directory.unregister(message.store_id)
                return None
        except StorageError as error:
            return error
        raise TypeError(f"not a message for a RaSystem: {message!r}")

    def on_terminate(self, reason: Exit) -> None:
        """Stop the children, then release the directory."""
        super().on_terminate(reason)
        self._storage.close()

    def _start_wal_writer(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._storage.wal_writer = WalWriter.start(
            ActorLabel("wal-writer", None, str(self.label.node)), self._storage
        )
        return self._storage.wal_writer

    def _start_segment_writer(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._storage.segment_writer = SegmentWriter.start(
            ActorLabel("segment-writer", None, str(self.label.node)), self._storage
        )
        return self._storage.segment_writer

    def _start_stores(self, siblings: Siblings) -> ActorReference:
        del siblings
        stores = Supervisor.start(
            ActorLabel("stores", None, self.label.node),
            SupervisorFlags(Strategy.ONE_FOR_ONE),
            (),
        )
        self._storage.stores = stores
        # After a restart: what was running shall run again. A store that cannot is not a reason
        # for the others not to, so nobody waits for these.
        for setup in tuple(self._storage.wanted.values()):
            start_child(stores, store_spec(setup))
        return stores


def store_spec(setup: ServerSetup) -> ChildSpec:
    """Declare the supervisor of a store.

    Temporary: when it gives up, that store is down and says why; nobody else is touched.
    """
    return supervisor_spec(
        setup.store_id, lambda _siblings: start_store_supervisor(setup), Restart.TEMPORARY
    )
