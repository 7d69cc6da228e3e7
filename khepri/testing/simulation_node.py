"""One simulated node: a disk that outlives its process, clocks, and the process when it runs.

A process is a data directory, a log writer, a segment writer and one server, made by the same
recovery code as the real one. It can die at any moment, in the middle of any disk operation, with
or without the power; what it had planned to do dies with it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from khepri.actors.access import StoreAccess
from khepri.errors import DataCorruptionError, StorageError
from khepri.log.directory import DataDirectory
from khepri.log.memory_file_system import SimulatedCrash
from khepri.log.recovery import recover
from khepri.log.rereading import read_store
from khepri.raft.events import MessageReceived
from khepri.raft.messages import AppendEntriesRequest, Heartbeat, InstallSnapshotRequest
from khepri.raft.types import Configuration, ServerId

from .simulation_calls import (
    SimulatedEventHandler,
    SimulatedMembershipCache,
    SimulatedReference,
)
from .simulation_clock import DriftingClock
from .simulation_disk import SimulatedDisk
from .simulation_network import Envelope
from .simulation_server import Groups, SimulatedServer
from .simulation_snapshots import restore_machine
from .simulation_storage import SimulatedSegmentWriter, SimulatedWalWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from .simulation import Simulation
    from .simulation_observer import Observer
    from .simulation_settings import SimulationSettings

STORE_ID = "s"
DIRECTORY = "/data"
RESTART_SECONDS = 0.3
"""How long a supervisor waits before a process that could not start is started again."""

NEWEST_VERSION: Final = 3
"""Of the machine, as far as releases say: there is but one, and the log says which it is."""

UPGRADE_CHANCE: Final = 0.4
"""That a process which starts is of a later release than the last time."""


class SimulatedNode:
    """A machine with a name.

    Attributes:
        disk: what outlives the process.
        uid: the incarnation of its member; "" before it was ever started.
        server: the running member, if any.
        is_up: whether the process runs.
        life: counts processes; what was planned by an earlier one does not happen.
        initial: the initial configuration of its store.
        slowness: how many times slower than usual its disk is.
        starts: how often a server was started.
        needs_wipe: its disk is found to be damaged: it cannot start.
        machine_version: the highest version of the machine that its release knows. A founder's
            release may be an old one; it may be a later one after each start of the process.
        access: what the process publishes to its threads.
        event_handler: who makes calls for triggers in the process.
        membership_cache: who publishes to its threads which member leads.
        suspended_until: when the machine goes on.
    """

    directory: DataDirectory
    wal_writer: SimulatedWalWriter
    segment_writer: SimulatedSegmentWriter

    def __init__(self, world: Simulation, name: str) -> None:
        """Make a node that was never started."""
        self.world = world
        self.name = name
        self.server_id = ServerId(STORE_ID, name)
        self.settings: SimulationSettings = world.settings
        self.observer: Observer = world.observer
        self.disk = SimulatedDisk()
        self.clock = DriftingClock(0.0, local=0.0)
        self.uid = ""
        self.server: SimulatedServer | None = None
        self.is_up = False
        self.life = 0
        self.initial = Configuration()
        self.slowness = 1.0
        self.machine_version = NEWEST_VERSION
        self.starts = 0
        self.needs_wipe = False
        self.random = random.Random(f"{world.seed}/{name}")
        self.random_bytes = self.random.randbytes
        self.suspended_until = 0.0
        self._face_threads()
        rates = (self.settings.slowest_clock, 1.0, self.settings.fastest_clock)
        self.clock.set_rate(0.0, self.random.choice(rates))

    # --- time

    @property
    def now(self) -> float:
        """The virtual time."""
        return self.world.now

    def clock_now(self) -> float:
        """Give what this node's monotonic clock shows."""
        return self.clock.local(self.world.now)

    def wall_milliseconds(self) -> int:
        """Give what this node's wall clock shows."""
        return self.clock.wall_milliseconds(self.world.now)

    def later(self, delay_seconds: float, action: Callable[..., None], *arguments: object) -> None:
        """Plan something that this process does, if it still lives then."""
        self.world.at(self.world.now + delay_seconds, self._act, self.life, action, arguments)

    def at(self, time: float, action: Callable[..., None], *arguments: object) -> None:
        """Plan something for a point in virtual time."""
        self.world.at(time, self._act, self.life, action, arguments)

    def sync_seconds(self) -> float:
        """Give how long one piece of work of the disk takes."""
        return (0.0003 + self.random.random() * 0.002) * self.slowness

    def handover_seconds(self) -> float:
        """Give how long a message takes from one thread to another."""
        return self.random.random() * 0.0003

    def busy_seconds(self) -> float:
        """Give how long a turn takes: mostly nothing, now and then long enough for a batch."""
        chance = self.random.random()
        return 0.0 if chance > self.settings.busy_ratio else chance * 0.05

    def suspend(self, seconds: float) -> None:
        """Let the whole machine stand still for a while; its clock goes on."""
        self.suspended_until = max(self.suspended_until, self.now + seconds)
        if self.server is not None:
            # Afterwards the threads go on in any order.
            self.server.stall(seconds + self.random.random() * 0.02)

    def _act(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if life != self.life:
            self.world.steps -= 1
            return
        try:
            action(*arguments)
        except SimulatedCrash:
            self.die(power_loss=self.random.random() < 0.5)  # noqa: PLR2004 - one of two ways
            self.world.crashed_inside(self)
        except StorageError:
            self._server_crashed()

    # --- life and death

    def form(self) -> None:
        """Make directory and store of a node that is to be an initial member."""
        directory = self._open()
        self.uid = directory.register(STORE_ID)
        directory.close()
        self.disk.process_death()
        self.life += 1

    def _open(self) -> DataDirectory:
        return DataDirectory.open(
            self.disk, DIRECTORY, self.name, random_bytes=self.random.randbytes
        )

    def start(self) -> bool:
        """Start the process from what is on disk; tell whether it runs.

        A process that cannot start for the moment is started again later. One whose files are
        damaged is not: `needs_wipe` is set.
        """
        if self.is_up or self.needs_wipe:
            return self.is_up
        self.life += 1
        if self.random.random() < UPGRADE_CHANCE:
            self.machine_version = min(self.machine_version + 1, NEWEST_VERSION)
        local = self.random.random() * 1000
        rate, offset = self.clock.rate, self.clock.wall_offset_seconds
        self.clock = DriftingClock(self.now, local=local)
        self.clock.set_rate(self.now, rate)
        self.clock.wall_offset_seconds = offset
        try:
            self._start()
        except SimulatedCrash:
            self.die(power_loss=True)
            self.world.crashed_inside(self)
        except DataCorruptionError as error:
            self.die(power_loss=False)
            self.needs_wipe = True
            self.observer.damaged(self, error)
        except StorageError:
            self.die(power_loss=False)
            self.world.at(self.now + RESTART_SECONDS, self.start)
        return self.is_up

    def _start(self) -> None:
        self.directory = self._open()
        system = recover(self.directory, max_log_file_bytes=self.settings.log_file_bytes)
        for damage in system.damaged.values():
            raise damage
        self.is_up = True
        self._face_threads()
        if STORE_ID not in self.directory.stores:
            self.uid = self.directory.register(STORE_ID)
            system.write_ahead_log.forget(self.uid)
        self.uid = self.directory.stores[STORE_ID]
        self.wal_writer = SimulatedWalWriter(self, system)
        self.segment_writer = SimulatedSegmentWriter(self, system)
        stored = system.stores.pop(STORE_ID, None) or read_store(self.directory, STORE_ID)
        self._start_server(stored)

    def _start_server(self, stored: Any) -> None:  # noqa: ANN401 - RecoveredStore
        machine = restore_machine(self.directory.snapshots(self.uid))
        server = SimulatedServer(self, stored, machine, self.initial)
        self.starts += 1
        self.server = server
        self.observer.recovered(server, stored)
        server.begin()

    def _face_threads(self) -> None:
        """Begin with what a new process has for its threads."""
        self.access = StoreAccess(STORE_ID, self.server_id, b"")
        self.access.server = SimulatedReference(self)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # only `cast` is asked of it
        self.membership_cache = SimulatedMembershipCache(self)
        self.event_handler = SimulatedEventHandler(self)

    def crash_event_handler(self) -> None:
        """Crash the EventHandler's actor; the next one knows nothing."""
        self.event_handler.is_over = True
        self.starts += 1
        self.event_handler = SimulatedEventHandler(self)

    def crash_server(self) -> None:
        """Crash the server's actor alone."""
        self._act(self.life, self._server_crashed, ())

    def _server_crashed(self) -> None:
        """The server's actor has crashed, not the process: its supervisor starts it again."""
        self._end_server()
        self.later(RESTART_SECONDS, self._restart_server)

    def _restart_server(self) -> None:
        self.wal_writer.write()
        stored = read_store(self.directory, STORE_ID)
        if stored.snapshot is not None:
            self.wal_writer.log.set_last_index(self.uid, stored.snapshot.index)
        self._start_server(stored)

    def _end_server(self) -> None:
        server, self.server = self.server, None
        self.access.withdraw_lease()
        if server is not None:
            server.is_over = True
            server.meta_file.close()
            self.observer.ended(server)

    def die(self, *, power_loss: bool) -> None:
        """End the process without any farewell; with the power gone, lose what was not synced."""
        if self.server is not None:
            self.server.is_over = True
            self.observer.ended(self.server)
            self.server = None
        self.is_up = False
        self.life += 1
        if power_loss:
            self.disk.power_loss(self.random)
        else:
            self.disk.process_death()

    def wipe(self) -> None:
        """Put a new and empty disk in place of the old one: its member is gone for ever."""
        assert not self.is_up, "only a dead node loses its disk"
        self.disk = SimulatedDisk()
        self.uid = ""
        self.initial = Configuration()
        self.needs_wipe = False

    # --- messages

    def send(self, to: ServerId, message: object) -> None:
        """Send a Raft message, or a list of groups."""
        receiver = self.world.nodes.get(to.node)
        if receiver is not None:
            self.world.network.send(
                Envelope(self.server_id, self.uid, to.node, receiver.uid, message)
            )

    def receive(self, envelope: Envelope) -> None:
        """Take what the network delivers, if it is meant for this incarnation."""
        server = self.server
        if server is None or envelope.receiver_uid != self.uid:
            return
        message = envelope.message
        if isinstance(message, list):
            self._act(self.life, server.arrive, (Groups(message),))
            return
        named = server.core.configuration.find(envelope.sender)
        # A leader may be of an incarnation that our configuration does not name yet: it is the
        # one who brings the newer configuration.
        if (
            named is None
            or named.uid == envelope.sender_uid
            or isinstance(message, AppendEntriesRequest | Heartbeat | InstallSnapshotRequest)
        ):
            received = MessageReceived(envelope.sender, message, envelope.sender_uid)
            self._act(self.life, server.arrive, (received,))
