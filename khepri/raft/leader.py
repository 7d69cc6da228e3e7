"""The role of the leader: appends, commits, confirms reads, changes the members, hands over.

Here: what the leader does with requests, and what it concludes at the end of a step.
Not here: what its peers' answers teach (`peers.py`), messages to peers (`replication.py`,
`snapshot_sender.py`), which membership change is possible (`membership.py`). It is long, since
requests, reads, changes and handing over look at the same few fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .effects import Completed, RejectReason
from .events import AddMember, Propose, RemoveMember, TransferLeadership
from .lease import Lease
from .machine_versions import encode_version
from .membership import plan_addition, plan_promotion, plan_removal
from .messages import ReadIndexResponse, TimeoutNow
from .peers import Peers
from .reads import LeaderReads
from .replication import Replication
from .reserve import Reserve
from .role import RoleState
from .snapshot_sender import SnapshotSender
from .transfer import Transfer, best_target, refusal
from .types import Configuration, Entry, EntryKind, Index, Member, MemberKind, Role, ServerId

if TYPE_CHECKING:
    from .reads import ReadRound
    from .server import Server


@dataclass(frozen=True, slots=True)
class _Change:
    """A membership change that somebody waits for."""

    index: Index
    ticket: object


class Leader(RoleState):
    """What a leader knows beyond the shared state; of one term, volatile, leader only.

    Attributes:
        deadline: when the next heartbeat is due; `math.inf` without peers.
        peers: the others, and what a majority of them has.
    """

    kind: ClassVar[Role] = Role.LEADER

    def __init__(self, server: Server) -> None:
        """Know nothing about the peers yet; `begin` starts the work."""
        self._server = server
        self._term = server.term
        self._snapshots = SnapshotSender(server)
        self._replication = Replication(server, self._snapshots)
        self._reads = LeaderReads()
        self._transfer: Transfer | None = None
        self._change: _Change | None = None
        self._timeout_now_sent = False
        self._round = 0
        self._first_own_index = Index(server.log.last_index + 1)
        self._unapplied_bytes = _size_of_unapplied(server)
        self._lease = Lease(server.settings)
        self.peers = Peers(server, self._snapshots, self._lease)
        self._reserve = Reserve(server, self.peers)
        self.deadline = server.now if self.peers.all else math.inf

    def begin(self) -> None:
        """Append the first entry of the term (Raft §8); it carries what went before with it.

        In a log without any configuration it is the initial configuration, so that newcomers
        find it there, and otherwise a no-op.
        """
        configurations = self._server.configurations
        if configurations.index == 0:
            self._append(EntryKind.MEMBERSHIP, configurations.current.encode())
        else:
            self._append(EntryKind.NOOP, b"")

    def begin_alone(self, ticket: object) -> None:
        """Append as the first entry of the term a configuration with this member only."""
        server = self._server
        alone = Configuration((Member(server.server_id, server.uid, MemberKind.VOTER),))
        self._append(EntryKind.MEMBERSHIP, alone.encode())
        self._change = _Change(server.log.last_index, ticket)

    def configuration_changed(self) -> None:
        """Follow and count the members of the configuration now in effect."""
        self.peers.configuration_changed()
        self._reserve.configuration_changed()
        if self.peers.all and self.deadline == math.inf:
            self.deadline = self._server.now

    # --- requests --------------------------------------------------------------------------

    def propose(self, event: Propose) -> None:
        """Append an entry, or say why not."""
        reason = self._not_now()
        size_bytes = len(event.data)
        limit = self._server.settings.max_uncommitted_bytes
        if reason is None and 0 < self._unapplied_bytes > limit - size_bytes:
            reason = RejectReason.OVERLOADED
        if reason is not None:
            self._server.reject(event.ticket, reason, self._server.disk_failure or "")
            return
        self._unapplied_bytes += size_bytes
        self._append(EntryKind.COMMANDS, event.data)
        if event.is_awaited_elsewhere:
            self._reserve.await_elsewhere(self._server.log.last_index)

    def _not_now(self) -> RejectReason | None:
        """Give why nothing at all can be appended at the moment, if so."""
        if self._server.disk_failure is not None:
            return RejectReason.DISK_FAILED
        return None if self._transfer is None else RejectReason.TRANSFER_IN_PROGRESS

    def _append(self, kind: EntryKind, data: bytes) -> None:
        server = self._server
        entry = Entry(Index(server.log.last_index + 1), server.term, kind, data)
        server.append((entry,))

    def change_members(self, event: AddMember | RemoveMember) -> None:
        """Append another configuration, or say why not.

        One change at a time, and none before an entry of this term is committed: without the
        second condition two changes of different leaders can have majorities that do not meet.
        """
        planned: Configuration | RejectReason | None = self._not_now()
        if planned is None and not self._may_change_members:
            planned = RejectReason.CLUSTER_CHANGE_NOT_PERMITTED
        if planned is None:
            planned = _plan(self._server.configuration, event)
            if isinstance(planned, Configuration) and not self.peers.can_do_with(planned):
                planned = RejectReason.NO_MAJORITY_LEFT
        if isinstance(planned, RejectReason):
            self._server.reject(event.ticket, planned, self._server.disk_failure or "")
            return
        self._append(EntryKind.MEMBERSHIP, planned.encode())
        self._change = _Change(self._server.log.last_index, event.ticket)

    @property
    def _own_term_committed(self) -> bool:
        return self._server.commit_index >= self._first_own_index

    @property
    def _may_change_members(self) -> bool:
        server = self._server
        return self._own_term_committed and server.configurations.index <= server.commit_index

    @property
    def lease_until(self) -> float:
        """Until when a read is linearizable at the commit index without asking anybody.

        Before an own entry is committed the commit index may be too low (Raft §8). Whoever was
        told to campaign does so by every promise, and the message may arrive at any time later.
        """
        if self._timeout_now_sent or self._server.commit_index < self._first_own_index:
            return -math.inf
        return self._lease.until

    def on_read_request(self, ticket: object) -> None:
        """Let the lease or the next round of heartbeats confirm a read made here."""
        server = self._server
        if self._is_stuck:
            server.reject(ticket, RejectReason.DISK_FAILED, server.disk_failure or "")
        elif len(self._reads.gathering.tickets) >= server.settings.max_waiting_reads:
            server.reject(ticket, RejectReason.OVERLOADED)
        else:
            self._reads.gathering.tickets.append(ticket)

    @property
    def _is_stuck(self) -> bool:
        """Whether no read can be confirmed before the disk takes the first entry of the term."""
        return self._server.disk_failure is not None and not self._own_term_committed

    def on_read_index_request(self, sender: ServerId, read_id: int) -> None:
        """Let the lease or the next round of heartbeats confirm a read made elsewhere.

        Of those that wait, only the sender's newest is answered: the older ones with it.
        """
        if self._is_stuck:
            self._server.send(sender, ReadIndexResponse(read_id, None))
        else:
            remote = self._reads.gathering.remote
            remote[sender] = max(read_id, remote.get(sender, read_id))

    def transfer_leadership(self, event: TransferLeadership) -> None:
        """Begin to hand over, or say why not."""
        server = self._server
        target = self._choose_target(event.target)
        if isinstance(target, RejectReason):
            server.reject(event.ticket, target)
            return
        timeout_seconds = server.settings.leadership_transfer_timeout_seconds
        self._transfer = Transfer(target, event.ticket, server.now + timeout_seconds)
        self._reserve.await_elsewhere(server.log.last_index)

    def _choose_target(self, wanted: ServerId | None) -> ServerId | RejectReason:
        """Give who is to lead, or why nobody can."""
        if self._transfer is not None:
            return RejectReason.TRANSFER_IN_PROGRESS
        target = wanted or best_target(self.peers.voters, self.peers.heard_since)
        if target is None:
            return RejectReason.NOT_MEMBER
        return refusal(self._server.configuration, self._server.server_id, target) or target

    # --- the end of a step -----------------------------------------------------------------

    def on_log_written(self) -> None:
        """Count the own disk like that of any voter."""
        self.peers.recount = True

    def on_applied(self, entries: tuple[Entry, ...]) -> None:
        """Make room for proposals."""
        self._unapplied_bytes -= _size_of_commands(entries)

    def decide(self) -> None:
        """Commit what a majority has, then what follows from that."""
        if self.peers.recount:
            self.peers.recount = False
            self._advance_commit_index()
        if self.peers.promotable:
            self._promote()
        if self._server.machine_version > self._server.versions.current:
            self._raise_machine_version()
        if self._reads.are_there:
            self._decide_about_reads()

    def _decide_about_reads(self) -> None:
        """Let reads go by the lease, or by a round of heartbeats, or begin one for them."""
        reads = self._reads
        if self._server.now < self.lease_until:
            for confirmed in reads.take_all():
                self._confirmed(confirmed, self._server.commit_index)
            return
        if reads.under_way is not None:
            self._confirm_reads()
        if reads.under_way is None and reads.gathering and self._own_term_committed:
            self._start_read_round()

    def _advance_commit_index(self) -> None:
        """Commit up to where a majority of the voters has the log on disk (Raft §5.4.2).

        Only an entry of this term is committed by counting; earlier ones with it.
        """
        server = self._server
        index = self.peers.majority_holds()
        if index > server.commit_index and server.log.term_at(index) == server.term:
            server.commit_to(index)
            if self._change is not None and self._change.index <= index:
                server.effects.append(Completed(self._change.ticket, index))
                self._change = None

    def _promote(self) -> None:
        """Make a promotable member a voter that has caught up (dissertation §4.2.1)."""
        server = self._server
        if not self._may_change_members or self._not_now() is not None:
            return
        enough = max(
            server.configurations.index,
            server.commit_index - server.settings.promotion_lag_entries,
        )
        for progress in self.peers.promotable:
            if (
                progress.match_index >= enough
                and progress.last_contact >= self.peers.heard_since
                and progress.knows(server.versions.current)
            ):
                planned = plan_promotion(server.configuration, progress.server_id)
                self._append(EntryKind.MEMBERSHIP, planned.encode())
                return

    def _raise_machine_version(self) -> None:
        """Go over to the highest version of the machine that all members know (Ra §4.4)."""
        server = self._server
        is_settled = self._own_term_committed and server.versions.index <= server.commit_index
        if not is_settled or self._not_now() is not None:
            return
        version = self.peers.lowest_machine_version()
        if version > server.versions.current:
            self._append(EntryKind.NOOP, encode_version(version))

    def _start_read_round(self) -> None:
        """Ask the voters whether we still lead, on behalf of all reads that wait."""
        self._reads.start_round(self._round + 1, self._server.commit_index)
        if self.peers.voters:
            self._send_heartbeats()
        else:
            self._round += 1
            self._confirm_reads()

    def _confirm_reads(self) -> None:
        """Let the reads go whose round a majority has answered."""
        confirmed = self._reads.take_confirmed(self.peers.majority_answered(self._round))
        if confirmed is not None:
            self._confirmed(confirmed, confirmed.index)

    def _confirmed(self, reads: ReadRound, index: Index) -> None:
        """Let reads go that are linearizable at `index`."""
        server = self._server
        if reads.tickets:
            server.confirmed_reads.add(index, reads.tickets)
        if reads.remote:
            self._reserve.await_elsewhere(index)
        for server_id, read_id in reads.remote.items():
            server.send(server_id, ReadIndexResponse(read_id, index))

    def speak(self) -> None:
        """Send the peers what they lack; then make way if that is what was wanted."""
        if self.peers.all:
            resting = self._reserve.resting()
            for progress in self.peers.all.values():
                if progress not in resting:
                    self._replication.advance(progress)
            self.speaks_at = self._reserve.deadline
            if self._transfer is not None:
                self._ask_target_to_campaign(self._transfer)
        if not self.peers.counts_itself and self._may_change_members:
            self._hand_over()  # our removal is committed

    # --- heartbeats and other things that are due ------------------------------------------

    def on_deadline(self) -> None:
        """Send heartbeats, unless nobody answers them any more."""
        server = self._server
        if not self.peers.majority_heard():
            server.become_follower(server.term, leader=None)
            return
        self._tick_transfer()
        for progress in self.peers.all.values():
            self._snapshots.tick(progress)
        self.peers.follow_out()
        self._send_heartbeats()
        # Not wherever heartbeats are sent: reads that come all the time would put it off for ever.
        interval_seconds = server.settings.heartbeat_interval_seconds
        self.deadline = server.now + interval_seconds if self.peers.all else math.inf

    def _send_heartbeats(self) -> None:
        """Begin another round."""
        self._round += 1
        self._lease.round_sent(self._round, self._server.now)
        for progress in self.peers.all.values():
            self._replication.send_heartbeat(progress, self._round)

    def greet(self, peer: ServerId) -> None:
        """Make ourselves known at once to a peer that wants an election."""
        progress = self.peers.all.get(peer)
        if progress is not None:
            self._replication.send_heartbeat(progress, max(self._round, 1))

    # --- making way ------------------------------------------------------------------------

    def _ask_target_to_campaign(self, transfer: Transfer) -> None:
        """Tell the target to take over once it has confirmed everything."""
        progress = self.peers.all.get(transfer.target)
        if (
            progress is not None
            and not transfer.timeout_sent
            and progress.match_index == self._server.log.last_index
        ):
            transfer.timeout_sent = transfer.was_told = self._timeout_now_sent = True
            self._server.send(transfer.target, TimeoutNow(self._server.term))

    def _tick_transfer(self) -> None:
        transfer = self._transfer
        if transfer is None:
            return
        transfer.timeout_sent = False  # said again, should it have been lost
        if self._server.now >= transfer.deadline:
            self._transfer = None
            self._server.reject(transfer.ticket, RejectReason.TRANSFER_TIMED_OUT)

    def on_disk_failed(self) -> None:
        """Hand over to a voter whose disk works; alone, go on for the sake of the reads."""
        if self.peers.voters:
            self._hand_over()
        elif self._is_stuck:
            self._refuse_reads(RejectReason.DISK_FAILED, self._server.disk_failure or "")

    def _hand_over(self) -> None:
        """Have the best other voter campaign, and step down without waiting for it."""
        server = self._server
        target = best_target(self.peers.voters, self.peers.heard_since)
        if target is not None:
            server.send(target, TimeoutNow(server.term))
        server.become_follower(server.term, leader=None)

    def tickets(self) -> list[object]:
        """Give those of the requests that have no answer yet."""
        waiting = self._reads.tickets()
        return waiting + [it.ticket for it in (self._change, self._transfer) if it is not None]

    def leave(self) -> None:
        """Refuse what waits; let the readers of snapshots be closed."""
        server = self._server
        for progress in self.peers.all.values():
            self._snapshots.end(progress)
        self._refuse_reads(RejectReason.NOT_LEADER)
        if self._change is not None:
            server.reject(self._change.ticket, RejectReason.LEADERSHIP_LOST)
        if self._transfer is not None:
            # Another one leads a later term only if somebody campaigned: the target, told by us.
            if self._transfer.was_told and server.term > self._term:
                server.effects.append(Completed(self._transfer.ticket, server.commit_index))
            else:
                server.reject(self._transfer.ticket, RejectReason.LEADERSHIP_LOST)

    def _refuse_reads(self, reason: RejectReason, detail: str = "") -> None:
        server = self._server
        for reads in self._reads.take_all():
            for ticket in reads.tickets:
                server.reject(ticket, reason, detail)
            for server_id, read_id in reads.remote.items():
                server.send(server_id, ReadIndexResponse(read_id, None))


def _plan(current: Configuration, event: AddMember | RemoveMember) -> Configuration | RejectReason:
    match event:
        case AddMember():
            return plan_addition(current, event.member)
        case RemoveMember():
            return plan_removal(current, event.server_id)


def _size_of_unapplied(server: Server) -> int:
    """Give how much data waits to be applied: what earlier leaders left behind counts too."""
    return _size_of_commands(server.log.between(server.last_applied + 1, server.log.last_index))


def _size_of_commands(entries: tuple[Entry, ...]) -> int:
    """Give how much data the entries of kind COMMANDS hold: proposals alone are limited."""
    return sum([len(entry.data) for entry in entries if entry.kind is EntryKind.COMMANDS])
