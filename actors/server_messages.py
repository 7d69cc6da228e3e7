"""What a RaServer understands.

A *command* is plain `bytes`: encoded once in the client's thread, its reply goes to the envelope's
future. Events of the core (`khepri.raft.events`) are messages too: the WalWriter and the
SnapshotWorker send them. Everything else is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.entries import Group
    from khepri.machine.machine import Machine
    from khepri.raft.effects import RejectReason
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from khepri.raft.types import ServerId, SnapshotMeta

    from .reference import ActorReference


@dataclass(frozen=True, slots=True)
class LowPriority:
    """A command that may wait for others; see `low_priority.py`."""

    command: bytes


@dataclass(frozen=True, slots=True)
class ConsistentRead:
    """Reply with a view from which a read is linearizable."""


@dataclass(frozen=True, slots=True)
class WaitUntilApplied:
    """Reply once a place in the log, or a later one, is applied here and can be read.

    Attributes:
        index: the log index.
        term: its term; anything of a later term counts as later.
        give_up_at: monotonic seconds after which nobody waits any more, None if for ever.
    """

    index: int
    term: int
    give_up_at: float | None


@dataclass(frozen=True, slots=True)
class WaitForLeader:
    """Reply with the leader's server id once one is known."""


@dataclass(frozen=True, slots=True)
class AskCore:
    """Have the core do something that it answers by ticket: a membership change, a transfer.

    The reply is None when it is done, or a `Refusal`.
    """

    make_event: Callable[[object], Event]


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Reply with a `ServerStatus`."""


@dataclass(frozen=True, slots=True)
class TakeSnapshotNow:
    """Take a snapshot of what is applied now, whatever the cadence says; reply when durable."""


@dataclass(frozen=True, slots=True)
class FrameFrom:
    """What came from another node for this store, still packed; see `store_network.py`."""

    node: str
    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class WaitUntilVoter:
    """Reply once this member is a voter that knows its leader and has caught up with it."""


@dataclass(frozen=True, slots=True)
class WaitForMachineVersion:
    """Reply once the machine here applies the log by this version, or by a higher one."""

    version: int


@dataclass(frozen=True, slots=True)
class MessageFrom:
    """Unpacked: a Raft message from another member; the envelope was checked."""

    sender: ServerId
    message: Message
    sender_uid: str


@dataclass(frozen=True, slots=True)
class GroupsFrom:
    """Unpacked: commands that another member's clients submitted, forwarded to the leader."""

    sender: ServerId
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class SnapshotWorkerStarted:
    """The SnapshotWorker is (again) there; what it had been told before is lost."""

    worker: ActorReference


@dataclass(frozen=True, slots=True)
class SnapshotReady:
    """A received snapshot is durable, and this is the machine as of it; it is the server's now."""

    meta: SnapshotMeta
    machine: Machine
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """The snapshot could not be written; the server goes on without and tries again later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply: the server did not, or not surely, do what it was asked.

    Attributes:
        reason: why.
        leader: whom to ask instead, where known.
        detail: for a person.
    """

    reason: RejectReason
    leader: ServerId | None
    detail: str
