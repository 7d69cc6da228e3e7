"""Who gets a vote: the answers to `PreVoteRequest` and `RequestVoteRequest`, the same in any role.

Here: the rules of granting (Raft §5.4.1, §6; dissertation §4.2.3, §9.6). Not here: asking and
counting (`candidate.py`).

Own membership plays no part in answering: a member may be a voter in a configuration that has not
reached it yet, and without its answer there might be no leader to bring that configuration. Its
vote counts only if the *candidate's* configuration says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .follower import Follower
from .leader import Leader
from .messages import (
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)

if TYPE_CHECKING:
    from .server import Server
    from .types import ServerId


def answer_pre_vote(server: Server, sender: ServerId, request: PreVoteRequest) -> None:
    """Say whether `sender` would get the vote; nothing changes here.

    Not the term either: a refusal carries our own term, which the asker adopts if it is higher,
    so terms spread in that direction and no round is in vain for ever.
    """
    granted = (
        request.next_term > server.term
        and _log_is_good_enough(server, sender, request)
        and not server.hears_leader
    )
    server.send(sender, PreVoteResponse(server.term, request.round_id, granted))
    if isinstance(server.role, Leader):
        server.role.greet(sender)
    elif not granted:
        _campaign_soon(server, request)


def _campaign_soon(server: Server, request: PreVoteRequest) -> None:
    """Do not wait much longer, if the asker misses a leader as we do and lacks what we have.

    It cannot win, and what it lacks is common: a leader holds back what no majority needs
    (`reserve.py`). Several of us may be asked at once, so each draws how soon it is.
    """
    role = server.role
    if (
        isinstance(role, Follower)
        and request.next_term > server.term
        and server.may_campaign
        and not server.hears_leader
        and not _log_is_up_to_date(server, request)
    ):
        soon = server.now + server.random() * server.settings.heartbeat_interval_seconds
        role.deadline = min(role.deadline, soon)


def answer_request_vote(server: Server, sender: ServerId, request: RequestVoteRequest) -> None:
    """Give `sender` the vote of its term, or not.

    Ignored altogether, its term included, if a leader was heard within the shortest election
    timeout, so that nobody who merely lost contact, or was removed, can depose it; unless the
    leader itself wants the election.
    """
    if request.term < server.term:
        server.send(sender, RequestVoteResponse(server.term, granted=False))
        return
    if server.hears_leader and not request.leadership_transfer:
        return
    if server.configuration.find(sender) is None and not _log_is_newer(server, request):
        return
    if request.term > server.term:
        server.become_follower(request.term, leader=None)
    granted = server.voted_for in (None, sender) and _log_is_up_to_date(server, request)
    if granted:
        server.vote_for(sender)
        if isinstance(server.role, Follower):
            server.role.deadline = server.election_deadline()
    server.send(sender, RequestVoteResponse(server.term, granted))


def _log_is_good_enough(
    server: Server, sender: ServerId, request: PreVoteRequest | RequestVoteRequest
) -> bool:
    """Tell whether a vote may go to `sender`.

    Somebody we do not know must have a *newer* log: the one that holds the configuration that
    names it. A removed member has not.
    """
    if server.configuration.find(sender) is None:
        return _log_is_newer(server, request)
    return _log_is_up_to_date(server, request)


def _log_is_up_to_date(server: Server, request: PreVoteRequest | RequestVoteRequest) -> bool:
    """Tell whether the asker's log is at least as good as ours (Raft §5.4.1).

    What is appended counts, written or not: an entry we hold may be what a leader counted on.
    """
    ours = (server.log.last_term, server.log.last_index)
    return (request.last_log_term, request.last_log_index) >= ours


def _log_is_newer(server: Server, request: PreVoteRequest | RequestVoteRequest) -> bool:
    """Tell whether the asker's log is better than ours."""
    ours = (server.log.last_term, server.log.last_index)
    return (request.last_log_term, request.last_log_index) > ours
