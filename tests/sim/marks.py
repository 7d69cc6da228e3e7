"""Marks on rare branches: what a campaign has reached, and what it never did.

Everything is seen from outside, in events, effects, messages and states; the product code knows
nothing of marks. A mark that is never reached says that some code is not tested by simulation.

Long, because it is one list.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from khepri.log.framing import decode_frame, decode_header
from khepri.log.log_file import DATA_OFFSET, read_log_file
from khepri.machine.sessions import GroupStatus
from khepri.raft.effects import (
    AppendEntries,
    Completed,
    ConfigurationChanged,
    DiscardSnapshot,
    ReadReady,
    Rejected,
    RejectReason,
    RoleChanged,
    Send,
)
from khepri.raft.events import (
    LogRecovered,
    LogWriteFailed,
    LogWritten,
    MessageReceived,
    SnapshotAcceptFailed,
    SnapshotReadFailed,
    SnapshotTaken,
)
from khepri.raft.leader import Leader
from khepri.raft.messages import (
    AppendEntriesResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    PreVoteResponse,
    ReadIndexResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    TimeoutNow,
)
from khepri.raft.progress import ProgressState
from khepri.raft.types import EntryKind, MemberKind, Role
from khepri.testing.simulation_call_faults import CALL_FAULTS
from khepri.testing.simulation_faults import WEIGHTS
from khepri.testing.simulation_observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.errors import StorageError
    from khepri.log.interface import Append, RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from khepri.raft.types import Entry, SnapshotMeta
    from khepri.testing.simulation_node import SimulatedNode
    from khepri.testing.simulation_operation import Operation
    from khepri.testing.simulation_server import SimulatedServer

MARKS = frozenset(
    {
        "append refused with a conflict hint",
        "append refused by a higher term",
        "log suffix overwritten",
        "membership change undone by truncation",
        "membership change as a promotable",
        "membership change as a non-voter",
        "promotable promoted",
        "member removed",
        "leader removed itself",
        "member replaced by another incarnation",
        "change refused: one is under way",
        "change refused: no majority left",
        "change outcome unknown: leadership lost",
        "pre-vote refused",
        "pre-vote round repeated",
        "vote refused",
        "vote by leadership transfer",
        "election without winner",
        "leader steps down by higher term",
        "leader steps down by check-quorum",
        "leader steps down by disk failure",
        "transfer completed",
        "transfer timed out",
        "transfer refused",
        "timeout-now sent",
        "log write failed",
        "log recovered after a failure",
        "stale write notice of an overwritten suffix",
        "several events in one step",
        "proposal rejected: overloaded",
        "read confirmed at the leader",
        "read confirmed at a follower",
        "read by the lease",
        "read by the lease of the only voter",
        "lease withdrawn while it lasts",
        "read index refused",
        "read rejected",
        "peer goes from replicate to probe",
        "peer gets a snapshot",
        "snapshot taken",
        "snapshot installed",
        "snapshot reception abandoned",
        "snapshot accept failed",
        "snapshot read failed",
        "snapshot attempt refused",
        "snapshot piece repeated",
        "snapshot taken is older than one installed",
        "crash while a snapshot is taken",
        "crash while a snapshot comes in",
        "crash while a snapshot is installed",
        "crash with unwritten entries",
        "recovered over a torn tail",
        "recovered an unconfirmed write",
        "recovered a snapshot and entries",
        "recovered from several log files",
        "recovered from segments",
        "damaged files refused",
        "server crashed alone",
        "session expired",
        "group with a gap",
        "group applied twice, answered once",
        "operation refused",
        "operation of unknown outcome",
        "single voter leads",
        "two leaders of different terms",
        "machine version raised",
        "call made",
        "changes listed",
        "call made again",
        "call said to be made again",
        "call for what expired",
        "calls dropped with their trigger",
        "tree nodes expired",
        "tree nodes expired with an entry of their own",
        "transaction applied",
        "transaction found something changed",
        *(f"fault {kind}" for kind in (*WEIGHTS, *CALL_FAULTS, "died_inside")),
    }
)
"""Every mark there is."""

_REJECTED = {
    RejectReason.OVERLOADED: "proposal rejected: overloaded",
    RejectReason.CLUSTER_CHANGE_NOT_PERMITTED: "change refused: one is under way",
    RejectReason.NO_MAJORITY_LEFT: "change refused: no majority left",
    RejectReason.LEADERSHIP_LOST: "change outcome unknown: leadership lost",
    RejectReason.TRANSFER_TIMED_OUT: "transfer timed out",
    RejectReason.ALREADY_LEADER: "transfer refused",
    RejectReason.NON_VOTER: "transfer refused",
}
_RARE_EVENTS: dict[type, str] = {
    LogWriteFailed: "log write failed",
    LogRecovered: "log recovered after a failure",
    SnapshotAcceptFailed: "snapshot accept failed",
    SnapshotReadFailed: "snapshot read failed",
}


class Marks(Observer):
    """Counts marks.

    Attributes:
        reached: how often each was.
    """

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._roles: dict[SimulatedServer, Role] = {}
        self._leases: dict[SimulatedServer, float] = {}
        self._terms: dict[SimulatedServer, int] = {}
        self._written: dict[SimulatedServer, int] = {}
        self._pieces: dict[tuple[str, int], int] = {}
        self._confirmed: dict[str, int] = {}
        self._applied = 0
        self._sequences: dict[int, int] = {}
        self._configurations: dict[SimulatedServer, ConfigurationChanged] = {}
        self._peers: dict[tuple[SimulatedServer, object], ProgressState] = {}

    @property
    def missed(self) -> list[str]:
        """The marks that were not reached."""
        return sorted(MARKS - self.reached.keys())

    def add(self, mark: str) -> None:
        assert mark in MARKS, mark
        self.reached[mark] += 1

    # --- steps

    def stepped(  # noqa: C901 - one case per kind of thing seen
        self, server: SimulatedServer, events: Sequence[Event], effects: Sequence[Effect]
    ) -> None:
        if len(events) > 1:
            self.reached["several events in one step"] += 1
        for one in events:
            mark = _RARE_EVENTS.get(one.__class__)
            if mark is not None:
                self.reached[mark] += 1
            elif one.__class__ is LogWritten:
                self._log_written(server, one)  # pyright: ignore[reportArgumentType]
            elif one.__class__ is SnapshotTaken:
                self._snapshot_taken(server, one)  # pyright: ignore[reportArgumentType]
        role_before = self._roles.get(server, Role.FOLLOWER)
        for effect in effects:
            kind = effect.__class__
            if kind is Send:
                handler = _MESSAGES.get(effect.message.__class__)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
                if handler is not None:
                    handler(self, server, effect.message)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
            elif kind is RoleChanged:
                self._role_changed(server, effect, events)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            else:
                self._effect(server, effect, role_before)
        if server.core.role is Role.LEADER:
            self._lead(server)
        until = server.core.lease_until
        if until == -math.inf and self._leases.get(server, until) > server.clock():
            self.add("lease withdrawn while it lasts")
        self._leases[server] = until

    def _log_written(self, server: SimulatedServer, one: LogWritten) -> None:
        if server.core._server.log.term_at(one.index) != one.term:
            self.add("stale write notice of an overwritten suffix")

    def _snapshot_taken(self, server: SimulatedServer, one: SnapshotTaken) -> None:
        snapshot = server.core._server.snapshot
        self.add("snapshot taken")
        if snapshot is not None and snapshot.index > one.meta.index:
            self.add("snapshot taken is older than one installed")

    def _effect(self, server: SimulatedServer, one: Effect, role: Role) -> None:  # noqa: C901 - one case per effect
        match one:
            case AppendEntries():
                if one.entries[0].index <= self._written.get(server, 0):
                    self.add("log suffix overwritten")
                self._written[server] = one.entries[-1].index
            case ConfigurationChanged():
                self._configured(server, one)
            case Rejected():
                mark = _REJECTED.get(one.reason)
                if mark is not None:
                    self.add(mark)
                elif one.reason is RejectReason.NOT_LEADER and one.ticket is not None:
                    self.add("read rejected")
            case Completed():
                if server.core.role is not Role.LEADER and one.ticket is server.node.world.nobody:
                    self.add("transfer completed")
            case ReadReady():
                where = "the leader" if role is Role.LEADER else "a follower"
                self.add(f"read confirmed at {where}")
            case DiscardSnapshot():
                self.add("snapshot reception abandoned")
            case _:
                pass

    def _configured(self, server: SimulatedServer, one: ConfigurationChanged) -> None:
        before = self._configurations.get(server)
        self._configurations[server] = one
        kinds = {member.kind for member in one.configuration.members}
        if MemberKind.PROMOTABLE in kinds:
            self.add("membership change as a promotable")
        if MemberKind.NON_VOTER in kinds:
            self.add("membership change as a non-voter")
        if before is None:
            return
        if one.index < before.index:
            self.add("membership change undone by truncation")
            return
        earlier = before.configuration
        for member in earlier.members:
            now = one.configuration.find(member.server_id)
            if now is None:
                self.add("member removed")
                if server.core.role is Role.LEADER and member.server_id == server.node.server_id:
                    self.add("leader removed itself")
            elif now.uid != member.uid:
                self.add("member replaced by another incarnation")
            elif now.kind is MemberKind.VOTER and member.kind is MemberKind.PROMOTABLE:
                self.add("promotable promoted")

    def _role_changed(
        self, server: SimulatedServer, one: RoleChanged, events: Sequence[Event]
    ) -> None:
        before = self._roles.get(server, Role.FOLLOWER)
        self._roles[server] = one.role
        term_before, self._terms[server] = self._terms.get(server), one.term
        if before is Role.LEADER and one.role is Role.FOLLOWER:
            if any(event.__class__ is LogWriteFailed for event in events):
                self.add("leader steps down by disk failure")
            elif one.term == term_before and not _says_more(events):
                self.add("leader steps down by check-quorum")
            else:
                self.add("leader steps down by higher term")
        elif before is Role.PRE_CANDIDATE and one.role is Role.PRE_CANDIDATE:
            self.add("pre-vote round repeated")
        elif before is Role.CANDIDATE and one.role is Role.PRE_CANDIDATE:
            self.add("election without winner")
        if one.role is Role.LEADER:
            if len(server.core.configuration.voters) == 1:
                self.add("single voter leads")
            leaders = [
                node
                for node in server.node.world.nodes.values()
                if node.server is not None and node.server.core.role is Role.LEADER
            ]
            if len(leaders) > 1:
                self.add("two leaders of different terms")

    def _lead(self, server: SimulatedServer) -> None:
        role = server.core._server.role
        assert isinstance(role, Leader)
        for peer, progress in role.peers.all.items():
            key = (server, peer)
            before = self._peers.get(key)
            if before is not progress.state:
                self._peers[key] = progress.state
                if progress.state is ProgressState.SNAPSHOT:
                    self.add("peer gets a snapshot")
                elif before is ProgressState.REPLICATE:
                    self.add("peer goes from replicate to probe")

    # --- messages

    def refused_append(self, server: SimulatedServer, message: AppendEntriesResponse) -> None:
        if not message.success:
            is_hint = server.core.leader is not None and message.last_index > 0
            self.add(
                "append refused with a conflict hint"
                if is_hint
                else "append refused by a higher term"
            )

    def pre_vote(self, server: SimulatedServer, message: PreVoteResponse) -> None:
        del server
        if not message.granted:
            self.add("pre-vote refused")

    def vote(self, server: SimulatedServer, message: RequestVoteResponse) -> None:
        del server
        if not message.granted:
            self.add("vote refused")

    def ask_vote(self, server: SimulatedServer, message: RequestVoteRequest) -> None:
        del server
        if message.leadership_transfer:
            self.add("vote by leadership transfer")

    def timeout_now(self, server: SimulatedServer, message: Message) -> None:
        del server, message
        self.add("timeout-now sent")

    def read_index(self, server: SimulatedServer, message: ReadIndexResponse) -> None:
        del server
        if message.index is None:
            self.add("read index refused")

    def piece(self, server: SimulatedServer, message: InstallSnapshotRequest) -> None:
        key = (server.node.name, message.transfer_id)
        if self._pieces.get(key) == message.offset:
            self.add("snapshot piece repeated")
        self._pieces[key] = message.offset

    def piece_answer(self, server: SimulatedServer, message: InstallSnapshotResponse) -> None:
        del server
        if not message.accepted:
            self.add("snapshot attempt refused")

    # --- disks and lives

    def log_written(self, node: SimulatedNode, appends: Sequence[Append]) -> None:
        for append in appends:
            self._confirmed[node.uid] = append.first_index + len(append.entries) - 1

    def snapshot_durable(self, node: SimulatedNode, meta: SnapshotMeta) -> None:
        del node, meta

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        del server, meta
        self.add("snapshot installed")

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        if stored.snapshot is not None and stored.entries:
            self.add("recovered a snapshot and entries")
        last = stored.entries[-1].index if stored.entries else 0
        if last > self._confirmed.get(stored.uid, last):
            self.add("recovered an unconfirmed write")
        if _has_torn_tail(server.node):
            self.add("recovered over a torn tail")
        if server.node.segment_writer.waiting > 1:
            self.add("recovered from several log files")
        if any(path.endswith(".segment") for path in server.node.disk._entries):
            self.add("recovered from segments")

    def ended(self, server: SimulatedServer) -> None:
        if server.node.wal_writer.unwritten:
            self.add("crash with unwritten entries")
        if server.cadence._is_taking:
            self.add("crash while a snapshot is taken")
        receiver = server.core._server.receiver
        if receiver.installing:
            self.add("crash while a snapshot is installed")
        elif receiver._acceptance is not None:
            self.add("crash while a snapshot comes in")
        if server.node.is_up:
            self.add("server crashed alone")
        for books in (self._roles, self._written, self._leases):
            books.pop(server, None)

    def damaged(self, node: SimulatedNode, error: StorageError) -> None:
        del node, error
        self.add("damaged files refused")

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        del server
        if entry.kind is EntryKind.NOOP and entry.data:
            self.add("machine version raised")
        if entry.kind is not EntryKind.COMMANDS or applied is None:
            return
        is_first = entry.index > self._applied
        self._applied = max(self._applied, entry.index)
        if applied.expired_sessions:
            self.add("session expired")
        for group in applied.groups:
            last = self._sequences.get(group.session_id, 0)
            end = group.first_sequence + len(group.replies) - 1
            self._sequences[group.session_id] = max(last, end)
            if group.status is GroupStatus.GAP:
                self.add("group with a gap")
            elif group.replies and is_first and 0 < group.first_sequence <= last:
                self.add("group applied twice, answered once")

    def answered(self, operation: Operation) -> None:
        if operation.is_leased:
            is_endless = operation.node.access.lease.until == math.inf
            self.add(f"read by the lease{' of the only voter' if is_endless else ''}")
        if operation.kind == "transaction" and operation.status in {"ok", "failed"}:
            is_ok = operation.status == "ok"
            self.add(f"transaction {'applied' if is_ok else 'found something changed'}")
        if operation.status == "refused":
            self.add("operation refused")
        elif operation.status == "unknown":
            self.add("operation of unknown outcome")

    def fault(self, kind: str) -> None:
        if kind != "heal":
            self.add(f"fault {kind}")


def _says_more(events: Sequence[Event]) -> bool:
    """Tell whether something else than time may have made a leader step down."""
    return any(isinstance(one, MessageReceived | LogWritten) for one in events)


def _has_torn_tail(node: SimulatedNode) -> bool:
    """Tell whether the newest log file goes on behind its end with a frame that is not whole."""
    names = node.directory.log_folder.list_files()
    if not names:
        return False
    sequence, path = names[-1]
    end_batch = node.directory.log_folder.next_batch
    file = read_log_file(node.disk, sequence, path, end_batch)
    end = file.payloads[-1][1] if file.payloads else DATA_OFFSET
    header = decode_header(file.data, end)
    return header is not None and decode_frame(file.data, end) is None


_MESSAGES: dict[type, Callable[[Marks, SimulatedServer, Any], None]] = {
    AppendEntriesResponse: Marks.refused_append,
    PreVoteResponse: Marks.pre_vote,
    RequestVoteResponse: Marks.vote,
    RequestVoteRequest: Marks.ask_vote,
    TimeoutNow: Marks.timeout_now,
    ReadIndexResponse: Marks.read_index,
    InstallSnapshotRequest: Marks.piece,
    InstallSnapshotResponse: Marks.piece_answer,
}
