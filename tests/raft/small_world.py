"""What a small world is: who is there, what may happen, and what one state of it looks like.

Here: the nouns that the explorer (`small_worlds.py`) is about, and messages in words.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from khepri.raft.messages import (
    AppendEntriesResponse,
    HeartbeatResponse,
    InstallSnapshotResponse,
    PreVoteResponse,
    RequestVoteResponse,
    TimeoutNow,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Role

if TYPE_CHECKING:
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from tests.raft.small_world_checks import Facts

UNTIMED = RaftSettings(
    read_leases=False, trailing_entries=0, trailing_bytes=0, catch_up_bytes=0, max_append_entries=1
)


class Budget(NamedTuple):
    """How often each may still happen."""

    elections: int = 0
    proposals: int = 0
    reads: int = 0
    heartbeats: int = 0
    crashes: int = 0
    doubles: int = 0
    batches: int = 0
    snapshots: int = 0
    changes: int = 0
    silences: int = 0
    ticks: int = 0


@dataclass(frozen=True)
class World:
    """Who is there, and what may happen.

    Attributes:
        names: the members, a letter each.
        budget: what may happen during the search.
        history: lines of what has happened before it, by no budget. "all settles" lets all
            messages and writes arrive.
        voters: those the cluster begins with, all if empty; the others wait to be added.
        settings: the numbers.
        elections: how much happens between the questions and the answers of an election.
        disk_waits: whether writing, and hearing of it, are steps of their own.
        letters: how many messages are on their way at most; of more, any are lost.
        keeps_old_answers: whether answers stay on their way that are known to mean nothing.
        campaigning: who may run out of patience, so that a search goes deeper.
        crashing: who may crash.
        changes: what may be asked of a leader, by the budget of changes, under a name.
        clock_rates: how far each clock goes in a tick; time is free if empty.
    """

    names: str
    budget: Budget
    history: tuple[str, ...] = ()
    voters: str = ""
    settings: RaftSettings = UNTIMED
    elections: Literal["at once", "by vote", "by message"] = "at once"
    disk_waits: bool = False
    letters: int = 1
    keeps_old_answers: bool = False
    campaigning: str = "ABCD"
    crashing: str = "ABCD"
    changes: tuple[tuple[str, Event], ...] = ()
    clock_rates: tuple[float, ...] = ()


class State(NamedTuple):
    """One state of a world; members, mail and ghost are numbers that the explorer knows."""

    members: tuple[int, ...]
    mail: tuple[int, ...]
    ghost: int
    budget: Budget


class Letter(NamedTuple):
    """A message on its way."""

    sender: int
    to: int
    message: Message


class Choice(NamedTuple):
    """Something that may happen: what, to whom, with what, and from which budget."""

    kind: str
    member: int
    detail: Any = None
    cost: str = ""


class Step(NamedTuple):
    """What one step of one member did; `violation` says what it must not have done."""

    after: int
    mail: tuple[int, ...]
    violation: str


class Violation(Exception):  # noqa: N818 - it is what was looked for
    """Something that must not be has happened."""


@dataclass(frozen=True)
class Report:
    """What a search has found.

    Attributes:
        states: how many it has seen.
        is_complete: whether there are no others.
        depth: the length of the longest path.
        violation: what must not be; empty if nothing was found.
        path: the shortest way there.
    """

    states: int
    is_complete: bool
    depth: int
    violation: str = ""
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"  {number:2}. {line}" for number, line in enumerate(self.path, 1)]
        return "\n".join([self.violation, *lines])


def is_void(message: Message, receiver: Facts) -> bool:
    """Whether a message is an answer that nobody waits for any more, and never will again."""
    match message:
        case RequestVoteResponse():
            waits = receiver.role is Role.CANDIDATE
        case PreVoteResponse():
            waits = receiver.role is Role.PRE_CANDIDATE
            return not waits and message.term <= receiver.term
        case AppendEntriesResponse() | HeartbeatResponse() | InstallSnapshotResponse():
            waits = receiver.role is Role.LEADER
        case TimeoutNow():
            waits = True
        case _:
            return False
    return message.term < receiver.term or (message.term == receiver.term and not waits)


def in_words(message: Message) -> str:
    """Give a message in one line."""
    parts: list[str] = []
    for item in fields(message):
        value = getattr(message, item.name)
        if item.name == "entries":
            value = " ".join(f"{entry.index}:{entry.term}" for entry in value) or "none"
        elif item.name == "meta":
            value = f"{value.index}:{value.term}"
        parts.append(
            f"{item.name}={value!r}" if isinstance(value, bytes) else f"{item.name}={value}"
        )
    return f"{type(message).__name__}({', '.join(parts)})"
