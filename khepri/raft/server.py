"""The state of one member (Raft figure 2), and the only places where its role changes.

Here: every field with who may rely on it and for how long; `become_follower`,
`become_pre_candidate`, `become_candidate`, `become_leader`; what changes log, commit index and
configuration together. Not here: what a role does with a message (`follower.py`, `candidate.py`,
`leader.py`), the order of a step (`core.py`). It is long, since each change of term, role, log or
configuration has to leave all these fields true together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from .candidate import Candidate, PreCandidate
from .effects import (
    ConfigurationChanged,
    DiscardSnapshot,
    Rejected,
    RejectReason,
    RoleChanged,
    Send,
)
from .follower import Follower
from .leader import Leader
from .log_view import LogView
from .machine_versions import VersionHistory, decode_version
from .membership import ConfigurationHistory, kind_of
from .messages import AppendEntriesRequest, Heartbeat, InstallSnapshotRequest
from .reads import ConfirmedReads
from .snapshot_receiver import SnapshotReceiver
from .types import Configuration, EntryKind, Index, MemberKind, SnapshotMeta, Term
from .written import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .effects import Effect
    from .events import MessageReceived
    from .messages import Message
    from .progress import Progress
    from .settings import RaftSettings
    from .types import Entry, HardState, Member, ServerId

AnyRole: TypeAlias = Follower | PreCandidate | Candidate | Leader
"""The closed set of roles."""

_FROM_A_LEADER = (AppendEntriesRequest, Heartbeat, InstallSnapshotRequest)


class Server:
    """What all roles share.

    Attributes:
        server_id: who this member is; never changes.
        uid: its incarnation; never changes.
        settings: the numbers.
        random: gives floats in [0, 1).
        now: the time of this step.
        effects: what this step wants done, in order.

        term: *persistent.* The latest term seen; only grows.
        voted_for: *persistent.* Who got the vote in `term`; never another one, nor None again,
            in the same term.
        hard_state_changed: whether the two differ from what the shell was last told to persist.
        log: *persistent* up to `written.last_index`. Invariant: its last term <= `term`.
        written: how far it is durable.
        snapshot: *persistent.* What the newest snapshot stands for.

        commit_index: *volatile.* The highest index known to be committed; only grows.
            Invariant: log.base_index <= last_applied <= commit_index <= log.last_index.
        last_applied: *volatile.* The highest index handed out for applying; only grows.
        configurations: *volatile*, found in snapshot and log. Those in effect since the snapshot.
        versions: *volatile*, likewise. Those of the machine.
        machine_version: the highest version of the machine that this member knows.
        kind: *volatile.* How this member takes part in the one in effect; None if it does not.
        leader: *volatile.* The leader of `term`, where known.
        heard_at: *volatile.* When a leader was heard last, in whatever role and term; only grows.
            What it promises is not over when the role or the term is; a restart counts as
            hearing one.
        disk_failure: *volatile.* Why the log cannot be written; None if it can.
        receiver: *volatile.* The snapshot that is coming in.
        confirmed_reads: *volatile.* Reads that only wait for being applied here.
        role: *volatile.* The role and its own state.
    """

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
        machine_version: int,
    ) -> None:
        """Start as a follower with what is on disk; see `RaftCore`."""
        self.server_id = server_id
        self.uid = uid
        self.settings = settings
        self.machine_version = machine_version
        self.random = random
        self.now = 0.0
        self.effects: list[Effect] = []
        self._last_id = int(random() * 2**52)

        self.term = hard_state.term
        self.voted_for = hard_state.voted_for
        self.hard_state_changed = False
        self.snapshot = snapshot
        base = SnapshotMeta(Index(0), Term(0), configuration) if snapshot is None else snapshot
        kept = _entries_after(base, entries)
        self.log = LogView(base.index, base.term, kept)
        self.written = Written(self.log.last_index)
        if self.log.last_term > self.term:
            raise AssertionError("the term is durable before its entries are")

        self.commit_index = base.index
        self.last_applied = base.index
        self.configurations = ConfigurationHistory(base.index, base.configuration)
        self.versions = VersionHistory(base.index, base.machine_version)
        for entry in kept:
            if entry.kind == EntryKind.MEMBERSHIP:
                self.configurations.add(entry.index, Configuration.decode(entry.data))
            elif entry.kind == EntryKind.NOOP and entry.data:
                self._raise_version(entry)
        self.kind = kind_of(self.configurations.current, server_id, uid)
        self.leader: ServerId | None = None
        self.heard_at = -math.inf
        self.disk_failure: str | None = None
        self.receiver = SnapshotReceiver(self)
        self.confirmed_reads = ConfirmedReads()
        self.role: AnyRole = Follower(self)

    # --- questions -------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The configuration in effect."""
        return self.configurations.current

    @property
    def is_fresh(self) -> bool:
        """Whether this member has never taken part in anything."""
        return self.term == 0 and self.log.last_index == 0

    @property
    def is_only_voter(self) -> bool:
        """Whether this member alone is a majority."""
        return self.kind is MemberKind.VOTER and len(self.configuration.voters) == 1

    @property
    def hears_leader(self) -> bool:
        """Whether this member has promised a leader to help nobody against it, itself included.

        Leases rest on this promise (`lease.py`), so it is kept in any role and any term.
        """
        if isinstance(self.role, Leader):
            return True
        return self.now - self.heard_at < self.settings.election_timeout_min_seconds

    @property
    def may_campaign(self) -> bool:
        """Whether this member may try to become leader.

        Not as a non-voter or a stranger, not without a disk that could take the first entry, not
        while a snapshot is put in place of a log that lacks committed entries, and not behind a
        version of the machine that this member does not know. A voter whose
        removal is in its log, but not known to be committed, still may: nobody else can win while
        its log is the longest (dissertation §4.2.2).
        """
        return (
            (self.kind is MemberKind.VOTER or self._is_voter_until_commit())
            and self.disk_failure is None
            and not self.receiver.installing
            and not self.is_outdated
        )

    @property
    def is_outdated(self) -> bool:
        """Whether the log needs a version of the machine that this member does not know."""
        return self.versions.current > self.machine_version

    @property
    def applicable_index(self) -> Index:
        """The highest committed index that this member's machine can apply."""
        if self.is_outdated:
            first_above = self.versions.first_above(self.machine_version)
            assert first_above is not None, "the current one is above"
            return min(self.commit_index, Index(first_above - 1))
        return self.commit_index

    def is_from_named_incarnation(self, event: MessageReceived) -> bool:
        """Tell whether a message may count: see `MessageReceived.sender_uid`."""
        if event.sender_uid is None:
            return True
        named: Member | Progress | None = self.configuration.find(event.sender)
        if named is None and isinstance(self.role, Leader):
            named = self.role.peers.all.get(event.sender)  # removed, and still to be told
        return (
            named is None
            or named.uid == event.sender_uid
            or isinstance(event.message, _FROM_A_LEADER)
        )

    def _is_voter_until_commit(self) -> bool:
        history = self.configurations
        return (
            history.index > self.commit_index
            and kind_of(history.at(self.commit_index), self.server_id, self.uid)
            is MemberKind.VOTER
        )

    def election_deadline(self) -> float:
        """Give a random time by which a leader must have been heard (Raft §5.2)."""
        shortest = self.settings.election_timeout_min_seconds
        longest = self.settings.election_timeout_max_seconds
        return self.now + shortest + self.random() * (longest - shortest)

    def next_id(self) -> int:
        """Give a number not given before; the start is random, so that incarnations differ."""
        self._last_id += 1
        return self._last_id

    # --- saying things ---------------------------------------------------------------------

    def send(self, to: ServerId, message: Message) -> None:
        """Have a message sent."""
        self.effects.append(Send(to, message))

    def reject(self, ticket: object, reason: RejectReason, detail: str = "") -> None:
        """Have a request refused."""
        self.effects.append(Rejected(ticket, reason, self.leader, detail))

    def announce_role(self) -> None:
        """Have role, term and leader made known."""
        self.effects.append(RoleChanged(self.role.kind, self.term, self.leader))

    # --- term, vote, role ------------------------------------------------------------------

    def vote_for(self, candidate: ServerId) -> None:
        """Give the vote of this term; it is durable before anything said later in this step."""
        if self.voted_for not in (None, candidate):
            raise AssertionError("one vote per term")
        if self.voted_for is None:
            self.voted_for = candidate
            self.hard_state_changed = True

    def _advance_term(self, term: Term) -> None:
        """Enter a higher term: nobody has this member's vote in it, nobody is known to lead."""
        if term <= self.term:
            raise AssertionError("terms only grow")
        self.term = term
        self.voted_for = None
        self.hard_state_changed = True
        self.receiver.abandon()

    def become_follower(self, term: Term, leader: ServerId | None) -> Follower:
        """Follow `leader`, or wait for one to appear, in `term` (Raft §5.1)."""
        ended = self.role
        # A higher term alone must not put off an election that is due.
        keeps_waiting = isinstance(ended, Follower) and leader is None and term > self.term
        self.leader = leader
        if term > self.term:
            self._advance_term(term)
        self.role = follower = Follower(self)
        follower.deadline = ended.deadline if keeps_waiting else self.election_deadline()
        ended.leave()
        self.announce_role()
        return follower

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won; the term stays (dissertation §9.6)."""
        assert self.may_campaign, "only who may lead campaigns"
        assert not isinstance(self.role, Leader), "a leader has nothing to win"
        self.leader = None
        self.role.leave()
        self.role = pre_candidate = PreCandidate(self)
        self.announce_role()
        pre_candidate.begin()

    def become_candidate(self, *, leadership_transfer: bool = False) -> None:
        """Stand for election in the next term (Raft §5.2)."""
        assert self.may_campaign, "only who may lead campaigns"
        assert not isinstance(self.role, Leader), "a leader has nothing to win"
        self.leader = None
        self.role.leave()
        self._advance_term(Term(self.term + 1))
        self.vote_for(self.server_id)
        self.role = candidate = Candidate(self, leadership_transfer=leadership_transfer)
        self.announce_role()
        candidate.begin()

    def become_leader(self) -> None:
        """Lead this term."""
        self._lead().begin()

    def become_only_member(self, ticket: object) -> None:
        """Lead the next term alone, whatever the others say: the last resort.

        It is an election that a configuration wins which nobody agreed to.
        """
        if isinstance(self.role, Leader):
            self.become_follower(self.term, leader=None)
        self.role.leave()
        self._advance_term(Term(self.term + 1))
        self.vote_for(self.server_id)
        self.role = Candidate(self, leadership_transfer=False)
        self._lead().begin_alone(ticket)

    def _lead(self) -> Leader:
        assert isinstance(self.role, Candidate), "only a candidate wins"
        if self.voted_for != self.server_id:
            raise AssertionError("who wins has voted for itself")
        self.leader = self.server_id
        self.role.leave()
        self.role = leader = Leader(self)
        self.announce_role()
        return leader

    # --- log, commit index, configuration --------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries to the log; a configuration among them is in effect at once."""
        self.log.append(entries)
        for entry in entries:
            if entry.kind is EntryKind.MEMBERSHIP:
                self.configurations.add(entry.index, Configuration.decode(entry.data))
                self._configuration_changed()
            elif entry.kind is EntryKind.NOOP and entry.data:
                self._raise_version(entry)

    def _raise_version(self, entry: Entry) -> None:
        version = decode_version(entry.data)
        if version is not None and version > self.versions.current:
            self.versions.add(entry.index, version)

    def truncate_from(self, index: Index) -> None:
        """Cut a suffix that conflicts with the leader's log; a configuration in it is undone."""
        if index <= self.commit_index:
            raise AssertionError("what is committed stays")
        self.log.truncate_from(index)
        self.written.cut_from(index)
        self.versions.cut_from(index)
        if self.configurations.cut_from(index):
            self._configuration_changed()

    def commit_to(self, index: Index) -> None:
        """Note that all up to `index` is committed; a lower index than known is old news."""
        if index > self.commit_index:
            if index > self.log.last_index:
                raise AssertionError("what is committed here is held here")
            self.commit_index = index

    def remember_committed(self, index: Index, term: Term) -> None:
        """Take, before the first step, what was known to be committed before a restart.

        Only if it holds that very entry: then it is, up to there, the log that was committed
        (log matching). Otherwise the entry did not reach the disk, and a leader will tell.
        """
        if index > self.commit_index and self.log.term_at(index) == term:
            self.commit_index = index
            self.role = Follower(self)

    def remember_all_committed(self) -> None:
        """Take, before the first step, all that is held as committed: nobody else has a say.

        As leader it would commit all of it with its first entry. But that has to be written, and
        what was acknowledged must be seen even if the disk takes nothing more.
        """
        last = self.log.last_index
        term = self.log.term_at(last)
        if term is not None:
            self.remember_committed(last, term)

    def snapshot_taken(self, meta: SnapshotMeta) -> None:
        """Drop what a durable snapshot of our own covers, unless a newer one is here already."""
        if self.snapshot is not None and meta.index <= self.snapshot.index:
            return
        if meta.index > self.last_applied:
            raise AssertionError("a snapshot holds what is applied")
        self.snapshot = meta
        self.written.raise_to(meta.index)
        settings = self.settings
        peers = self.role.peers if isinstance(self.role, Leader) else None
        self.log.compact(
            meta.index,
            settings.trailing_entries,
            settings.trailing_bytes,
            first_needed=meta.index + 1 if peers is None else peers.first_needed(),
            max_needed_bytes=0 if peers is None else peers.most_needed_bytes(),
        )
        self.configurations.forget_before(meta.index)
        self.versions.forget_before(meta.index)

    def snapshot_installed(self, meta: SnapshotMeta) -> None:
        """Put a snapshot in place of the whole log."""
        if meta.index <= self.commit_index:
            raise AssertionError("a snapshot brings news")
        self.snapshot = meta
        self.log.reset(meta.index, meta.term)
        self.written.reset(meta.index)
        self.commit_index = self.last_applied = meta.index
        self.configurations = ConfigurationHistory(meta.index, meta.configuration)
        self.versions = VersionHistory(meta.index, meta.machine_version)
        self._configuration_changed()

    def discard_snapshot(self, transfer_id: int) -> None:
        """Have a partial snapshot thrown away."""
        self.effects.append(DiscardSnapshot(transfer_id))

    def _configuration_changed(self) -> None:
        self.kind = kind_of(self.configuration, self.server_id, self.uid)
        self.effects.append(ConfigurationChanged(self.configuration, self.configurations.index))
        if isinstance(self.role, Leader):
            self.role.configuration_changed()


def _entries_after(base: SnapshotMeta, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Give the entries that follow a snapshot.

    A crash between installing a snapshot and cutting the log leaves entries of the log that the
    snapshot replaced. They give themselves away by a term below the snapshot's.
    """
    skip = 0
    while skip < len(entries) and entries[skip].index <= base.index:
        skip += 1
    kept = entries[skip:] if skip else entries
    return () if kept and kept[0].term < base.term else kept
