"""What is said about elections: pre-votes, votes, and the word to campaign at once.

Part of `messages.py`, which has the rules common to all messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .plain import as_bool, as_list, as_natural
from .types import Index, Term


@dataclass(frozen=True, slots=True)
class PreVoteRequest:
    """Could I win an election? (Dissertation §9.6.) Changes nothing at who is asked.

    Attributes:
        next_term: the term the asker would campaign in, its own plus one.
        round_id: the asker's; an answer to an older round must not count.
        last_log_index: of the asker's log, written or not.
        last_log_term: the term of the entry there.
    """

    tag: ClassVar[int] = 1
    next_term: Term
    round_id: int
    last_log_index: Index
    last_log_term: Term

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [
            self.tag,
            self.next_term,
            self.round_id,
            self.last_log_index,
            self.last_log_term,
        ]

    @classmethod
    def from_plain(cls, plain: object) -> PreVoteRequest:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, next_term, round_id, index, term = as_list(plain, 5, "PreVoteRequest")
        return cls(
            Term(as_natural(next_term, "next_term")),
            as_natural(round_id, "round_id"),
            Index(as_natural(index, "last_log_index")),
            Term(as_natural(term, "last_log_term")),
        )


@dataclass(frozen=True, slots=True)
class PreVoteResponse:
    """Answer to `PreVoteRequest`.

    Attributes:
        term: the answerer's present term; a higher one is adopted by the asker.
        round_id: as asked.
        granted: whether the asker would get the vote.
    """

    tag: ClassVar[int] = 2
    term: Term
    round_id: int
    granted: bool

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term, self.round_id, self.granted]

    @classmethod
    def from_plain(cls, plain: object) -> PreVoteResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, round_id, granted = as_list(plain, 4, "PreVoteResponse")
        return cls(
            Term(as_natural(term, "term")),
            as_natural(round_id, "round_id"),
            as_bool(granted, "granted"),
        )


@dataclass(frozen=True, slots=True)
class RequestVoteRequest:
    """Vote for me (Raft §5.2).

    Attributes:
        term: the candidate's.
        last_log_index: of the candidate's log, written or not.
        last_log_term: the term of the entry there.
        leadership_transfer: the leader itself asked for this election, so having heard from it
            lately is no reason to refuse (dissertation §4.2.3).
    """

    tag: ClassVar[int] = 3
    term: Term
    last_log_index: Index
    last_log_term: Term
    leadership_transfer: bool

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [
            self.tag,
            self.term,
            self.last_log_index,
            self.last_log_term,
            self.leadership_transfer,
        ]

    @classmethod
    def from_plain(cls, plain: object) -> RequestVoteRequest:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, index, last_term, transfer = as_list(plain, 5, "RequestVoteRequest")
        return cls(
            Term(as_natural(term, "term")),
            Index(as_natural(index, "last_log_index")),
            Term(as_natural(last_term, "last_log_term")),
            as_bool(transfer, "leadership_transfer"),
        )


@dataclass(frozen=True, slots=True)
class RequestVoteResponse:
    """Answer to `RequestVoteRequest`; counts as the vote of its sender, once, in `term` only."""

    tag: ClassVar[int] = 4
    term: Term
    granted: bool

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term, self.granted]

    @classmethod
    def from_plain(cls, plain: object) -> RequestVoteResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, granted = as_list(plain, 3, "RequestVoteResponse")
        return cls(Term(as_natural(term, "term")), as_bool(granted, "granted"))


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """Campaign at once (dissertation §3.10); void in any term but `term`."""

    tag: ClassVar[int] = 11
    term: Term

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term]

    @classmethod
    def from_plain(cls, plain: object) -> TimeoutNow:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term = as_list(plain, 2, "TimeoutNow")
        return cls(Term(as_natural(term, "term")))
