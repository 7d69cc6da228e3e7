"""The role of one who follows: takes the leader's log, confirms what is durable (Raft §5.3).

Here: AppendEntries, heartbeats, asking the leader for read indexes. Not here: votes
(`election.py`), pieces of snapshots (`snapshot_receiver.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from .effects import RejectReason, Send
from .lease import promise_milliseconds
from .messages import (
    NO_ANSWER,
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
)
from .reads import ForwardedReads
from .role import RoleState
from .types import Index, Role

if TYPE_CHECKING:
    from .server import Server
    from .types import ServerId, Term


class Follower(RoleState):
    """What a follower knows beyond the shared state; of one term, volatile.

    Attributes:
        deadline: when to stop waiting for the leader; `math.inf` for a fresh member, which
            waits for ever until somebody talks to it.
        validated_index: up to here the log is proven to be that of this term's leader. What is
            committed is (leader completeness), so invariant: commit_index <= validated_index <=
            log.last_index. Behind it may lie entries of deposed leaders: not confirmed, not
            committed, not cut either until a real conflict shows (Raft figure 2, rule 3).
        reply_due: whether the leader is to be told at the end of the step what is confirmed.
    """

    kind: ClassVar[Role] = Role.FOLLOWER

    def __init__(self, server: Server) -> None:
        """Begin with nothing proven but what is committed."""
        self._server = server
        self._reads = ForwardedReads()
        self.deadline = math.inf
        self.validated_index = server.commit_index
        self.reply_due = False

    def hear(self, leader: ServerId) -> None:
        """Note that the leader of this term has spoken."""
        server = self._server
        if server.leader != leader:
            if server.leader is not None:
                raise AssertionError("a term has one leader")
            server.leader = leader
            server.announce_role()
        server.heard_at = server.now
        self.deadline = server.election_deadline()

    # --- entries ---------------------------------------------------------------------------

    def on_append_entries(self, request: AppendEntriesRequest) -> None:
        """Add what is missing, cut what conflicts, commit what is proven (Raft figure 2)."""
        server = self._server
        if server.receiver.installing:
            return  # the log stands still; the leader sends again
        previous, entries = request.previous_log_index, request.entries
        if previous < server.commit_index:
            # All up to the commit index is held and proven; what it was compacted to matters not.
            entries = entries[server.commit_index - previous :]
            last = max(previous + len(request.entries), server.commit_index)
        elif server.log.term_at(previous) == request.previous_log_term:
            last = previous + len(entries)
        else:
            self._refuse(previous, request.previous_log_term)
            return
        position = server.log.find_conflict(entries)
        if position < len(entries):
            missing = entries[position:]
            first_missing = missing[0].index
            if first_missing <= server.log.last_index:
                if first_missing <= self.validated_index:
                    raise AssertionError("a leader does not contradict itself")
                server.truncate_from(first_missing)
            server.append(missing)  # confirmed when they are durable
        else:
            self.reply_due = True
        self._validated_up_to(Index(last))
        server.commit_to(min(request.commit_index, self.validated_index))

    def _refuse(self, previous: Index, previous_term: Term) -> None:
        """Say that the logs do not agree at `previous`, and where they still can."""
        server = self._server
        hint, hint_term = server.log.last_with_term_at_most(previous, previous_term)
        if hint < server.commit_index:
            hint = server.commit_index
            at_commit = server.log.term_at(hint)
            assert at_commit is not None, "the commit index is held"
            hint_term = at_commit
        assert server.leader is not None, "who is refused has just spoken"
        server.send(
            server.leader,
            AppendEntriesResponse(
                server.term,
                success=False,
                previous_log_index=previous,
                last_index=hint,
                last_term=hint_term,
            ),
        )

    def _validated_up_to(self, index: Index) -> None:
        self.validated_index = max(self.validated_index, index)

    def on_shown_committed(self) -> None:
        """Take the commit index as proven, and confirm what is durable: a snapshot says so."""
        self._validated_up_to(self._server.commit_index)
        self.reply_due = True

    def on_log_written(self) -> None:
        """Confirm what has become durable."""
        self.reply_due = True

    def confirmation_of(self, last: Index) -> Send | None:
        """Give what the leader is to be told when the log is durable up to `last`."""
        leader = self._server.leader
        return None if leader is None else Send(leader, self._confirmation(last))

    def _confirmation(self, durable: Index) -> AppendEntriesResponse:
        index, term = self._confirmed(durable)
        return AppendEntriesResponse(
            self._server.term,
            success=True,
            previous_log_index=Index(0),
            last_index=index,
            last_term=term,
        )

    def _confirmed(self, durable: Index) -> tuple[Index, Term]:
        """Give the last entry that is durable *and* proven to be the leader's, and its term."""
        index = min(durable, self.validated_index)
        term = self._server.log.term_at(index)
        assert term is not None, "what is confirmed is held"
        return index, term

    # --- heartbeats ------------------------------------------------------------------------

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Learn the commit index; tell the leader that it still leads."""
        server = self._server
        if not server.receiver.installing:
            server.commit_to(min(heartbeat.commit_index, self.validated_index))
        if heartbeat.round == NO_ANSWER:
            return
        assert server.leader is not None, "it has just spoken"
        index, term = self._confirmed(server.written.last_index)
        promise = promise_milliseconds(server.settings)
        answer = HeartbeatResponse(
            server.term,
            heartbeat.round,
            self.validated_index,
            index,
            term,
            promise,
            server.machine_version,
        )
        server.send(server.leader, answer)
        overdue = server.now - server.settings.heartbeat_interval_seconds
        read_id = self._reads.to_ask_again(overdue, server.now)
        if read_id is not None:
            server.send(server.leader, ReadIndexRequest(read_id))

    def on_timeout_now(self, sender: ServerId) -> None:
        """Campaign at once, without pre-vote: the leader of this very term wants it."""
        if sender == self._server.leader and self._server.may_campaign:
            self._server.become_candidate(leadership_transfer=True)

    # --- reads -----------------------------------------------------------------------------

    def on_read_request(self, ticket: object) -> None:
        """Ask the leader at the end of the step."""
        if self._server.leader is None:
            self._server.reject(ticket, RejectReason.NOT_LEADER)
        elif self._reads.waiting >= self._server.settings.max_waiting_reads:
            self._server.reject(ticket, RejectReason.OVERLOADED)
        else:
            self._reads.gather(ticket)

    def on_read_index(self, response: ReadIndexResponse) -> None:
        """Take the leader's answer; a second one to the same question finds nobody."""
        tickets = self._reads.take(response.read_id)
        if response.index is not None:
            self._server.confirmed_reads.add(response.index, tickets)
            return
        for ticket in tickets:
            self._server.reject(ticket, RejectReason.NOT_LEADER)

    # --- the end of a step, of patience, of the role ---------------------------------------

    def speak(self) -> None:
        """Send what this step calls for."""
        server = self._server
        if server.leader is None:
            return
        if self.reply_due:
            self.reply_due = False
            server.send(server.leader, self._confirmation(server.written.last_index))
        if self._reads.gathering:
            read_id = server.next_id()
            self._reads.ask(read_id, server.now)
            server.send(server.leader, ReadIndexRequest(read_id))

    def on_deadline(self) -> None:
        """Stop believing in the leader; campaign if this member may."""
        server = self._server
        if server.may_campaign:
            server.become_pre_candidate()
        elif server.leader is not None:
            server.become_follower(server.term, leader=None)
        else:
            self.deadline = server.election_deadline()

    def tickets(self) -> list[object]:
        """Give those of the reads that have no answer yet."""
        return self._reads.tickets()

    def leave(self) -> None:
        """Refuse the reads that wait for the leader."""
        for ticket in self._reads.take_all():
            self._server.reject(ticket, RejectReason.NOT_LEADER)
