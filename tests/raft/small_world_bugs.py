"""Mistakes that implementations of Raft make, to be put into the core by a test.

The explorer must find each of them. Each one is a function that changes the core for the time of
a test.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from khepri.raft import inbox, lease
from khepri.raft.core import RaftCore
from khepri.raft.follower import Follower
from khepri.raft.leader import Leader
from khepri.raft.lease import Lease
from khepri.raft.membership import ConfigurationHistory
from khepri.raft.peers import Peers
from khepri.raft.quorum import VoteTally, quorum_size, quorum_value
from khepri.raft.server import Server
from khepri.raft.snapshot_receiver import SnapshotReceiver
from khepri.raft.types import HardState, Index, SnapshotMeta
from khepri.raft.written import Written
from tests.raft.small_world_member import SmallMember

if TYPE_CHECKING:
    import pytest

    from khepri.raft.messages import AppendEntriesRequest, Heartbeat


def _yes(*_: object) -> bool:
    return True


def _no(*_: object) -> bool:
    return False


def votes_are_counted(patch: pytest.MonkeyPatch) -> None:
    """A vote that arrives twice counts twice."""

    def grant(self: Any, voter: object) -> None:
        self.granted.add((voter, len(self.granted)))

    patch.setattr(VoteTally, "grant", grant)


def votes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The vote does not survive a restart, and nobody looks at what is on disk."""
    boot = SmallMember._boot

    def forgetful(self: SmallMember) -> None:
        self.disk.hard_state = HardState(self.disk.hard_state.term, None)
        boot(self)

    patch.setattr(SmallMember, "_boot", forgetful)


def votes_end_with_a_role(patch: pytest.MonkeyPatch) -> None:
    """Who follows somebody in the same term has no vote any more (as in Ra)."""
    become_follower = Server.become_follower

    def forgetful(self: Server, term: Any, leader: Any) -> Follower:
        if term == self.term:
            self.voted_for = None
        return become_follower(self, term, leader)

    patch.setattr(Server, "become_follower", forgetful)


def logs_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A vote is given to a candidate whose log is worse."""
    patch.setattr("khepri.raft.election._log_is_up_to_date", _yes)


def older_terms_are_counted(patch: pytest.MonkeyPatch) -> None:
    """An entry of an older term is committed by counting (Raft figure 8)."""

    def advance(self: Any) -> None:
        self._server.commit_to(self.peers.majority_holds())

    patch.setattr(Leader, "_advance_commit_index", advance)


def leader_counts_itself_early(patch: pytest.MonkeyPatch) -> None:
    """What the leader has in memory counts as if it were on its disk."""

    def holds(self: Peers) -> Index:
        held = [int(peer.match_index) for peer in self.voters] + [self._server.log.last_index]
        return Index(quorum_value(held))

    patch.setattr(Peers, "majority_holds", holds)


def follower_confirms_early(patch: pytest.MonkeyPatch) -> None:
    """Entries are confirmed before they are durable."""

    def confirmed(self: Any, _durable: Any) -> Any:
        return self.validated_index, self._server.log.term_at(self.validated_index)

    patch.setattr(Follower, "_confirmed", confirmed)


def follower_confirms_what_is_not_proven(patch: pytest.MonkeyPatch) -> None:
    """All that is durable is confirmed, whoever it is from, and the leader does not look."""

    def confirmed(self: Any, durable: Any) -> Any:
        return durable, self._server.log.term_at(durable)

    def believe(self: Any, progress: Any, index: Index, _term: Any) -> bool:
        if index > self._server.log.last_index:
            return False
        self.recount |= progress.confirmed(index)
        return True

    patch.setattr(Follower, "_confirmed", confirmed)
    patch.setattr(Peers, "_confirmed", believe)


def old_answers_count(patch: pytest.MonkeyPatch) -> None:
    """An answer to an earlier term of the same leader moves the match index."""
    receive_answer = inbox._receive_answer

    def believe(server: Server, sender: Any, message: Any) -> None:
        role = server.role
        if message.term < server.term and isinstance(role, Leader) and hasattr(message, "success"):
            role.peers.on_append_entries_response(sender, message)
        receive_answer(server, sender, message)

    def confirmed(self: Any, progress: Any, index: Index, _term: Any) -> bool:
        if index > self._server.log.last_index:
            return False
        self.recount |= progress.confirmed(index)
        return True

    patch.setattr(Peers, "_confirmed", confirmed)
    patch.setattr(inbox, "_receive_answer", believe)


def late_entries_cut_the_log(patch: pytest.MonkeyPatch) -> None:
    """Whatever lies behind the entries of a message is cut, though it does not conflict."""

    def on_append_entries(self: Any, request: AppendEntriesRequest) -> None:
        server = self._server
        previous = request.previous_log_index
        if previous < server.commit_index:
            return
        if server.log.term_at(previous) != request.previous_log_term:
            self._refuse(previous, request.previous_log_term)
            return
        if previous < server.log.last_index:
            server.truncate_from(Index(previous + 1))
        if request.entries:
            server.append(request.entries)
        self.reply_due = True
        self.validated_index = Index(previous + len(request.entries))
        server.commit_to(min(request.commit_index, self.validated_index))

    patch.setattr(Follower, "on_append_entries", on_append_entries)


def late_notices_confirm(patch: pytest.MonkeyPatch) -> None:
    """A notice of the disk counts though what it is about was overwritten meanwhile."""

    def confirm(self: Any, sequence: int, index: Index, there: Any, _term: Any) -> bool:
        while self._under_way and self._under_way[0].sequence <= sequence:
            self._under_way.popleft()
        moved = there is not None and index > self.last_index
        if moved:
            self.last_index = index
        return moved

    patch.setattr(Written, "confirm", confirm)


def heartbeats_commit_anything(patch: pytest.MonkeyPatch) -> None:
    """A heartbeat tells how far the leader is, and a follower believes it of its own log."""
    send = Server.send

    def believe(self: Any, heartbeat: Heartbeat) -> None:
        server = self._server
        server.commit_to(min(server.log.last_index, heartbeat.commit_index))

    def tell(self: Server, to: Any, message: Any) -> None:
        if type(message).__name__ == "Heartbeat":
            message = type(message)(message.term, self.commit_index, message.round)
        send(self, to, message)

    patch.setattr(Server, "send", tell)
    patch.setattr(Follower, "on_heartbeat", believe)


def reads_ask_nobody(patch: pytest.MonkeyPatch) -> None:
    """A leader believes that it still leads."""

    def confirm(self: Any) -> None:
        if self._own_term_committed:
            for reads in self._reads.take_all():
                self._confirmed(reads, self._server.commit_index)

    patch.setattr(Leader, "_decide_about_reads", confirm)


def reads_do_not_wait_for_the_first_entry(patch: pytest.MonkeyPatch) -> None:
    """A new leader believes that it knows how far the log is committed."""
    patch.setattr(Leader, "_own_term_committed", property(lambda _: True))


def changes_overlap(patch: pytest.MonkeyPatch) -> None:
    """A change of members begins before the one before it is committed."""
    patch.setattr(Leader, "_may_change_members", property(lambda _: True))


def changes_wait_for_no_own_entry(patch: pytest.MonkeyPatch) -> None:
    """A change of members begins before an entry of the leader's term is committed."""

    def may(self: Any) -> bool:
        return bool(self._server.configurations.index <= self._server.commit_index)

    patch.setattr(Leader, "_may_change_members", property(may))


def changes_are_not_undone(patch: pytest.MonkeyPatch) -> None:
    """A configuration stays in effect though its entry is cut from the log."""
    patch.setattr(ConfigurationHistory, "cut_from", _no)
    patch.setattr(ConfigurationHistory, "add", _add_in_any_order)


def _add_in_any_order(self: Any, index: Index, configuration: Any) -> None:
    self._history.append((index, configuration))
    self._publish()


def newcomers_do_not_count(patch: pytest.MonkeyPatch) -> None:
    """A majority of the configuration before the newest is enough to commit."""

    def holds(self: Peers) -> Index:
        server = self._server
        old = server.configurations.at(server.commit_index).voters
        held = [int(p.match_index) for p in self.all.values() if p.server_id in old]
        if server.server_id in old:
            held.append(server.written.last_index)
        return Index(quorum_value(held))

    patch.setattr(Peers, "majority_holds", holds)


def removed_leader_counts_itself(patch: pytest.MonkeyPatch) -> None:
    """A leader on its way out counts itself for its own removal."""

    def holds(self: Peers) -> Index:
        held = sorted([int(p.match_index) for p in self.voters], reverse=True)
        held = sorted([*held, self._server.written.last_index], reverse=True)
        return Index(held[quorum_size(len(self.voters) + self.counts_itself) - 1])

    patch.setattr(Peers, "majority_holds", holds)


def snapshots_cut_what_follows(patch: pytest.MonkeyPatch) -> None:
    """A snapshot replaces a log that agrees with it, and goes further (Raft figure 13, rule 6)."""

    def covered(self: Any, meta: SnapshotMeta) -> bool:
        if meta.index > self._server.commit_index:
            return False
        self._server.role.on_shown_committed()
        return True

    patch.setattr(SnapshotReceiver, "_is_covered", covered)


def snapshots_have_the_newest_members(patch: pytest.MonkeyPatch) -> None:
    """A snapshot has a configuration that stands behind its index."""
    snapshot_meta = RaftCore.snapshot_meta

    def newest(self: RaftCore, index: Index) -> SnapshotMeta:
        meta = snapshot_meta(self, index)
        return SnapshotMeta(meta.index, meta.term, self.configuration)

    patch.setattr(RaftCore, "snapshot_meta", newest)


def clocks_are_trusted(patch: pytest.MonkeyPatch) -> None:
    """A lease is as long as the promise, as if all clocks went alike."""
    patch.setattr(lease, "CLOCK_RATE_ERROR", 0.0)


def restarts_forget_promises(patch: pytest.MonkeyPatch) -> None:
    """A restarted member helps against a leader that it has heard before."""
    start = RaftCore._start

    def forgetful(self: RaftCore) -> None:
        start(self)
        self._server.heard_at = -math.inf

    patch.setattr(RaftCore, "_start", forgetful)


def leases_outlive_a_transfer(patch: pytest.MonkeyPatch) -> None:
    """A leader that asked another one to campaign trusts its lease."""

    def until(self: Any) -> float:
        return float(self._lease.until) if self._own_term_committed else -math.inf

    patch.setattr(Leader, "lease_until", property(until))


def leases_begin_with_the_answer(patch: pytest.MonkeyPatch) -> None:
    """A lease is counted from when the answers arrive."""

    def answered(_self: Any, progress: Any, _number: int, promise: int) -> None:
        progress.trusted_until = progress._small_world_now + lease.lease_seconds(promise)

    on_response = Peers.on_heartbeat_response

    def arrived(self: Any, sender: Any, response: Any) -> None:
        for progress in self.all.values():
            progress._small_world_now = self._server.now
        on_response(self, sender, response)

    patch.setattr(Lease, "answered", answered)
    patch.setattr(Peers, "on_heartbeat_response", arrived)


def leaders_append_no_first_entry(patch: pytest.MonkeyPatch) -> None:
    """A new leader waits for a proposal before it can commit anything.

    That is safe, as far as these worlds go: it costs the service, not the safety.
    """
    begin = Leader.begin

    def wait(self: Any) -> None:
        if self._server.configurations.index == 0:
            begin(self)

    patch.setattr(Leader, "begin", wait)
