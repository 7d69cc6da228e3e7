"""What is said about the log: entries, heartbeats, pieces of snapshots.

Part of `messages.py`, which has the rules common to all messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from khepri.encoding import EncodingError

from .machine_versions import FIRST_VERSION, as_machine_version
from .plain import as_bool, as_bytes, as_extended_list, as_list, as_natural, as_sequence
from .types import Entry, Index, SnapshotMeta, Term

NO_ANSWER = 0
"""The `Heartbeat.round` that asks for no answer; real rounds start at 1."""


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


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """You were still my leader when heartbeat `round` reached me; this is what I have.

    The last three fields make good for lost messages: lost entries, a lost success.

    Attributes:
        term: the follower's.
        round: as in the heartbeat.
        validated_index: up to here the log is proven to be the leader's, durable or not.
        last_index: as in a successful `AppendEntriesResponse`.
        last_term: as there.
        promise_milliseconds: so long the follower helps nobody against the leader, from when the
            heartbeat reached it (`lease.py`).
        machine_version: the highest that the follower knows.
    """

    tag: ClassVar[int] = 8
    term: Term
    round: int
    validated_index: Index
    last_index: Index
    last_term: Term
    promise_milliseconds: int
    machine_version: int = FIRST_VERSION

    def to_plain(self) -> list[object]:
        """Give the fields as a list behind the tag; the first version is that of who says none."""
        plain: list[object] = [
            self.tag,
            self.term,
            self.round,
            self.validated_index,
            self.last_index,
            self.last_term,
            self.promise_milliseconds,
        ]
        if self.machine_version != FIRST_VERSION:
            plain.append(self.machine_version)
        return plain

    @classmethod
    def from_plain(cls, plain: object) -> HeartbeatResponse:
        """Give back what `to_plain` was called on; `EncodingError` if it is something else."""
        _, term, number, validated, index, last_term, promise, version = as_extended_list(
            plain, 7, [FIRST_VERSION], "HeartbeatResponse"
        )
        return cls(
            Term(as_natural(term, "term")),
            as_natural(number, "round"),
            Index(as_natural(validated, "validated_index")),
            Index(as_natural(index, "last_index")),
            Term(as_natural(last_term, "last_term")),
            as_natural(promise, "promise_milliseconds"),
            as_machine_version(version),
        )


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
