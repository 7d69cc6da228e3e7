"""A core with a fake disk and machine around it, for tests of one member and of several.

`Node` executes effects the way a real shell does, but holds still where a test wants to look:
what was sent lies in `outbox`, what is to be written waits for `sync`, a snapshot piece for
`work`. `raft_cluster.Cluster` moves all that by itself.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from khepri.encoding import pack, unpack
from khepri.raft.core import RaftCore
from khepri.raft.effects import (
    AppendEntries,
    ApplyEntries,
    Completed,
    ConfigurationChanged,
    DiscardSnapshot,
    Effect,
    EndSnapshotSend,
    InstallSnapshot,
    PersistHardState,
    ReadReady,
    ReadSnapshotChunk,
    Rejected,
    RejectReason,
    RoleChanged,
    Send,
    StoreSnapshotChunk,
)
from khepri.raft.events import (
    Event,
    LogWritten,
    MessageReceived,
    Propose,
    SnapshotAcceptFailed,
    SnapshotChunkRead,
    SnapshotChunkStored,
    SnapshotInstalled,
    SnapshotReadFailed,
    SnapshotTaken,
    TriggerElection,
)
from khepri.raft.leader import Leader
from khepri.raft.messages import (
    Message,
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    message_from_plain,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import (
    NO_HARD_STATE,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Role,
    SnapshotMeta,
    Term,
)
from tests.raft.raft_notation import (
    as_text,
    entry,
    log,
    sid,
    uid,
    voters,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Effect)
SETTINGS = RaftSettings()


@dataclass
class Disk:
    """What survives a crash."""

    hard_state: HardState = NO_HARD_STATE
    entries: list[Entry] = field(default_factory=list[Entry])
    snapshot: SnapshotMeta | None = None
    snapshot_data: bytes = b""

    def write(self, entries: Iterable[Entry]) -> None:
        for item in entries:
            first = self.entries[0].index if self.entries else item.index
            gap = self.entries and item.index > self.entries[-1].index + 1
            if gap or item.index < first:
                self.entries = []
            else:
                del self.entries[item.index - first :]
            self.entries.append(item)


class Node:
    """One member: a core, its disk, its machine (the list of what was applied)."""

    def __init__(
        self,
        name: str,
        *,
        configuration: Configuration,
        disk: Disk | None = None,
        settings: RaftSettings = SETTINGS,
        seed: int = 0,
        its_uid: str | None = None,
    ) -> None:
        self.name = name
        self.uid = its_uid or uid(name)
        self.configuration = configuration
        self.settings = settings
        self.machine_version = 1  # another one is that of a later release; from the next start on
        self.disk = disk or Disk()
        self.now = 0.0
        self._random = random.Random(f"{seed}/{name}")
        self._boot()

    def _boot(self) -> None:
        disk = self.disk
        self.core = RaftCore(
            server_id=sid(self.name),
            uid=self.uid,
            hard_state=disk.hard_state,
            snapshot=disk.snapshot,
            entries=list(disk.entries),
            configuration=self.configuration,
            settings=self.settings,
            random=self._random.random,
            machine_version=self.machine_version,
        )
        self.outbox: list[Send] = []
        self.unsynced: list[AppendEntries] = []
        self.jobs: list[Event] = []
        self.partial: dict[int, bytes] = {}
        self.reading: set[int] = set()
        self.machine: list[Entry] = _unpack_machine(disk.snapshot_data)
        self.effects: list[Effect] = []
        self.history: list[Effect] = []

    # --- driving ---------------------------------------------------------------------------

    def step(self, *events: Event, now: float | None = None) -> list[Effect]:
        """One step; its effects are executed, and given back."""
        self.now = self.now if now is None else now
        self.effects = self.core.step(events, self.now)
        self.history += self.effects
        persisted = [e for e in self.effects if isinstance(e, PersistHardState)]
        assert persisted == [e for e in self.effects[:1] if isinstance(e, PersistHardState)]
        for effect in self.effects:
            self._execute(effect)
        return self.effects

    def receive(self, sender: str, message: Message) -> list[Message]:
        """One message, by way of its bytes; gives the messages sent in answer."""
        arrived = message_from_plain(unpack(pack(message.to_plain())))
        assert arrived == message
        return [e.message for e in self.receive_all((sender, arrived)) if isinstance(e, Send)]

    def receive_all(self, *mail: tuple[str, Message]) -> list[Effect]:
        """Several messages in one batch."""
        return self.step(*(MessageReceived(sid(sender), message) for sender, message in mail))

    def sync(self) -> list[Message]:
        """The disk makes everything durable and says so; gives the messages sent then."""
        notices = self.write_to_disk()
        return [e.message for e in self.step(*notices) if isinstance(e, Send)]

    def write_to_disk(self) -> list[Event]:
        """The disk makes everything durable; the notices are not delivered yet."""
        notices: list[Event] = []
        for effect in self.unsynced:
            self.disk.write(effect.entries)
            last = effect.entries[-1]
            notices.append(LogWritten(last.index, last.term, effect.sequence))
        self.unsynced = []
        return notices

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes, with a step at its end."""
        return self.step(now=self.now + seconds)

    def crash_and_restart(self) -> None:
        """Everything but the disk is lost."""
        self._boot()
        self.step()

    def forget_promise(self) -> None:
        """As if no leader had been heard for long, and the start were long ago."""
        self.core._server.heard_at = -math.inf

    def work(self) -> list[Effect]:
        """The snapshot worker does what it was asked for."""
        jobs, self.jobs = self.jobs, []
        return self.step(*jobs)

    # --- effects ---------------------------------------------------------------------------

    def _execute(self, effect: Effect) -> None:
        match effect:
            case PersistHardState():
                assert effect.hard_state.term >= self.disk.hard_state.term
                self.disk.hard_state = effect.hard_state
            case AppendEntries():
                self.unsynced.append(effect)
            case Send():
                self.outbox.append(effect)
            case ApplyEntries():
                for item in effect.entries:
                    expected = self.machine[-1].index + 1 if self.machine else 1
                    assert item.index == expected, "applied in order, without gaps"
                    self.machine.append(item)
            case ReadSnapshotChunk() | EndSnapshotSend():
                self._serve_snapshot(effect)
            case StoreSnapshotChunk() | InstallSnapshot() | DiscardSnapshot():
                self._accept_snapshot(effect)
            case ReadReady() | Rejected() | Completed() | RoleChanged() | ConfigurationChanged():
                pass

    def _serve_snapshot(self, effect: ReadSnapshotChunk | EndSnapshotSend) -> None:
        if isinstance(effect, ReadSnapshotChunk):
            self.jobs.append(self._read_chunk(effect))
        else:
            self.reading.discard(effect.transfer_id)

    def _accept_snapshot(
        self, effect: StoreSnapshotChunk | InstallSnapshot | DiscardSnapshot
    ) -> None:
        match effect:
            case StoreSnapshotChunk():
                self.jobs.append(self._store_chunk(effect))
            case InstallSnapshot():
                self.jobs.append(self._install(effect))
            case DiscardSnapshot():
                self.partial.pop(effect.transfer_id, None)

    def _read_chunk(self, effect: ReadSnapshotChunk) -> Event:
        self.reading.add(effect.transfer_id)
        if self.disk.snapshot != effect.meta:
            return SnapshotReadFailed(effect.transfer_id, "a newer one replaced it")
        data = self.disk.snapshot_data[effect.offset : effect.offset + effect.max_bytes]
        done = effect.offset + len(data) == len(self.disk.snapshot_data)
        return SnapshotChunkRead(effect.transfer_id, effect.offset, data, done)

    def _store_chunk(self, effect: StoreSnapshotChunk) -> Event:
        if effect.offset == 0:
            self.partial[effect.transfer_id] = b""
        assert len(self.partial[effect.transfer_id]) == effect.offset, "in order, no gaps"
        self.partial[effect.transfer_id] += effect.data
        next_offset = len(self.partial[effect.transfer_id])
        return SnapshotChunkStored(effect.transfer_id, next_offset)

    def _install(self, effect: InstallSnapshot) -> Event:
        data = self.partial.pop(effect.transfer_id)
        try:
            machine = _unpack_machine(data)
            assert machine[-1].index == effect.meta.index
        except Exception as error:  # noqa: BLE001 - whatever damage does, it must be reported
            return SnapshotAcceptFailed(effect.transfer_id, repr(error))
        self.machine = machine
        self.disk.snapshot, self.disk.snapshot_data = effect.meta, data
        self.disk.entries = []
        self.unsynced = []
        return SnapshotInstalled(effect.meta)

    def take_snapshot(self) -> SnapshotMeta:
        """Snapshot the machine as it is, durably, and tell the core."""
        meta = self.core.snapshot_meta(self.machine[-1].index)
        self.disk.snapshot, self.disk.snapshot_data = meta, pack([list(e) for e in self.machine])
        self.disk.entries = [e for e in self.disk.entries if e.index > meta.index]
        self.step(SnapshotTaken(meta))
        return meta

    # --- looking ---------------------------------------------------------------------------

    def sent(self, kind: type[M]) -> list[M]:
        """Messages of that kind in the last step."""
        return [
            e.message for e in self.effects if isinstance(e, Send) and isinstance(e.message, kind)
        ]

    def done(self, kind: type[E]) -> list[E]:
        """Effects of that kind in the last step."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def ever(self, kind: type[E]) -> list[E]:
        """Effects of that kind since the last start."""
        return [effect for effect in self.history if isinstance(effect, kind)]

    def rejection(self, ticket: object) -> RejectReason | None:
        """Why the request with that ticket was rejected, if it was."""
        for effect in self.history:
            if isinstance(effect, Rejected) and effect.ticket == ticket:
                return effect.reason
        return None

    @property
    def log_text(self) -> str:
        """The log in memory, in the notation of the cases."""
        view = self.core._server.log
        return as_text(view.between(view.base_index + 1, view.last_index))

    @property
    def commands(self) -> list[bytes]:
        """What was applied, without no-ops and configurations."""
        return [e.data for e in self.machine if e.kind == EntryKind.COMMANDS]

    def match_index(self, name: str) -> int:
        """What the leader counts `name` for."""
        role = self.core._server.role
        assert isinstance(role, Leader)
        return role.peers.all[sid(name)].match_index

    def plays(self, role: Role) -> bool:
        """Whether that is its role at the moment (a method, so that no type checker infers)."""
        return self.core.role is role

    @property
    def is_leader(self) -> bool:
        return self.core.role is Role.LEADER


def _unpack_machine(data: bytes) -> list[Entry]:
    return [Entry.from_plain(plain) for plain in unpack(data)] if data else []


def make_node(
    name: str = "A",
    *,
    entries: str | list[Entry] = "",
    term: int = 0,
    voted_for: str | None = None,
    configuration: Configuration | None = None,
    settings: RaftSettings = SETTINGS,
    snapshot: SnapshotMeta | None = None,
) -> Node:
    """A member of {A, B, C} with that log on disk, started so long ago that it may vote."""
    listed = log(entries) if isinstance(entries, str) else entries
    machine: list[Entry] = []
    if snapshot is not None:
        machine = [entry(i, min(i, snapshot.term)) for i in range(1, snapshot.index + 1)]
    disk = Disk(
        HardState(Term(term), None if voted_for is None else sid(voted_for)),
        listed,
        snapshot,
        pack([list(e) for e in machine]) if machine else b"",
    )
    node = Node(name, configuration=configuration or voters("ABC"), disk=disk, settings=settings)
    node.step()
    node.forget_promise()
    return node


def elect(node: Node, *supporters: str) -> Node:
    """Let `node` win an election with the help of `supporters`."""
    node.step(TriggerElection())
    for request in node.sent(PreVoteRequest)[:1]:
        grants = PreVoteResponse(Term(request.next_term - 1), request.round_id, granted=True)
        node.receive_all(*((name, grants) for name in supporters))
    for ballot in node.sent(RequestVoteRequest)[:1]:
        vote = RequestVoteResponse(ballot.term, granted=True)
        node.receive_all(*((name, vote) for name in supporters))
    assert node.is_leader
    return node


def make_leader(
    name: str = "A",
    *,
    entries: str | list[Entry] = "",
    term: int = 0,
    configuration: Configuration | None = None,
    settings: RaftSettings = SETTINGS,
    supporters: str = "BC",
) -> Node:
    """A leader of term `term` + 1 whose own first entry is appended, not yet written."""
    node = make_node(
        name, entries=entries, term=term, configuration=configuration, settings=settings
    )
    return elect(node, *supporters)


def propose(node: Node, *data: bytes) -> None:
    """Propose each datum with itself as the ticket, in one batch."""
    node.step(*(Propose(item, item) for item in data))
