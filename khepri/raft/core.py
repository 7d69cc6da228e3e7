"""The core of one member: events in, effects out.

Here: the order of a step, and which part of the member each event and message goes to.
Not here: the state (`server.py`), what the roles do (`follower.py`, `candidate.py`, `leader.py`).
It is long, since each event and each question from outside has its place here.

A step takes a whole batch. Events are handled in order; then timers, so that a message that
already waits wins over a timer; then conclusions are drawn once for the whole batch: commit,
write, replicate, apply, serve reads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, assert_never

from .effects import AppendEntries, ApplyEntries, PersistHardState, RejectReason
from .events import (
    AddMember,
    ForceSingleMember,
    LogRecovered,
    LogWriteFailed,
    LogWritten,
    MessageReceived,
    Propose,
    ReadRequest,
    RemoveMember,
    SnapshotAcceptFailed,
    SnapshotChunkRead,
    SnapshotChunkStored,
    SnapshotInstalled,
    SnapshotReadFailed,
    SnapshotTaken,
    TimePassed,
    TransferLeadership,
    TriggerElection,
)
from .follower import Follower
from .inbox import receive
from .leader import Leader
from .machine_versions import FIRST_VERSION
from .server import Server
from .types import HardState, Index, SnapshotMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .effects import Effect
    from .events import Event
    from .progress import PeerState
    from .settings import RaftSettings
    from .types import (
        Configuration,
        Entry,
        MemberKind,
        Role,
        ServerId,
        Term,
    )


class RaftCore:
    """The consensus of one member; a pure object for one thread."""

    def __init__(
        self,
        *,
        server_id: ServerId,
        uid: str,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
        configuration: Configuration,
        settings: RaftSettings,
        random: Callable[[], float],
        committed: tuple[Index, Term] | None = None,
        machine_version: int = FIRST_VERSION,
    ) -> None:
        """Start from what is on disk.

        Args:
            server_id: who this member is.
            uid: its incarnation, the one its `Member` line in the configuration carries.
            hard_state: the newest durable term and vote; `NO_HARD_STATE` for a fresh store.
            snapshot: what the newest durable snapshot stands for; the machine is restored from
                it already.
            entries: the durable entries after the snapshot, contiguous.
            configuration: the initial configuration of a fresh store, the same on all initial
                members and given again at every restart (the log and the snapshot win once they
                hold one). `Configuration()` for a newcomer that waits to be added.
            settings: the numbers.
            random: gives floats in [0, 1), different on each member.
            committed: index and term of an entry that this member once knew to be committed, if
                the shell remembers one. It counts if the log holds that very entry, and then all
                up to it is applied at once, without waiting for a leader to say so again.
            machine_version: the highest version of the machine that this member knows.
        """
        self._server = Server(
            server_id=server_id,
            uid=uid,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            configuration=configuration,
            settings=settings,
            random=random,
            machine_version=machine_version,
        )
        if committed is not None:
            self._server.remember_committed(*committed)
        if self._server.is_only_voter:
            self._server.remember_all_committed()
        self._started = False

    # --- the step --------------------------------------------------------------------------

    def step(self, events: Sequence[Event], now: float) -> list[Effect]:
        """Take a batch of events, give what is to be done, in order.

        Call it once at the start, when something happened, and at `next_deadline` at the latest.

        Args:
            events: all that waits, in order of arrival; may be empty.
            now: monotonic seconds, read *after* the batch was taken from the mailbox.
        """
        server = self._server
        server.now = now
        server.effects = []
        if not self._started:
            self._start()
        for event in events:
            self._handle(event)
        if now >= server.receiver.deadline:
            server.receiver.on_deadline()
        if now >= server.role.deadline:
            server.role.on_deadline()
        server.role.decide()
        self._submit()
        server.role.speak()
        self._apply()
        if server.confirmed_reads.waiting:
            server.confirmed_reads.serve(server.last_applied, server.effects)
        if server.hard_state_changed:
            server.hard_state_changed = False
            hard_state = HardState(server.term, server.voted_for)
            server.effects.insert(0, PersistHardState(hard_state))
        return server.effects

    def _start(self) -> None:
        """Elect ourselves if nobody else votes; otherwise wait for a leader.

        A fresh member among several waits for ever: it must not disturb a cluster that it may
        be joining. `TriggerElection` at one of them forms a new cluster. Any other member may
        have heard a leader the moment before it ended, and keeps what it promised then.
        """
        self._started = True
        server = self._server
        if server.is_only_voter:
            self._trigger_election()
        elif not server.is_fresh:
            server.heard_at = server.now
            server.role.deadline = server.election_deadline()

    def _trigger_election(self) -> None:
        """Campaign now; not against a leader that was promised not to, and not as the leader."""
        server = self._server
        is_free = server.is_only_voter or not server.hears_leader
        if server.may_campaign and is_free and not isinstance(server.role, Leader):
            server.become_pre_candidate()

    def _submit(self) -> None:
        """Hand out for writing what came to the log in this step; not what is about to be void."""
        server = self._server
        first, last = server.written.first_unsubmitted, server.log.last_index
        if first <= last and server.disk_failure is None and not server.receiver.installing:
            entries = server.log.between(first, last)
            confirmation = server.role.confirmation_of(last)
            sequence = server.written.submit(last)
            server.effects.append(AppendEntries(entries, sequence, confirmation))

    def _apply(self) -> None:
        """Hand out for applying what is committed, some thousand entries at a time."""
        server = self._server
        first, last = server.last_applied + 1, server.applicable_index
        if first > last or server.receiver.installing:
            return
        last = min(last, Index(server.last_applied + server.settings.max_apply_entries))
        entries = server.log.between(first, last)
        server.last_applied = last
        server.effects.append(ApplyEntries(entries))
        if isinstance(server.role, Leader):
            server.role.on_applied(entries)

    def next_deadline(self) -> float:
        """Give the `now` at which `step` wants to be called at the latest; `math.inf` if never.

        Before the first step, and while more waits to be applied than fits one step, it is
        `-math.inf`: call at once.
        """
        server = self._server
        if not self._started:
            return -math.inf
        if server.last_applied < server.applicable_index and not server.receiver.installing:
            return -math.inf
        role = server.role
        return min(role.deadline, role.speaks_at, server.receiver.deadline)

    # --- events ----------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        match event:
            case MessageReceived():
                receive(self._server, event)
            case Propose():
                role = self._server.role
                if isinstance(role, Leader):
                    role.propose(event)
                else:
                    self._server.reject(event.ticket, RejectReason.NOT_LEADER)
            case LogWritten() | LogWriteFailed() | LogRecovered():
                self._handle_log(event)
            case TimePassed():
                pass  # the timers are looked at in every step
            case ReadRequest():
                self._handle_read(event)
            case AddMember() | RemoveMember() | TransferLeadership() | ForceSingleMember():
                self._handle_cluster_change(event)
            case TriggerElection():
                self._trigger_election()
            case _:
                self._handle_snapshot(event)

    def _handle_log(self, event: LogWritten | LogWriteFailed | LogRecovered) -> None:
        server = self._server
        match event:
            case LogWritten():
                term_there = server.log.term_at(event.index)
                is_news = server.written.confirm(
                    event.sequence, event.index, term_there, event.term
                )
                if is_news and not (event.is_confirmed and isinstance(server.role, Follower)):
                    server.role.on_log_written()
                if server.disk_failure is not None and server.written.is_newest(event.sequence):
                    server.disk_failure = None
            case LogWriteFailed():
                server.disk_failure = event.reason
                if isinstance(server.role, Leader):
                    server.role.on_disk_failed()
                elif not isinstance(server.role, Follower):
                    server.become_follower(server.term, leader=None)
            case LogRecovered():
                server.disk_failure = None
                server.written.submit_again()
            case _:
                assert_never(event)

    def _handle_read(self, event: ReadRequest) -> None:
        role = self._server.role
        if isinstance(role, Leader | Follower):
            role.on_read_request(event.ticket)
        else:
            self._server.reject(event.ticket, RejectReason.NOT_LEADER)

    def _handle_cluster_change(
        self, event: AddMember | RemoveMember | TransferLeadership | ForceSingleMember
    ) -> None:
        server = self._server
        role = server.role
        if isinstance(event, ForceSingleMember):
            if server.disk_failure is not None:
                server.reject(event.ticket, RejectReason.DISK_FAILED, server.disk_failure)
            elif server.receiver.installing or server.is_outdated:
                server.reject(event.ticket, RejectReason.CLUSTER_CHANGE_NOT_PERMITTED)
            else:
                server.become_only_member(event.ticket)
        elif not isinstance(role, Leader):
            server.reject(event.ticket, RejectReason.NOT_LEADER)
        elif isinstance(event, TransferLeadership):
            role.transfer_leadership(event)
        else:
            role.change_members(event)

    def _handle_snapshot(
        self,
        event: SnapshotTaken
        | SnapshotChunkRead
        | SnapshotReadFailed
        | SnapshotChunkStored
        | SnapshotInstalled
        | SnapshotAcceptFailed,
    ) -> None:
        server = self._server
        match event:
            case SnapshotTaken():
                server.snapshot_taken(event.meta)
            case SnapshotChunkRead():
                if isinstance(server.role, Leader):
                    server.role.peers.on_chunk_read(event)
            case SnapshotReadFailed():
                if isinstance(server.role, Leader):
                    server.role.peers.on_chunk_unreadable(event.transfer_id)
            case SnapshotChunkStored():
                server.receiver.on_stored(event.transfer_id, event.next_offset)
            case SnapshotInstalled():
                server.receiver.on_installed(event.meta)
            case SnapshotAcceptFailed():
                server.receiver.on_failed(event.transfer_id)
            case _:
                assert_never(event)

    # --- questions -------------------------------------------------------------------------

    def snapshot_meta(self, index: Index) -> SnapshotMeta:
        """Give what a snapshot of the machine as of `index` stands for.

        Args:
            index: between the newest snapshot's index and the last applied one.
        """
        server = self._server
        if index > server.last_applied:
            raise AssertionError("a snapshot holds what is applied")
        term = server.log.term_at(index)
        assert term is not None, "the index is covered by a newer snapshot"
        return SnapshotMeta(
            index, term, server.configurations.at(index), server.versions.at(index)
        )

    def tickets(self) -> list[object]:
        """Give the tickets of all requests that have no answer yet, but for proposals."""
        return [*self._server.confirmed_reads.tickets(), *self._server.role.tickets()]

    @property
    def role(self) -> Role:
        """What this member is at the moment."""
        return self._server.role.kind

    @property
    def term(self) -> Term:
        """The current term."""
        return self._server.term

    @property
    def leader(self) -> ServerId | None:
        """The leader of the current term, where known."""
        return self._server.leader

    @property
    def commit_index(self) -> Index:
        """The highest index known to be committed."""
        return self._server.commit_index

    @property
    def machine_version(self) -> int:
        """The version of the machine that has applied the last applied entry."""
        return self._server.versions.at(self._server.last_applied)

    @property
    def needed_machine_version(self) -> int:
        """The version that the whole log needs, committed or not; a lower one is no candidate."""
        return self._server.versions.current

    @property
    def lease_until(self) -> float:
        """The `now` before which a read is linearizable at the commit index, asking nobody.

        `-math.inf` if there is no lease, `math.inf` if this member is the leader and only voter.
        """
        role = self._server.role
        return role.lease_until if isinstance(role, Leader) else -math.inf

    @property
    def waits_for_own_disk(self) -> bool:
        """Whether the notice of a write could move the commit index of this leader."""
        role = self._server.role
        return isinstance(role, Leader) and role.peers.somebody_is_ahead

    @property
    def peers(self) -> dict[ServerId, PeerState]:
        """How far each other member is; empty unless this is the leader, who alone knows."""
        role = self._server.role
        return role.peers.states() if isinstance(role, Leader) else {}

    @property
    def last_applied(self) -> Index:
        """The highest index handed out for applying."""
        return self._server.last_applied

    @property
    def last_index(self) -> Index:
        """The index of the last entry in memory, written or not."""
        return self._server.log.last_index

    @property
    def last_written(self) -> Index:
        """The last index known to be durable here."""
        return self._server.written.last_index

    @property
    def committed_and_durable(self) -> tuple[Index, Term] | None:
        """The last entry that is applied and durable here; None if it was compacted away."""
        server = self._server
        index = min(server.last_applied, server.written.last_index)
        term = server.log.term_at(index)
        return None if term is None else (index, term)

    @property
    def configuration(self) -> Configuration:
        """The configuration in effect, committed or not."""
        return self._server.configuration

    @property
    def membership(self) -> MemberKind | None:
        """How this member takes part; None if the configuration does not name this incarnation."""
        return self._server.kind
