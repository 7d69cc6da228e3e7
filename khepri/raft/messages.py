"""What members say to each other: one frozen class per RPC, and how it becomes plain lists.

Here: the closed union `Message`, `to_plain` of each class, and `message_from_plain`, which takes
nothing on trust, since what it is fed comes from the network.
Not here: envelopes, cluster id and incarnations (the transport's); what a message does (the
roles).

`to_plain` gives ``[tag, field, ...]`` for msgpack. The sender is in the envelope, so no message
names it. Field names are those of Raft figures 2 and 13 where these have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from khepri.encoding import EncodingError

from .plain import as_bool, as_bytes, as_list, as_natural, as_sequence
from .types import Entry, Index, SnapshotMeta, Term

if TYPE_CHECKING:
    from collections.abc import Callable


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
class AppendEntriesRequest:
    """Entries, or none, behind a place where the logs should agree (Raft §5.3).

    Attributes:
        term: the leader's.
        previous_log_index: the place.
        previous_log_term: the term of the leader's entry there.
        commit_index: the leader's.
        entries: what follows, contiguous from `previous_log_index` + 1.
    """

    tag: ClassVar[int] = 5
    term: Term
    previous_log_index: Index
    previous_log_term: Term
    commit_index: Index
    entries: tuple[Entry, ...]

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag; entries are tuples already."""
        return [
            self.tag,
            self.term,
            self.previous_log_index,
            self.previous_log_term,
            self.commit_index,
            self.entries,
        ]

    @classmethod
    def from_plain(cls, plain: object) -> AppendEntriesRequest:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, index, index_term, commit, rest = as_list(plain, 6, "AppendEntriesRequest")
        previous_index = as_natural(index, "previous_log_index")
        previous_term = as_natural(index_term, "previous_log_term")
        entries = tuple(map(Entry.from_plain, as_sequence(rest, "entries")))
        last_index, last_term = previous_index, previous_term
        for entry in entries:
            if entry.index != last_index + 1 or entry.term < last_term:
                raise EncodingError("entries have a gap, or terms that go back")
            last_index, last_term = entry.index, entry.term
        if last_term > as_natural(term, "term"):
            raise EncodingError("an entry is of a later term than its leader")
        return cls(
            Term(as_natural(term, "term")),
            Index(previous_index),
            Term(previous_term),
            Index(as_natural(commit, "commit_index")),
            entries,
        )


@dataclass(frozen=True, slots=True)
class AppendEntriesResponse:
    """What a follower holds, or why it could not add.

    Attributes:
        term: the follower's.
        success: whether the logs agree at the place asked about.
        previous_log_index: of the request that is refused, so that a late refusal is recognised;
            0 in a success, which may answer several requests.
        last_index: in a success the last index that is durable *and* proven to be the leader's;
            in a refusal the hint: the last index where the logs can still agree.
        last_term: the term of the follower's entry at `last_index`.
    """

    tag: ClassVar[int] = 6
    term: Term
    success: bool
    previous_log_index: Index
    last_index: Index
    last_term: Term

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [
            self.tag,
            self.term,
            self.success,
            self.previous_log_index,
            self.last_index,
            self.last_term,
        ]

    @classmethod
    def from_plain(cls, plain: object) -> AppendEntriesResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, success, previous, index, last_term = as_list(plain, 6, "AppendEntriesResponse")
        return cls(
            Term(as_natural(term, "term")),
            as_bool(success, "success"),
            Index(as_natural(previous, "previous_log_index")),
            Index(as_natural(index, "last_index")),
            Term(as_natural(last_term, "last_term")),
        )


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I lead; this much of what you have confirmed to me is committed.

    Attributes:
        term: the leader's.
        commit_index: never above what this follower has confirmed in this term, so it may be
            believed without comparing logs.
        round: the newest read round (see `reads.py`); answered with the same number.
            `NO_ANSWER` if only the commit index is news.
    """

    tag: ClassVar[int] = 7
    term: Term
    commit_index: Index
    round: int

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term, self.commit_index, self.round]

    @classmethod
    def from_plain(cls, plain: object) -> Heartbeat:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, commit, round_number = as_list(plain, 4, "Heartbeat")
        return cls(
            Term(as_natural(term, "term")),
            Index(as_natural(commit, "commit_index")),
            as_natural(round_number, "round"),
        )


NO_ANSWER = 0
"""The `Heartbeat.round` that asks for no answer; real rounds start at 1."""


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """You were still my leader when heartbeat `round` reached me."""

    tag: ClassVar[int] = 8
    term: Term
    round: int

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term, self.round]

    @classmethod
    def from_plain(cls, plain: object) -> HeartbeatResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, round_number = as_list(plain, 3, "HeartbeatResponse")
        return cls(Term(as_natural(term, "term")), as_natural(round_number, "round"))


@dataclass(frozen=True, slots=True)
class InstallSnapshotRequest:
    """One piece of a snapshot (Raft §7, figure 13).

    Attributes:
        term: the leader's.
        transfer_id: names the attempt; grows within a leader's term, so that a late piece of an
            older attempt cannot restart it.
        meta: what the snapshot stands for.
        offset: where the piece belongs, in bytes.
        data: the piece.
        done: whether it is the last one.
    """

    tag: ClassVar[int] = 9
    term: Term
    transfer_id: int
    meta: SnapshotMeta
    offset: int
    data: bytes
    done: bool

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [
            self.tag,
            self.term,
            self.transfer_id,
            self.meta.to_plain(),
            self.offset,
            self.data,
            self.done,
        ]

    @classmethod
    def from_plain(cls, plain: object) -> InstallSnapshotRequest:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, transfer, meta, offset, data, done = as_list(plain, 7, "InstallSnapshotRequest")
        return cls(
            Term(as_natural(term, "term")),
            as_natural(transfer, "transfer_id"),
            SnapshotMeta.from_plain(meta),
            as_natural(offset, "offset"),
            as_bytes(data, "data"),
            as_bool(done, "done"),
        )


@dataclass(frozen=True, slots=True)
class InstallSnapshotResponse:
    """How far the pieces of a transfer are stored.

    That the snapshot is installed is told by an `AppendEntriesResponse`, like any other progress.

    Attributes:
        term: the follower's.
        transfer_id: the attempt.
        next_offset: the piece wanted next; up to there all is stored.
        accepted: False if the follower has given this attempt up.
    """

    tag: ClassVar[int] = 10
    term: Term
    transfer_id: int
    next_offset: int
    accepted: bool

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.term, self.transfer_id, self.next_offset, self.accepted]

    @classmethod
    def from_plain(cls, plain: object) -> InstallSnapshotResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, transfer, offset, accepted = as_list(plain, 5, "InstallSnapshotResponse")
        return cls(
            Term(as_natural(term, "term")),
            as_natural(transfer, "transfer_id"),
            as_natural(offset, "next_offset"),
            as_bool(accepted, "accepted"),
        )


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


@dataclass(frozen=True, slots=True)
class ReadIndexRequest:
    """A follower asks its leader for a read index (dissertation §6.4); `read_id` is its own."""

    tag: ClassVar[int] = 12
    read_id: int

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.read_id]

    @classmethod
    def from_plain(cls, plain: object) -> ReadIndexRequest:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, read_id = as_list(plain, 2, "ReadIndexRequest")
        return cls(as_natural(read_id, "read_id"))


@dataclass(frozen=True, slots=True)
class ReadIndexResponse:
    """Answer to `ReadIndexRequest`; `index` is None if who was asked cannot tell."""

    tag: ClassVar[int] = 13
    read_id: int
    index: Index | None

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag."""
        return [self.tag, self.read_id, self.index]

    @classmethod
    def from_plain(cls, plain: object) -> ReadIndexResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, read_id, index = as_list(plain, 3, "ReadIndexResponse")
        return cls(
            as_natural(read_id, "read_id"),
            None if index is None else Index(as_natural(index, "index")),
        )


Message: TypeAlias = (
    PreVoteRequest
    | PreVoteResponse
    | RequestVoteRequest
    | RequestVoteResponse
    | AppendEntriesRequest
    | AppendEntriesResponse
    | Heartbeat
    | HeartbeatResponse
    | InstallSnapshotRequest
    | InstallSnapshotResponse
    | TimeoutNow
    | ReadIndexRequest
    | ReadIndexResponse
)
"""Everything one member can say to another."""

_FROM_PLAIN: dict[int, Callable[[object], Message]] = {
    kind.tag: kind.from_plain
    for kind in (
        PreVoteRequest,
        PreVoteResponse,
        RequestVoteRequest,
        RequestVoteResponse,
        AppendEntriesRequest,
        AppendEntriesResponse,
        Heartbeat,
        HeartbeatResponse,
        InstallSnapshotRequest,
        InstallSnapshotResponse,
        TimeoutNow,
        ReadIndexRequest,
        ReadIndexResponse,
    )
}


def message_from_plain(plain: object) -> Message:
    """Give the message whose `to_plain` gave this.

    Args:
        plain: anything; it comes from the network.

    Raises:
        EncodingError: it is no message of this version.
    """
    tag, *_ = as_sequence(plain, "message") or [None]
    if type(tag) is not int or tag not in _FROM_PLAIN:
        raise EncodingError("unknown kind of message")
    return _FROM_PLAIN[tag](plain)
