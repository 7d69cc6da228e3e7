"""What members say to each other: one frozen class per RPC, and how it becomes plain lists.

Here: the closed union `Message` and `message_from_plain`, which takes nothing on trust, since what
it is fed comes from the network. The classes are in `election_messages.py`, `log_messages.py` and
below, and are all imported from here.
Not here: envelopes, cluster id and incarnations (the transport's), what a message does (the
roles).

`to_plain` gives ``[tag, field, ...]`` for msgpack; `from_plain` gives the message back, or raises
`EncodingError`. The sender is in the envelope, so no message names it. Field names are those of
Raft figures 2 and 13 where these have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from khepri.encoding import EncodingError

from .election_messages import (
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    TimeoutNow,
)
from .log_messages import (
    NO_ANSWER,
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
)
from .plain import as_list, as_natural, as_sequence
from .types import Index

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NO_ANSWER",
    "AppendEntriesRequest",
    "AppendEntriesResponse",
    "Heartbeat",
    "HeartbeatResponse",
    "InstallSnapshotRequest",
    "InstallSnapshotResponse",
    "Message",
    "PreVoteRequest",
    "PreVoteResponse",
    "ReadIndexRequest",
    "ReadIndexResponse",
    "RequestVoteRequest",
    "RequestVoteResponse",
    "TimeoutNow",
    "message_from_plain",
]


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
    parts = as_sequence(plain, "message")
    tag = parts[0] if parts else None
    if type(tag) is not int or tag not in _FROM_PLAIN:
        raise EncodingError("unknown kind of message")
    return _FROM_PLAIN[tag](plain)
