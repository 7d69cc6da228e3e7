"""The node: one khepri runtime with a name. Everything that runs hangs below its supervisor.

The methods are for client threads: they wait, always with a deadline. What must not happen twice
at once (two starts of one store) is serialised here, per node. What runs is noted in
`running_stores.py`; the actors every node has are in `node_supervision.py`.

It is longer than other files because all that starts and stops here shares one lock, and the order
in which that is taken and given back can only be checked where it is seen at once.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from khepri.errors import (
    ForkedProcessError,
    InvalidOptionError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
    StorageError,
)
from khepri.log.posix_file_system import PosixFileSystem
from khepri.raft.types import UNDISTRIBUTED, Configuration, Member, MemberKind, ServerId

from . import fork_guard
from .access import StoreAccess
from .actor_errors import ChildExistsError, NoSuchChildError
from .child_spec import Restart, supervisor_spec
from .hand_over import hand_over
from .label import ActorLabel
from .node_network import NodeNetwork
from .node_supervision import STOP_SECONDS, NodeSupervision, call_at_exit
from .published_names import PublishedNames
from .ra_system import RaSystem, RegisterStore, UnregisterStore, store_spec
from .ra_system_handle import RaSystemHandle
from .refusals import value_or_error
from .running_stores import RunningStores, in_use_with_another, runs_elsewhere
from .server_setup import ServerSetup
from .storage import Storage
from .supervision import start_child, terminate_child
from .wal_writer import ForgetStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from khepri.log.directory import Registration
    from khepri.log.file_system import FileSystem
    from khepri.transport.interface import Transport

    from .change_feed import FeedLine
    from .change_listener import ChangeListener
    from .future import KhepriFuture
    from .node_network import MakeTransport
    from .ra_server_config import RaServerConfig
    from .reference import ActorReference
    from .router import Functions

_logger = logging.getLogger("khepri.node")

REGISTER_SECONDS = 5.0
"""A start waits at least so long for the few bytes that say which stores there are."""


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
        """The stores that run, for any thread to read. Only the node changes it."""
        self.names = PublishedNames()
        """Who is called what, for any thread to read; written by the registry."""
        self.running = RunningStores(name, self.stores, self._gave_up)
        """What runs, and what has given up."""
        self.on_failure: Callable[[str], object] = _ignore
        """Is told, in an actor's thread, what has given up, a store or the network, and why."""
        self._file_system = file_system or PosixFileSystem()
        self._network = NodeNetwork(name, self.stores, make_transport, self._gave_up)
        self._supervision = NodeSupervision(name, self.names, self._network, weakref.ref(self))
        self.stores_of_parent: frozenset[str] = frozenset()
        """In a forked child: the ids of what ran in its parents when they forked."""
        self._lock = threading.RLock()
        # By store id, as long as somebody holds or wants it: ids may come and go without end.
        self._changing: weakref.WeakValueDictionary[str, threading.RLock] = (
            weakref.WeakValueDictionary()
        )
        self._changing_lock = threading.Lock()  # held for a moment only
        self._starting: dict[str, _Start] = {}
        # Who is told of the changes of a store that is just joining, from its next life on.
        self._between_lives: dict[str, Sequence[ChangeListener]] = {}
        self._process = os.getpid()
        self._stops_at_exit = False
        fork_guard.watch(self)

    # --- the node itself

    def start(self) -> None:
        """Start the node itself: its registry and, if it is distributed, its way to others.

        Raises:
            ListenError: its address cannot be bound.
            CookieError: there is no usable cookie.
        """
        self.supervisor()

    def stop(self, *, hands_over: bool = True) -> None:
        """Stop everything; data stay.

        Args:
            hands_over: whether stores that lead wait until another member does. In vain if the
                others are gone.
        """
        if self._process != os.getpid():
            return  # what runs is the parent's
        if hands_over:
            hand_over(list(self.stores.values()))
        with self._lock:
            for handle in tuple(self.running.systems.values()):
                self._end_system(handle)
            self._starting.clear()
            self._supervision.stop()
            for store_id in tuple(self._between_lives):
                self._forget_lasting(store_id)

    def supervisor(self) -> ActorReference:
        """Give the supervisor below which everything runs; the node starts if it has not."""
        with self._lock:
            self._check_process()
            if not self._stops_at_exit:
                call_at_exit(self.stop)
                self._stops_at_exit = True
            return self._supervision.supervisor()

    def registry(self) -> ActorReference:
        """Give the registry; the node starts if it has not."""
        self._check_process()
        if not self._supervision.is_running:  # no lock: a start or a stop may hold it for a while
            self.supervisor()
        return self._supervision.registry_that_runs()

    def confirmer(self) -> ActorReference:
        """Give the actor that asks other members how far they are.

        A node without others starts it at the first call. Otherwise nothing is waited for: this is
        called by event loops and by callbacks. One that is just being restarted answers at once.
        """
        running = self._supervision.confirmer
        if running is not None and (self._network.is_distributed or running.is_alive()):
            return running
        with self._lock:
            self.supervisor()
            return self._supervision.start_confirmer()

    def change_feed(self) -> FeedLine:
        """Give the way to the actor that tells what has changed; it is started if need be."""
        line = self._supervision.feed_line
        if line.reference is not None and line.reference.is_alive():
            return line  # no lock: a start or a stop may hold it for a while
        with self._lock:
            self.supervisor()
            return self._supervision.start_change_feed()

    # --- other nodes

    def call(
        self, node: str, function: str, arguments: Sequence[object], timeout_seconds: float | None
    ) -> Any:  # noqa: ANN401 - the function decides
        """Call one of `RemoteFunctions` on a node, this one included, and wait for the answer.

        Raises:
            WrongTypeError, InvalidOptionError: not the name of a node.
            JoinError: the node cannot be reached.
            KhepriTimeoutError: no answer in time; whether it was done is unknown.
            KhepriError: what the function raised.
        """
        return self._network.call(node, function, arguments, timeout_seconds)

    def offer(self, functions: Functions) -> None:
        """Let other nodes call these too; they must not wait."""
        self._network.offer(functions)

    @property
    def is_distributed(self) -> bool:
        """Whether other nodes can be reached at all."""
        return self._network.is_distributed

    @property
    def transport(self) -> Transport:
        """The way to other nodes, once the node is started and distributed."""
        return self._network.transport

    # --- Ra systems

    def start_ra_system(
        self, name: str, path: str, timeout_seconds: float | None
    ) -> RaSystemHandle:
        """Start a Ra system, or give the one of that name and directory that runs.

        Raises:
            InvalidOptionError: the name or the directory is in use with another one.
            StorageError: the directory cannot be used.
            KhepriTimeoutError: it still reads its log; that goes on, and another start finds it.
        """
        path = os.path.abspath(path)  # noqa: PTH100 - links stay as they were written
        with self._locked(timeout_seconds):
            self._check_process()
            running = self.running.system_at(name, path)
            if running is not None:
                return running
            start = self._begun_start(name, path)
        # Not under the lock: a long log takes its time, and others have other things to do here.
        try:
            reference = start.future.get(timeout=timeout_seconds)
        except KhepriTimeoutError:
            raise  # it goes on, as after an interrupt
        except Exception as error:
            with self._lock:
                if self._starting.get(name) is start:
                    del self._starting[name]
                    if isinstance(error, ChildExistsError):
                        # An interrupt came between a start and the note of it, or into a stop.
                        ending = terminate_child(self.supervisor(), _child_id(name))
                        with suppress(NoSuchChildError):  # it has ended just now
                            ending.get(timeout=STOP_SECONDS)
            if isinstance(error, ChildExistsError):
                return self.start_ra_system(name, path, timeout_seconds)
            raise
        handle = RaSystemHandle(name, start.storage, reference)
        with self._locked(timeout_seconds):
            if self._starting.get(name) is start:  # the first of those who waited
                del self._starting[name]
                self.running.add_system(handle)
        return self.running.systems.get(name, handle)  # stopped meanwhile: `start_store` sees it

    def ra_system(self, name: str) -> RaSystemHandle:
        """Give a running Ra system.

        Raises:
            InvalidOptionError: none of that name runs.
        """
        handle = self.running.systems.get(name)
        if handle is None:
            raise InvalidOptionError(
                f"no Ra system {name!r} runs on {self.name}", option="ra_system", value=name
            )
        return handle

    def stop_ra_system(self, name: str) -> None:
        """Stop a Ra system and the stores in it; data stay. Nothing happens if it does not run."""
        handle = self.running.systems.get(name)
        if handle is not None:
            hand_over(self.running.published(handle))
        with self._lock:
            if self._starting.pop(name, None) is not None:
                terminate_child(self.supervisor(), _child_id(name)).get(timeout=STOP_SECONDS)
            handle = self.running.systems.get(name)
            if handle is not None:
                self._end_system(handle)

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
            handle: the Ra system it lives in. One without a name of its own, which a stop may
                just have ended with its last store, is started again.
            config: its settings.
            timeout_seconds: for everything, recovery included.
            cluster_id: of the cluster that a new store is to join; it founds one if left out.

        Raises:
            InvalidOptionError: it runs in another Ra system.
            StorageError: its files cannot be used.
            KhepriTimeoutError: it is still recovering; that goes on.
        """
        store_id = config.cluster_name
        with self._locked(timeout_seconds):
            self._check_process()
            handle = self._running_again(handle, timeout_seconds)
            running = self.stores.get(store_id)
            if running is not None:
                if store_id not in handle.stores:
                    self._end_if_unused(handle)
                    raise runs_elsewhere(store_id, handle.storage.path)
                return running
            # It is registered in any case: giving up here would leave a store that nobody runs.
            patience = None if timeout_seconds is None else max(timeout_seconds, REGISTER_SECONDS)
            registering = handle.reference.request(
                RegisterStore(store_id, cluster_id), value_or_error
            )
            try:
                known: Registration = registering.get(timeout=patience)
            except StorageError:
                self._end_if_unused(handle)
                raise
            # It may be there though it is not published: a stop of it was interrupted.
            self._end_child(handle, store_id, patience)
            setup = self._setup(handle, config, known)
            lasting = self._between_lives.pop(store_id, ())
            setup.access.outlet.adopt(lasting, self._supervision.feed_line.ring)
            self.running.add(handle, setup)
            try:
                starting = start_child(handle.storage.stores, store_spec(setup))
            except BaseException:  # interrupted: what is published has been asked for
                self.running.remove(handle, setup.access)
                raise
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            starting.get(timeout=timeout_seconds)
        except KhepriTimeoutError:
            raise  # it goes on recovering, as after an interrupt
        except (ChildExistsError, NoSuchServerError, ServerStoppedError):
            # The Ra system starts again, and this store with it; or somebody has stopped it.
            rest = None if end is None else max(0.0, end - time.monotonic())
            if setup.access.wait_for_server(rest) is None:
                raise
        except Exception:
            with self._lock:
                self.running.remove(handle, setup.access)
                self._end_if_unused(handle)
            raise
        return setup.access

    def stop_store(self, store_id: str) -> None:
        """Stop a store; data stay. Nothing happens if it does not run.

        A leader hands over first. Nothing is locked meanwhile: a start finds the store running
        still, and whatever runs under that id when it has handed over is stopped.
        """
        access = self.stores.get(store_id)
        if access is not None:
            hand_over([access])
        with self._lock:
            found = self.running.find(store_id)
            if found is not None:
                self._end_store(*found)
            for handle in tuple(self.running.systems.values()):
                self._end_if_unused(handle)  # also one whose last store has given up

    def delete_store(
        self, store_id: str, *, will_return: bool = False, timeout_seconds: float | None = None
    ) -> None:
        """Stop a store that runs here and delete its data.

        Args:
            store_id: which.
            will_return: it is started again at once, in the same Ra system.
            timeout_seconds: how long to wait for other starts and stops before it is begun.

        Raises:
            NoSuchServerError: it does not run here (any more).
            KhepriTimeoutError: it was not begun.
            StorageError: the disk refuses; the store is stopped, its data are there.
        """
        with self._locked(timeout_seconds):
            handle, setup = self.store_setup(store_id)
            lasting = setup.access.outlet.closes_for("joined" if will_return else "reset")
            if lasting:
                self._between_lives[store_id] = lasting
            self._end_store(handle, setup)
            unregistered = handle.reference.request(UnregisterStore(store_id), value_or_error)
            try:
                unregistered.get(timeout=STOP_SECONDS)
            except StorageError:
                self._end_if_unused(handle)
                raise
            handle.storage.wal_writer.cast(ForgetStore(setup.uid))
            if not will_return:
                self._end_if_unused(handle)

    def start_undeleted(self, handle: RaSystemHandle, setup: ServerSetup) -> None:
        """Start a store again that `delete_store` has stopped and could not delete."""
        try:
            self.start_store(handle, setup.config, STOP_SECONDS)
        except KhepriTimeoutError:
            pass  # it goes on recovering
        except KhepriError as error:
            with self._lock:
                self._end_if_unused(handle)
            self.store_is_lost(setup.store_id, error)

    def store_is_lost(self, store_id: str, error: Exception) -> None:
        """Say that a store that ran does not any more, though nobody has stopped it."""
        self._forget_lasting(store_id)
        self._gave_up(f"the store {store_id} on {self.name} is down: {error}")

    def access(self, store_id: str) -> StoreAccess:
        """Give the published face of a store that runs here.

        Raises:
            NoSuchServerError: it does not.
            ForkedProcessError: the node belongs to the parent process.
        """
        access = self.stores.get(store_id)
        if access is None:
            self._check_process()
            if store_id in self.stores_of_parent:
                raise ForkedProcessError(
                    f"the store {store_id!r} was opened by the parent of this forked process; "
                    "a child needs a store in a directory of its own",
                    store_id=store_id,
                )
            raise self.running.no_such_store(store_id)
        return access

    def store_setup(self, store_id: str) -> tuple[RaSystemHandle, ServerSetup]:
        """Give the Ra system of a store that runs here, and what it was started with.

        Raises:
            NoSuchServerError: it does not run here.
        """
        found = self.running.find(store_id)
        if found is None:
            raise self.running.no_such_store(store_id)
        return found

    def changing(self, store_id: str) -> threading.RLock:
        """Hold off other changes of a store's life and membership on this node."""
        with self._changing_lock:
            return self._changing.setdefault(store_id, threading.RLock())

    def forget_parent_process(self) -> None:
        """Give up what is published: this is a forked child, where nothing of it runs."""
        for access in self.stores.values():
            access.outlet.forget_parent_process()
        for lasting in self._between_lives.values():
            for listener in lasting:
                listener.forget_parent_process()
        self._between_lives.clear()
        running = (handle.stores for handle in self.running.systems.values())
        self.stores_of_parent = self.stores_of_parent.union(*running)
        self.stores.clear()
        self._lock = threading.RLock()  # the parent's may be held, by a thread that is not here
        self._changing_lock = threading.Lock()
        self._changing = weakref.WeakValueDictionary()

    @contextmanager
    def _locked(self, timeout_seconds: float | None) -> Generator[None]:
        """Hold the lock: a stop of another store, whose disk stalls, may have it for a while."""
        patience = -1.0 if timeout_seconds is None else min(timeout_seconds, threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=patience):
            raise KhepriTimeoutError(
                f"another start or stop on {self.name} has not ended in {timeout_seconds} seconds",
                operation="waiting for another start or stop",
                timeout_seconds=timeout_seconds,
                outcome="not_applied",
            )
        try:
            yield
        finally:
            self._lock.release()

    # --- inside; the lock is held

    def _begun_start(self, name: str, path: str) -> _Start:
        """Give the start of a Ra system that is under way, or begin one."""
        begun = self._starting.get(name)
        if begun is not None and begun.future.failure is not None:
            del self._starting[name]  # nobody had waited for it
            begun = None
        for other, start in self._starting.items():
            if (other == name) != (start.storage.path == path):
                raise in_use_with_another(other, start.storage.path, (name, path))
        if begun is None:
            storage = Storage(self._file_system, path, self.name)
            label = ActorLabel("ra-system", None, f"{self.name}:{Path(path).name}")
            spec = supervisor_spec(
                _child_id(name),
                lambda _siblings: RaSystem.start(label, storage),
                Restart.TEMPORARY,
            )
            begun = _Start(storage, start_child(self.supervisor(), spec))
            self._starting[name] = begun
        return begun

    def _running_again(
        self, handle: RaSystemHandle, timeout_seconds: float | None
    ) -> RaSystemHandle:
        if handle.is_implicit:
            return self.start_ra_system(handle.name, handle.storage.path, timeout_seconds)
        return self.ra_system(handle.name)

    def _setup(
        self, handle: RaSystemHandle, config: RaServerConfig, known: Registration
    ) -> ServerSetup:
        store_id = config.cluster_name
        server_id = ServerId(store_id, self.name)
        access = StoreAccess(store_id, server_id, known.cluster_id)
        founder = Member(server_id, known.uid, MemberKind.VOTER)
        return ServerSetup(
            store_id=store_id,
            uid=known.uid,
            server_id=server_id,
            config=config,
            initial_configuration=Configuration((founder,) if known.founds else ()),
            storage=handle.storage,
            access=access,
            network=self._network.of_store(store_id, known),
            random=random.random,
            registry=self._supervision.registry_that_runs,
            event_handler=self._supervision.event_handler_that_runs,
            on_down=partial(self.running.store_down, handle, access),
        )

    def _end_store(self, handle: RaSystemHandle, setup: ServerSetup) -> None:
        self.running.remove(handle, setup.access)
        self._end_child(handle, setup.store_id, STOP_SECONDS)

    def _end_child(
        self, handle: RaSystemHandle, store_id: str, timeout_seconds: float | None
    ) -> None:
        """Stop the actors of a store that is not published (any more), if they run."""
        stores = handle.storage.stores
        try:
            terminate_child(stores, store_id).get(timeout=timeout_seconds)
        except NoSuchChildError:
            pass  # it has given up just now
        except (NoSuchServerError, ServerStoppedError):
            # The Ra system is being restarted; it does not start this store again.
            stores.down.get(timeout=timeout_seconds)

    def _end_system(self, handle: RaSystemHandle) -> None:
        self.running.remove_system(handle)
        handle.reference.stop(block=True, timeout=STOP_SECONDS)

    def _end_if_unused(self, handle: RaSystemHandle) -> None:
        """A Ra system nobody named ends with its last store: the directory is free then."""
        is_there = self.running.systems.get(handle.name) is handle
        if is_there and handle.is_implicit and not handle.stores:
            self._end_system(handle)

    def _forget_lasting(self, store_id: str) -> None:
        for listener in self._between_lives.pop(store_id, ()):
            listener.end("stopped")

    def _gave_up(self, what: str) -> None:
        _logger.error("%s", what)
        self.on_failure(what)

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ForkedProcessError("this process was forked; the node belongs to its parent")


class _Start(NamedTuple):
    """A Ra system that is being started: it reads its log."""

    storage: Storage
    future: KhepriFuture[ActorReference]


def _child_id(ra_system: str) -> str:
    return f"ra_system {ra_system}"


def _ignore(what: str) -> None:
    del what
