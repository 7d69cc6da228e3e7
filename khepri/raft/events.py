"""Everything that can happen to a member: the inputs of `RaftCore.step`.

One frozen class per event and the closed union `Event`. The shell (an actor, the simulator, a
test) makes them; the core never calls out to learn something. Answers of the shell's disks and
workers come back as events too.

A *ticket* is any object of the shell's choice; the core carries it about without looking inside
and hands it back in `Rejected`, `ReadReady` or `Completed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .messages import Message
    from .types import Index, Member, ServerId, SnapshotMeta, Term


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing but `now` is new. Every step looks at the timers, so any event does the same."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came in.

    The shell has checked the envelope before: cluster id, and that it is meant for this
    incarnation of this member.

    Attributes:
        sender: who sent it.
        message: what.
        sender_uid: which incarnation of the sender, where the shell knows it. A message from
            another one than the configuration names is dropped: its disk is gone, and its
            confirmations with it. Looked at here and not before, since the configuration may
            change within the batch. Not so for what leaders send (entries, heartbeats,
            snapshots): a member that is behind knows the leader's earlier incarnation, and
            would never hear of the new one.
    """

    sender: ServerId
    message: Message
    sender_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Propose:
    """Append one entry of kind COMMANDS.

    Accepted silently: its entry comes by in `ApplyEntries` when it is committed. Otherwise
    `Rejected(ticket, ...)` in the same step, and then it is *not* in the log.

    Attributes:
        data: of the entry.
        ticket: names it in a `Rejected`.
        is_awaited_elsewhere: whether callers at other members wait for it to be applied there.
    """

    data: bytes
    ticket: object
    is_awaited_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class AddMember:
    """Add a member; answered by `Completed(ticket)` at commit, or `Rejected`.

    Usually of kind PROMOTABLE. A member that is there under another uid (its disk was lost, it
    was deleted and made again) is replaced, unless the newcomer is to be a voter at once.
    """

    member: Member
    ticket: object


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member, possibly the leader; `Completed(ticket)` at commit, or `Rejected`."""

    server_id: ServerId
    ticket: object


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Ask for an index from which on a read here is linearizable.

    Answered by `ReadReady(ticket, index)` after the `ApplyEntries` that reach it, or `Rejected`.
    May be asked of any member: a follower asks its leader. One request can stand for many
    callers; that is what the shell should do under load.
    """

    ticket: object


@dataclass(frozen=True, slots=True)
class LogWritten:
    """The entries of an `AppendEntries` effect, and of all before it, are durable.

    Attributes:
        index: the last index of that effect.
        term: the term of the entry there.
        sequence: the `sequence` of that effect. One notice may stand for several effects.
            It is what makes a late notice harmless: the same index and term can be written,
            overwritten, and written again (the ABA problem), and only the number tells which
            writing is meant.
        is_confirmed: whether the effect's `confirmation` was sent.
    """

    index: Index
    term: Term
    sequence: int
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class LogWriteFailed:
    """The disk did not take the log: full or broken. Nothing unconfirmed counts as written.

    A leader with other voters hands over to the best of them and steps down. A single voter goes
    on leading, so that reads go on, and refuses proposals with this reason. The member does not
    campaign meanwhile, and no further `AppendEntries` is emitted: entries it accepts wait in
    memory. It ends with `LogRecovered`, or with a `LogWritten` for the newest write emitted.

    Proposals accepted before the failure are not rejected: their outcome is unknown, and they
    are written again after `LogRecovered`.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class LogRecovered:
    """The log can be written again, possibly into a new file.

    The core emits one `AppendEntries` with every entry that is not confirmed yet. Send it also
    after the log writer was restarted and may have lost what was queued.
    """


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A snapshot of this member's own machine is durable; the log up to it may be dropped.

    `meta` is what `RaftCore.snapshot_meta` gave for the index. One that finishes after a newer
    snapshot was installed is ignored; the shell throws it away.
    """

    meta: SnapshotMeta


@dataclass(frozen=True, slots=True)
class SnapshotChunkRead:
    """Answer to the effect `ReadSnapshotChunk`.

    Attributes:
        transfer_id: as in the effect.
        offset: as in the effect.
        data: at most the `max_bytes` asked for; empty only if `done`.
        done: whether the snapshot ends here.
    """

    transfer_id: int
    offset: int
    data: bytes
    done: bool


@dataclass(frozen=True, slots=True)
class SnapshotReadFailed:
    """The snapshot asked for by `ReadSnapshotChunk` cannot be read; tried again after a while."""

    transfer_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotChunkStored:
    """Answer to `StoreSnapshotChunk`: it is written (not necessarily synced).

    Attributes:
        transfer_id: as in the effect.
        next_offset: the effect's offset plus the length of its data.
    """

    transfer_id: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class SnapshotInstalled:
    """Answer to `InstallSnapshot`: snapshot durable, old log void, machine restored from it."""

    meta: SnapshotMeta


@dataclass(frozen=True, slots=True)
class SnapshotAcceptFailed:
    """A chunk could not be stored, or the whole was damaged or could not be installed.

    The member's old state must be intact, the partial snapshot removed. The sender is told and
    tries again after a while.
    """

    transfer_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class TransferLeadership:
    """Hand leadership over (dissertation §3.10).

    Proposals are rejected with TRANSFER_IN_PROGRESS until it is done or given up.
    `Completed(ticket)` when this member has made way, `Rejected` when it stays.

    Attributes:
        target: to whom; None means the voter whose log is most complete.
        ticket: for the answer.
    """

    target: ServerId | None
    ticket: object


@dataclass(frozen=True, slots=True)
class TriggerElection:
    """Start an election now; no effect on a leader, a non-voter or a non-member."""


@dataclass(frozen=True, slots=True)
class ForceSingleMember:
    """The last resort after a lost majority: make this member the only one, without consensus.

    Works on any member whatever its kind. Committed entries that only the lost members had are
    gone, and the others must never come back: they do not know. `Completed(ticket)` at commit.
    """

    ticket: object


Event: TypeAlias = (
    TimePassed
    | MessageReceived
    | Propose
    | AddMember
    | RemoveMember
    | ReadRequest
    | LogWritten
    | LogWriteFailed
    | LogRecovered
    | SnapshotTaken
    | SnapshotChunkRead
    | SnapshotReadFailed
    | SnapshotChunkStored
    | SnapshotInstalled
    | SnapshotAcceptFailed
    | TransferLeadership
    | TriggerElection
    | ForceSingleMember
)
"""What `RaftCore.step` takes."""
