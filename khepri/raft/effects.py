"""Everything the core wants done: the outputs of `RaftCore.step`.

One frozen class per effect and the closed union `Effect`. The shell executes the effects of a
step in the order of the list. Two have a rule beyond that order:

- `PersistHardState` must be *durable* before any later effect of the list is executed;
- `AppendEntries` is asynchronous: hand it over and go on, `LogWritten` comes when it is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .messages import Message
    from .types import Configuration, Entry, HardState, Index, Role, ServerId, SnapshotMeta, Term


@dataclass(frozen=True, slots=True)
class PersistHardState:
    """Write term and vote as one record and sync it, before any later effect of the list.

    At most one per step, always the first effect. A failure to do so must stop the server: no
    message that rests on it may leave.
    """

    hard_state: HardState


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message; it may be lost, doubled, delayed. The same object may go to several."""

    to: ServerId
    message: Message


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """Write these entries to the log; answer `LogWritten` once they are durable.

    At most one per step. If the first index is not above the last one written before, the log
    from there on is overwritten: nothing of the old suffix may come back at recovery. If it
    leaves a gap, a snapshot covers the gap and the log starts anew here.

    Attributes:
        entries: contiguous and never empty.
        sequence: grows with each such effect; for `LogWritten`.
        confirmation: what a follower says when they are durable. Who makes them durable before
            the next step may send it at once, and says so with `LogWritten.is_confirmed`;
            otherwise the step with `LogWritten` sends it.
    """

    entries: tuple[Entry, ...]
    sequence: int
    confirmation: Send | None = None


@dataclass(frozen=True, slots=True)
class ApplyEntries:
    """These entries are committed: apply them now, in order. All kinds come by, without gaps."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class ReadReady:
    """The read may be made now: everything up to `index` is applied by the earlier effects."""

    ticket: object
    index: Index


class RejectReason(Enum):
    """Why a request was not, or not surely, carried out."""

    NOT_LEADER = "not_leader"
    """This member does not lead (any more); ask `leader` if known. It was not carried out."""
    OVERLOADED = "overloaded"
    """Too many bytes wait to be committed, or too many reads. It was not carried out."""
    DISK_FAILED = "disk_failed"
    """The log cannot be written; `detail` says why. It was not carried out."""
    TRANSFER_IN_PROGRESS = "transfer_in_progress"
    """Leadership is being handed over. It was not carried out."""
    CLUSTER_CHANGE_NOT_PERMITTED = "cluster_change_not_permitted"
    """Another change is not committed yet, or this leader has committed nothing of its own."""
    NO_MAJORITY_LEFT = "no_majority_left"
    """Of the voters that would be left no majority answers. It was not carried out."""
    ALREADY_MEMBER = "already_member"
    NOT_MEMBER = "not_member"
    LAST_VOTER = "last_voter"
    """Removing it would leave a cluster that can never decide anything."""
    NON_VOTER = "non_voter"
    """Leadership cannot be handed to it."""
    ALREADY_LEADER = "already_leader"
    TRANSFER_TIMED_OUT = "transfer_timed_out"
    """The target did not take over in time; this member goes on leading."""
    LEADERSHIP_LOST = "leadership_lost"
    """A membership change was under way when leadership went: its outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request with a ticket will not be answered otherwise.

    Attributes:
        ticket: the request's.
        reason: why, and whether it may still happen.
        leader: whom to ask instead, where known.
        detail: for a person.
    """

    ticket: object
    reason: RejectReason
    leader: ServerId | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """A membership change is committed, or leadership was handed over.

    Attributes:
        ticket: the request's.
        index: the commit index of the moment, at least that of the change.
    """

    ticket: object
    index: Index


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """Role, term or known leader is another; emitted at every single transition, in order."""

    role: Role
    term: Term
    leader: ServerId | None


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """Another configuration is in effect: appended, reverted, or from a snapshot.

    Attributes:
        configuration: the one in effect; possibly not committed, possibly without this member.
        index: where it stands in the log.
    """

    configuration: Configuration
    index: Index


@dataclass(frozen=True, slots=True)
class ReadSnapshotChunk:
    """Read a piece of the snapshot of exactly that meta; answer `SnapshotChunkRead`.

    The snapshot must stay readable until `EndSnapshotSend`, even when a newer one replaces it.
    If it is gone already: `SnapshotReadFailed`.
    """

    transfer_id: int
    meta: SnapshotMeta
    offset: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class EndSnapshotSend:
    """The transfer is over, well or not; its reader may be closed. Also for unknown ids."""

    transfer_id: int


@dataclass(frozen=True, slots=True)
class StoreSnapshotChunk:
    """Add a piece to the partial snapshot of that transfer; answer `SnapshotChunkStored`.

    Offset 0 starts it. Offsets come in order, without gaps or doubles.
    """

    transfer_id: int
    meta: SnapshotMeta
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """All pieces are stored: verify, make durable, replace machine and log by it.

    The log is void from here on, what lies above `meta.index` too: it conflicts with the
    snapshot. (A log that agrees with the snapshot is never replaced: the core keeps it and only
    commits further.) Answer `SnapshotInstalled`, or `SnapshotAcceptFailed` with the old state
    untouched. No `ApplyEntries` comes in between.
    """

    transfer_id: int
    meta: SnapshotMeta


@dataclass(frozen=True, slots=True)
class DiscardSnapshot:
    """Throw the partial snapshot of that transfer away. Also for unknown ids."""

    transfer_id: int


Effect: TypeAlias = (
    PersistHardState
    | AppendEntries
    | Send
    | ApplyEntries
    | ReadReady
    | Rejected
    | Completed
    | RoleChanged
    | ConfigurationChanged
    | ReadSnapshotChunk
    | EndSnapshotSend
    | StoreSnapshotChunk
    | InstallSnapshot
    | DiscardSnapshot
)
"""What `RaftCore.step` gives."""
