"""The node: one khepri runtime with a name. Everything that runs hangs below its supervisor.

::

    NodeSupervisor        one_for_one
    ├─ Registry           store ids, names to references
    ├─ EventHandler       runs trigger actions
    ├─ Confirmer          asks other members how far they are; from the first question on
    └─ RaSystem           one per data directory

The methods are for client threads: they wait, always with a deadline. What must not happen twice
at once (two starts of one store) is serialised here, per node.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import random
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from khepri.errors import (
    ForkedProcessError,
    InvalidOptionError,
    KhepriTimeoutError,
    NoSuchServerError,
)
from khepri.log.file_system import PosixFileSystem
from khepri.raft.types import Configuration, Member, MemberKind, ServerId

from .access import StoreAccess
from .actor_errors import ChildExistsError
from .child_spec import ChildSpec, Restart, Siblings, Strategy, SupervisorFlags, supervisor_spec
from .confirmer import Confirmer
from .event_handler import EventHandler
from .exit_reason import ExitKind
from .hand_over import hand_over
from .label import ActorLabel
from .node_network import NodeNetwork
from .published_names import PublishedNames
from .ra_system import RaSystem, RegisterStore, UnregisterStore, store_spec
from .ra_system_handle import RaSystemHandle
from .registry import Registry
from .server_setup import ServerSetup
from .storage import Storage
from .supervision import start_child, terminate_child
from .supervisor import Supervisor
from .wal_writer import ForgetStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.log.directory import Registration
    from khepri.log.file_system import FileSystem
    from khepri.transport.interface import Transport

    from .exit_reason import Exit
    from .future import KhepriFuture
    from .node_network import MakeTransport
    from .ra_server_config import RaServerConfig
    from .reference import ActorReference
    from .router import Functions

_logger = logging.getLogger("khepri.node")

UNDISTRIBUTED: Final = "nonode@nohost"
"""The name of a node that has none, as in Erlang."""

REGISTER_SECONDS = 5.0
"""A start waits at least so long for the few bytes that say which stores there are."""

STOP_SECONDS = 60.0
"""How long a stop waits for the actors to put their things away."""


class Node:
    """One runtime. Any thread."""

    def __init__(
        self,
        name: str = UNDISTRIBUTED,
        *,
        file_system: FileSystem | None = None,
        make_transport: MakeTransport | None = None,
        stores: dict[str, StoreAccess] | None = None,
    ) -> None:
        """Make a node; nothing runs before the first store or Ra system is started.

        Args:
            name: how other nodes call it.
            file_system: where its data directories are; the real one if left out.
            make_transport: makes the way to other nodes; there is none if left out.
            stores: where its stores are published; an own dict if left out.
        """
        self.name = name
        self.stores: dict[str, StoreAccess] = {} if stores is None else stores
        """The stores that run, for any thread to read. Only this class changes it."""
        self.names = PublishedNames()
        """Who is called what, for any thread to read; written by the registry."""
        self.failures: dict[str, str] = {}
        """Why a store that gave up is down."""
        self.on_failure: Callable[[str], object] = _ignore
        """Is told, in an actor's thread, the id of a store that has given up."""
        self._file_system = file_system or PosixFileSystem()
        self._network = NodeNetwork(name, self.stores, make_transport)
        self._lock = threading.RLock()
        self._changing: dict[str, threading.RLock] = {}
        self._systems: dict[str, RaSystemHandle] = {}
        self._supervisor: ActorReference | None = None
        self._registry: ActorReference | None = None
        self._confirmer: ActorReference | None = None
        self._process = os.getpid()
        self._stops_at_exit = False

    # --- Ra systems

    def start_ra_system(
        self, name: str, path: str, timeout_seconds: float | None
    ) -> RaSystemHandle:
        """Start a Ra system, or give the one of that name and directory that runs.

        Raises:
            InvalidOptionError: the name or the directory is in use with another one.
            StorageError: the directory cannot be used.
        """
        path = os.path.abspath(path)  # noqa: PTH100 - links stay as they were written
        with self._lock:
            self._check_process()
            for handle in self._systems.values():
                if (handle.name == name) != (handle.storage.path == path):
                    raise InvalidOptionError(
                        f"the Ra system {handle.name!r} has the directory {handle.storage.path}",
                        option="ra_system",
                        value=(name, path),
                    )
            running = self._systems.get(name)
            if running is not None:
                return running
            storage = Storage(self._file_system, path, self.name)
            label = ActorLabel("ra-system", None, f"{self.name}:{Path(path).name}")
            spec = supervisor_spec(
                f"ra_system {name}",
                lambda _siblings: RaSystem.start(label, storage),
                Restart.TEMPORARY,
            )
            reference = start_child(self._running_supervisor(), spec).get(timeout=timeout_seconds)
            handle = RaSystemHandle(name, storage, reference)
            self._systems[name] = handle
            reference.down.add_done_callback(lambda down: self._system_down(handle, down))
            return handle

    def ra_system(self, name: str) -> RaSystemHandle:
        """Give a running Ra system.

        Raises:
            InvalidOptionError: none of that name runs.
        """
        handle = self._systems.get(name)
        if handle is None:
            raise InvalidOptionError(
                f"no Ra system {name!r} runs on {self.name}", option="ra_system", value=name
            )
        return handle

    def stop_ra_system(self, name: str, *, hands_over: bool = True) -> None:
        """Stop a Ra system and the stores in it; data stay. Nothing happens if it does not run.

        Args:
            name: which.
            hands_over: see `stop`.
        """
        with self._lock:
            handle = self._systems.get(name)
            if handle is None:
                return
            for store_id in tuple(handle.stores):
                if hands_over:
                    hand_over(self.stores[store_id])
                self._forget(handle, store_id)
            del self._systems[name]
            handle.reference.stop(block=True, timeout=STOP_SECONDS)

    # --- stores

    def start_store(
        self,
        handle: RaSystemHandle,
        config: RaServerConfig,
        timeout_seconds: float | None,
        cluster_id: bytes | None = None,
    ) -> StoreAccess:
        """Start a store, or give the one that runs. On return its server takes commands.

        Args:
            handle: the Ra system it lives in.
            config: its settings.
            timeout_seconds: for everything, recovery included.
            cluster_id: of the cluster that a new store is to join; it founds one if left out.

        Raises:
            InvalidOptionError: it runs in another Ra system.
            StorageError: its files cannot be used.
            KhepriTimeoutError: it is still recovering; that goes on.
        """
        store_id = config.cluster_name
        with self._lock:
            self._check_process()
            running = self.stores.get(store_id)
            if running is not None:
                if store_id not in handle.stores:
                    raise InvalidOptionError(
                        f"the store {store_id!r} runs already, in another directory than "
                        f"{handle.storage.path}",
                        option="data_dir",
                        value=handle.storage.path,
                    )
                return running
            # It is registered in any case: giving up here would leave a store that nobody runs.
            patience = None if timeout_seconds is None else max(timeout_seconds, REGISTER_SECONDS)
            known: Registration = handle.reference.request(
                RegisterStore(store_id, cluster_id)
            ).get(timeout=patience)
            server_id = ServerId(store_id, self.name)
            access = StoreAccess(store_id, server_id, known.cluster_id)
            founder = Member(server_id, known.uid, MemberKind.VOTER)
            setup = ServerSetup(
                store_id=store_id,
                uid=known.uid,
                server_id=server_id,
                config=config,
                initial_configuration=Configuration((founder,) if known.founds else ()),
                storage=handle.storage,
                access=access,
                network=self._network.of_store(store_id, known),
                random=random.random,
                registry=self._registry_that_runs,
                on_down=partial(self._store_down, handle, access),
            )
            self.failures.pop(store_id, None)
            handle.storage.wanted[store_id] = setup
            handle.stores.add(store_id)
            self.stores[store_id] = access
            starting = start_child(handle.storage.stores, store_spec(setup))
        try:
            starting.get(timeout=timeout_seconds)
        except KhepriTimeoutError:
            raise  # it goes on recovering
        except BaseException:
            with self._lock:
                self._forget(handle, store_id)
                self._end_if_unused(handle)
            raise
        return access

    def stop_store(self, store_id: str) -> None:
        """Stop a store; data stay. Nothing happens if it does not run."""
        with self._lock:
            handle = self._handle_of(store_id)
            if handle is None:
                return
            hand_over(self.stores[store_id])
            self._forget(handle, store_id)
            terminate_child(handle.storage.stores, store_id).get(timeout=STOP_SECONDS)
            self._end_if_unused(handle)

    def delete_store(self, store_id: str, *, will_return: bool = False) -> None:
        """Stop a store that runs here and delete its data.

        Args:
            store_id: which.
            will_return: it is started again at once, in the same Ra system.
        """
        with self._lock:
            handle = self._handle_of(store_id)
            assert handle is not None
            uid = handle.storage.wanted[store_id].uid
            self._forget(handle, store_id)
            terminate_child(handle.storage.stores, store_id).get(timeout=STOP_SECONDS)
            handle.storage.wal_writer.cast(ForgetStore(uid))
            handle.reference.request(UnregisterStore(store_id)).get(timeout=STOP_SECONDS)
            if not will_return:
                self._end_if_unused(handle)

    def access(self, store_id: str) -> StoreAccess:
        """Give the published face of a store that runs here.

        Raises:
            NoSuchServerError: it does not.
            ForkedProcessError: the node belongs to the parent process.
        """
        access = self.stores.get(store_id)
        if access is None:
            self._check_process()
            failure = self.failures.get(store_id)
            why = "" if failure is None else f": {failure}"
            raise NoSuchServerError(
                f"the store {store_id!r} does not run on {self.name}{why}",
                store_id=store_id,
                reason=failure,
            )
        return access

    def call(
        self, node: str, function: str, arguments: Sequence[object], timeout_seconds: float | None
    ) -> Any:  # noqa: ANN401 - the function decides
        """Call one of `RemoteFunctions` on a node, this one included, and wait for the answer.

        Raises:
            JoinError: the node cannot be reached.
            KhepriTimeoutError: no answer in time; whether it was done is unknown.
            KhepriError: what the function raised.
        """
        self.start()
        return self._network.call(node, function, arguments, timeout_seconds)

    def offer(self, functions: Functions) -> None:
        """Let other nodes call these too; they must not wait."""
        self._network.offer(functions)

    def start(self) -> None:
        """Start the node itself: its registry and, if it is distributed, its way to others.

        Raises:
            ListenError: its address cannot be bound.
            CookieError: there is no usable cookie.
        """
        with self._lock:
            self._check_process()
            self._running_supervisor()

    @property
    def is_distributed(self) -> bool:
        """Whether other nodes can be reached at all."""
        return self._network.is_distributed

    @property
    def transport(self) -> Transport:
        """The way to other nodes, once the node is started and distributed."""
        return self._network.transport

    def store_config(self, store_id: str) -> tuple[RaSystemHandle, RaServerConfig]:
        """Give the Ra system and the settings of a store that runs here."""
        handle = self._handle_of(store_id)
        assert handle is not None
        return handle, handle.storage.wanted[store_id].config

    def changing(self, store_id: str) -> threading.RLock:
        """Hold off other changes of a store's life and membership on this node."""
        with self._lock:
            return self._changing.setdefault(store_id, threading.RLock())

    def registry(self) -> ActorReference:
        """Give the registry; the node starts if it has not."""
        with self._lock:
            self._check_process()
            self._running_supervisor()
            assert self._registry is not None
            return self._registry

    def confirmer(self) -> ActorReference:
        """Give the actor that asks other members how far they are; the first call starts it."""
        running = self._confirmer
        if running is not None and running.is_alive():
            return running  # without the lock: an event loop must not wait for a stop or a start
        with self._lock:
            self._check_process()
            supervisor = self._running_supervisor()
            with contextlib.suppress(ChildExistsError):  # it is just being restarted
                spec = ChildSpec("confirmer", self._start_confirmer)
                start_child(supervisor, spec).get(timeout=STOP_SECONDS)
            assert self._confirmer is not None
            return self._confirmer

    def stop(self, *, hands_over: bool = True) -> None:
        """Stop everything; data stay.

        Args:
            hands_over: whether stores that lead wait until another member does. In vain if the
                others are gone.
        """
        with self._lock:
            for name in tuple(self._systems):
                self.stop_ra_system(name, hands_over=hands_over)
            supervisor, self._supervisor = self._supervisor, None
            if supervisor is not None:
                supervisor.stop(block=True, timeout=STOP_SECONDS)

    # --- inside

    def _running_supervisor(self) -> ActorReference:
        if not self._stops_at_exit:
            # Our threads keep no interpreter alive, so without this they would just be cut off.
            atexit.register(_stop_at_exit, weakref.ref(self))
            self._stops_at_exit = True
        if self._supervisor is None or not self._supervisor.is_alive():
            self._supervisor = Supervisor.start(
                ActorLabel("node-supervisor", None, self.name),
                SupervisorFlags(Strategy.ONE_FOR_ONE, intensity=5, period_seconds=5.0),
                (
                    ChildSpec("registry", self._start_registry),
                    ChildSpec("event_handler", self._start_event_handler),
                    *(() if not self.is_distributed else (self._router_spec(),)),
                ),
            )
            self._supervisor.started.get(timeout=STOP_SECONDS)
        return self._supervisor

    def _start_registry(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._registry = Registry.start(ActorLabel("registry", None, self.name), self.names)
        return self._registry

    def _registry_that_runs(self) -> ActorReference:
        """Give the registry to an actor: no lock, for whoever holds it may wait for that actor."""
        assert self._registry is not None
        return self._registry

    def _router_spec(self) -> ChildSpec:
        return ChildSpec("router", self._network.start_router)

    def _start_event_handler(self, siblings: Siblings) -> ActorReference:
        del siblings
        return EventHandler.start(ActorLabel("event-handler", None, self.name))

    def _start_confirmer(self, siblings: Siblings) -> ActorReference:
        del siblings
        label = ActorLabel("confirmer", None, self.name)
        self._confirmer = Confirmer.start(label, lambda: self._network.router)
        return self._confirmer

    def _handle_of(self, store_id: str) -> RaSystemHandle | None:
        return next((h for h in self._systems.values() if store_id in h.stores), None)

    def _end_if_unused(self, handle: RaSystemHandle) -> None:
        """A Ra system nobody named ends with its last store: the directory is free then."""
        if handle.is_implicit and not handle.stores:
            self.stop_ra_system(handle.name)

    def _forget(self, handle: RaSystemHandle, store_id: str) -> None:
        access = self.stores.pop(store_id, None)
        if access is not None:
            access.close()
        handle.stores.discard(store_id)
        handle.storage.wanted.pop(store_id, None)

    def _store_down(self, handle: RaSystemHandle, access: StoreAccess, reason: Exit) -> None:
        """The store gave up (it was not told to stop): it is not there any more, and says why."""
        # No lock: this is an actor's thread, and whoever holds the lock may wait for that actor.
        store_id = access.store_id
        gave_up = reason.kind in {ExitKind.GAVE_UP, ExitKind.CRASHED}
        if gave_up and self.stores.get(store_id) is access:
            self.failures[store_id] = str(reason)
            _logger.error("the store %s on %s is down: %s", store_id, self.name, reason)
            self._forget(handle, store_id)
            self.on_failure(store_id)

    def _system_down(self, handle: RaSystemHandle, down: KhepriFuture[Exit]) -> None:
        if self._systems.get(handle.name) is handle:
            reason = down.get()
            lost = tuple(handle.stores)
            for store_id in lost:
                self.failures[store_id] = str(reason)
                self._forget(handle, store_id)
            del self._systems[handle.name]
            _logger.error("the Ra system %s on %s is down: %s", handle.name, self.name, reason)
            for store_id in lost:
                self.on_failure(store_id)

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ForkedProcessError("this process was forked; the node belongs to its parent")


def _ignore(store_id: str) -> None:
    del store_id


def _stop_at_exit(reference: weakref.ref[Node]) -> None:
    node = reference()
    if node is not None and node._process == os.getpid():  # noqa: SLF001 - of this file
        node.stop()
