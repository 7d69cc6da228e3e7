"""The roles of one who wants to lead: pre-candidate and candidate.

Here: asking for (pre-)votes and counting the answers. Not here: answering (`election.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .messages import (
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)
from .quorum import VoteTally
from .role import RoleState
from .types import Role, Term

if TYPE_CHECKING:
    from .messages import Message
    from .server import Server
    from .types import ServerId


class PreCandidate(RoleState):
    """Asks whether an election could be won, in the old term (dissertation §9.6).

    Attributes:
        deadline: when this round has failed and another begins.
    """

    kind: ClassVar[Role] = Role.PRE_CANDIDATE

    def __init__(self, server: Server) -> None:
        """Make a new round; `begin` starts it."""
        self._server = server
        self._round_id = server.next_id()
        self._tally = VoteTally(server.configuration.voters)
        self.deadline = server.election_deadline()

    def begin(self) -> None:
        """Ask everybody; a single voter has won at once."""
        server = self._server
        next_term = Term(server.term + 1)
        last_index, last_term = server.log.last_index, server.log.last_term
        _ask_voters(server, PreVoteRequest(next_term, self._round_id, last_index, last_term))
        self._grant(server.server_id)

    def on_response(self, sender: ServerId, response: PreVoteResponse) -> None:
        """Count an answer to this very round."""
        if response.granted and response.round_id == self._round_id:
            self._grant(sender)

    def _grant(self, voter: ServerId) -> None:
        self._tally.grant(voter)
        if self._tally.won and self._server.may_campaign:
            self._server.become_candidate()

    def on_deadline(self) -> None:
        """Begin another round."""
        _campaign_again(self._server)


class Candidate(RoleState):
    """Asks for votes in a term of its own (Raft §5.2).

    Attributes:
        deadline: when this election has failed and another begins.
    """

    kind: ClassVar[Role] = Role.CANDIDATE

    def __init__(self, server: Server, *, leadership_transfer: bool) -> None:
        """Make an election; `begin` starts it."""
        self._server = server
        self._leadership_transfer = leadership_transfer
        self._tally = VoteTally(server.configuration.voters)
        self.deadline = server.election_deadline()

    def begin(self) -> None:
        """Ask everybody; a single voter has won at once."""
        server = self._server
        last_index, last_term = server.log.last_index, server.log.last_term
        transfer = self._leadership_transfer
        _ask_voters(server, RequestVoteRequest(server.term, last_index, last_term, transfer))
        self._grant(server.server_id)

    def on_response(self, sender: ServerId, response: RequestVoteResponse) -> None:
        """Count a vote of this term; those of other terms do not get here."""
        if response.term != self._server.term:
            raise AssertionError("other terms are settled before")
        if response.granted:
            self._grant(sender)

    def _grant(self, voter: ServerId) -> None:
        self._tally.grant(voter)
        if self._tally.won:
            self._server.become_leader()

    def on_deadline(self) -> None:
        """Ask first whether another election has a chance."""
        _campaign_again(self._server)


def _campaign_again(server: Server) -> None:
    """Begin a round of pre-votes, or wait as a follower if this member must not campaign now."""
    if server.may_campaign:
        server.become_pre_candidate()
    else:
        server.become_follower(server.term, leader=None)


def _ask_voters(server: Server, request: Message) -> None:
    """Send the same request to all other voters."""
    for voter in sorted(server.configuration.voters):
        if voter != server.server_id:
            server.send(voter, request)
