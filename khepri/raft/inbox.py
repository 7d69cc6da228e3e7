"""Messages: settling the term once for all of them, then handing each to the role it is for.

Here: the rule of the higher term (Raft §5.1), who may raise ours, what becomes of messages of
other terms. Not here: what a role does with a message of its own term.

Who may raise our term:

- a *leader's* message, whoever sends it: the sender was elected by a majority, and we may be the
  one whose configuration is old. Not if we lead ourselves: were we deposed by a majority we do
  not know, we would notice that ours is silent and step down; were we made the only member by
  force, those left behind must not take us back;
- a vote request that `election.py` does not ignore;
- an answer of a member of our configuration. Strangers, removed members among them, may not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, assert_never

from .candidate import Candidate, PreCandidate
from .election import answer_pre_vote, answer_request_vote
from .follower import Follower
from .leader import Leader
from .messages import (
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    PreVoteRequest,
    PreVoteResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    TimeoutNow,
)
from .types import Index, Term

if TYPE_CHECKING:
    from .events import MessageReceived
    from .messages import Message
    from .server import Server
    from .types import ServerId

_FromLeader: TypeAlias = AppendEntriesRequest | Heartbeat | InstallSnapshotRequest
_Answer: TypeAlias = (
    PreVoteResponse
    | RequestVoteResponse
    | AppendEntriesResponse
    | HeartbeatResponse
    | InstallSnapshotResponse
)


def receive(server: Server, event: MessageReceived) -> None:
    """Handle one message."""
    if not server.is_from_named_incarnation(event):
        return
    sender, message = event.sender, event.message
    match message:
        case AppendEntriesRequest() | Heartbeat() | InstallSnapshotRequest():
            _receive_from_leader(server, sender, message)
        case (
            AppendEntriesResponse()
            | HeartbeatResponse()
            | InstallSnapshotResponse()
            | PreVoteResponse()
            | RequestVoteResponse()
        ):
            _receive_answer(server, sender, message)
        case PreVoteRequest():
            answer_pre_vote(server, sender, message)
        case RequestVoteRequest():
            answer_request_vote(server, sender, message)
        case TimeoutNow():
            if message.term == server.term and isinstance(server.role, Follower):
                server.role.on_timeout_now(sender)
        case ReadIndexRequest() | ReadIndexResponse():
            _receive_read_index(server, sender, message)
        case _:
            assert_never(message)


def _receive_read_index(
    server: Server, sender: ServerId, message: ReadIndexRequest | ReadIndexResponse
) -> None:
    """Read indexes are true in any term: the ids, not the terms, tie answer to question."""
    role = server.role
    if isinstance(message, ReadIndexResponse):
        if isinstance(role, Follower):
            role.on_read_index(message)
    elif isinstance(role, Leader):
        role.on_read_index_request(sender, message.read_id)
    else:
        server.send(sender, ReadIndexResponse(message.read_id, None))


def _receive_from_leader(server: Server, sender: ServerId, message: _FromLeader) -> None:
    """Follow the leader of our term or of a higher one; tell that of a lower one."""
    if message.term < server.term:
        _refuse_deposed_leader(server, sender, message)
        return
    role = server.role
    if isinstance(role, Leader):
        if server.configuration.find(sender) is None:
            return
        # A second leader of our term: stop before anything is written.
        if message.term == server.term:
            raise AssertionError("a term has one leader")
    if message.term > server.term or not isinstance(role, Follower):
        role = server.become_follower(message.term, leader=sender)
    role.hear(sender)
    match message:
        case AppendEntriesRequest():
            role.on_append_entries(message)
        case Heartbeat():
            role.on_heartbeat(message)
        case InstallSnapshotRequest():
            server.receiver.on_request(sender, message)
        case _:
            assert_never(message)


def _refuse_deposed_leader(server: Server, sender: ServerId, message: _FromLeader) -> None:
    """Answer with our term and nothing else."""
    nothing, no_term = Index(0), Term(0)
    match message:
        case AppendEntriesRequest():
            answer: Message = AppendEntriesResponse(
                server.term,
                success=False,
                previous_log_index=message.previous_log_index,
                last_index=nothing,
                last_term=no_term,
            )
        case Heartbeat():
            answer = HeartbeatResponse(server.term, message.round, nothing, nothing, no_term, 0)
        case InstallSnapshotRequest():
            answer = InstallSnapshotResponse(
                server.term, message.transfer_id, next_offset=0, accepted=False
            )
        case _:
            assert_never(message)
    server.send(sender, answer)


def _receive_answer(server: Server, sender: ServerId, message: _Answer) -> None:
    """Let the role that asked have an answer of its own term; make way for a higher one."""
    if message.term > server.term:
        if server.configuration.find(sender) is not None:
            server.become_follower(message.term, leader=None)
        return
    role = server.role
    if isinstance(message, PreVoteResponse):
        # Its term may be lower: who grants a pre-vote does not enter a term for it.
        if isinstance(role, PreCandidate):
            role.on_response(sender, message)
    elif message.term < server.term:
        pass
    elif isinstance(role, Leader):
        _receive_answer_as_leader(role, sender, message)
    elif isinstance(role, Candidate) and isinstance(message, RequestVoteResponse):
        role.on_response(sender, message)


def _receive_answer_as_leader(
    leader: Leader,
    sender: ServerId,
    message: RequestVoteResponse
    | AppendEntriesResponse
    | HeartbeatResponse
    | InstallSnapshotResponse,
) -> None:
    match message:
        case AppendEntriesResponse():
            leader.peers.on_append_entries_response(sender, message)
        case HeartbeatResponse():
            leader.peers.on_heartbeat_response(sender, message)
        case InstallSnapshotResponse():
            leader.peers.on_install_snapshot_response(sender, message)
        case RequestVoteResponse():
            pass  # the election is won already
        case _:
            assert_never(message)
