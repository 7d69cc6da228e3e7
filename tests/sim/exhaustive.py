"""Every interleaving of a small world: three members, two terms, three entries, to a depth.

The state of the world is three real cores, what of each is durable, and the messages on their
way. The moves: deliver a message, drop it, deliver it and keep it (a duplicate), let a member's
timer run out, let a disk finish its writes, crash a member (it wakes up with what was durable),
propose a command at a leader. From every state every move is made, up to the depth; a state that
was seen at the same or a smaller depth is not walked again. I1 to I8 are checked in each state.

Cores are made again from the moves that led to a state: they are not built to be copied.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from khepri.raft import effects as effect
from khepri.raft import events as event
from khepri.raft.core import RaftCore
from khepri.raft.settings import RaftSettings
from khepri.raft.types import (
    NO_HARD_STATE,
    Configuration,
    Entry,
    HardState,
    Member,
    MemberKind,
    Role,
    ServerId,
)
from tests.sim.violation import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.messages import Message

NAMES = "ABC"
MOST_TERM = 2
MOST_ENTRIES = 3
MOST_ON_THE_WAY = 4
_SETTINGS = RaftSettings(max_append_entries=2, max_inflight_messages=2)
_CONFIGURATION = Configuration(
    tuple(Member(ServerId("s", name), f"uid {name}", MemberKind.VOTER) for name in NAMES)
)

Move = tuple[str, int]
Packet = tuple[int, int, "Message"]


@dataclass
class _Member:
    """A core and its disk."""

    core: RaftCore
    hard_state: HardState = NO_HARD_STATE
    durable: list[Entry] = field(default_factory=list[Entry])
    writing: list[tuple[tuple[Entry, ...], int]] = field(
        default_factory=list[tuple[tuple[Entry, ...], int]]
    )
    now: float = 0.0
    applied: list[Entry] = field(default_factory=list[Entry])
    crashes: int = 0


def _core(name: str, hard_state: HardState, entries: list[Entry]) -> RaftCore:
    return RaftCore(
        server_id=ServerId("s", name),
        uid=f"uid {name}",
        hard_state=hard_state,
        snapshot=None,
        entries=list(entries),
        configuration=_CONFIGURATION,
        settings=_SETTINGS,
        random=lambda: 0.5,
    )


class World:
    """Three members and the messages between them, after some moves."""

    def __init__(self) -> None:
        self.members = [_Member(_core(name, NO_HARD_STATE, [])) for name in NAMES]
        self.messages: list[Packet] = []
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], ServerId] = {}
        self.committed: dict[int, Entry] = {}
        self.proposals = 0
        for number in range(3):
            self._step(number, [])
        self._step(0, [event.TriggerElection()])

    # --- moves

    def moves(self, most_crashes: int) -> Iterator[Move]:
        """Give every move that can be made now."""
        for position in range(len(self.messages)):
            yield ("deliver", position)
            yield ("drop", position)
            if len(self.messages) < MOST_ON_THE_WAY:
                yield ("duplicate", position)
        crashes = sum(member.crashes for member in self.members)
        for number, member in enumerate(self.members):
            if member.writing:
                yield ("write", number)
            if member.core.term < MOST_TERM or member.core.role is Role.LEADER:
                yield ("timeout", number)
            if crashes < most_crashes and (member.durable or member.hard_state.term):
                yield ("crash", number)
            is_leader = member.core.role is Role.LEADER
            if is_leader and self.proposals < MOST_ENTRIES - 1:
                yield ("propose", number)

    def move(self, move: Move) -> None:
        """Make one move and check the invariants."""
        kind, number = move
        match kind:
            case "deliver" | "duplicate":
                sender, receiver, message = self.messages[number]
                if kind == "deliver":
                    del self.messages[number]
                received = event.MessageReceived(ServerId("s", NAMES[sender]), message)
                self._step(receiver, [received])
            case "drop":
                del self.messages[number]
            case "write":
                self._write(number)
            case "timeout":
                member = self.members[number]
                member.now += 1.0
                self._step(number, [event.TimePassed()])
            case "crash":
                self._crash(number)
            case _:
                self.proposals += 1
                self._step(number, [event.Propose(b"command %d" % self.proposals, None)])
        self._check()

    def _write(self, number: int) -> None:
        member = self.members[number]
        entries, sequence = member.writing.pop(0)
        del member.durable[entries[0].index - 1 :]
        member.durable.extend(entries)
        last = entries[-1]
        self._step(number, [event.LogWritten(last.index, last.term, sequence)])

    def _crash(self, number: int) -> None:
        member = self.members[number]
        member.core = _core(NAMES[number], member.hard_state, member.durable)
        member.writing.clear()
        member.applied.clear()
        member.crashes += 1
        self._step(number, [])

    def _step(self, number: int, events: list[Event]) -> None:
        member = self.members[number]
        for one in member.core.step(events, member.now):
            self._execute(number, member, one)

    def _execute(self, number: int, member: _Member, one: Effect) -> None:  # noqa: C901 - one case per effect
        match one:
            case effect.PersistHardState():
                check(one.hard_state.term >= member.hard_state.term, "I3", "the durable term")
                member.hard_state = one.hard_state
                if one.hard_state.voted_for is not None:
                    key = (number, one.hard_state.term)
                    first = self.votes.setdefault(key, one.hard_state.voted_for)
                    check(first == one.hard_state.voted_for, "I2", f"two votes of {key}")
            case effect.AppendEntries():
                member.writing.append((one.entries, one.sequence))
            case effect.Send():
                if len(self.messages) < MOST_ON_THE_WAY:  # else it is lost
                    self.messages.append((number, NAMES.index(one.to.node), one.message))
            case effect.ApplyEntries():
                for entry in one.entries:
                    check(entry.index == len(member.applied) + 1, "I7", "applied in order")
                    member.applied.append(entry)
                    known = self.committed.setdefault(entry.index, entry)
                    check(known == entry, "I7", f"{known} and {entry} are applied")
            case effect.RoleChanged(role=Role.LEADER):
                first_leader = self.leaders.setdefault(one.term, number)
                check(first_leader == number, "I1", f"two leaders of term {one.term}")
                log = member.core._server.log
                for index, entry in self.committed.items():
                    if entry.term < one.term:
                        check(log.term_at(index) == entry.term, "I6", f"{entry} is missing")
            case _:
                pass

    # --- looking at it

    def _check(self) -> None:
        logs = [member.core._server.log for member in self.members]
        for member in self.members:
            core = member.core
            check(core.last_applied <= core.commit_index <= core.last_index, "I8", "indexes")
        for number, log in enumerate(logs):
            for other in logs[:number]:
                agree = False
                for index in range(min(log.last_index, other.last_index), 0, -1):
                    same = log.term_at(index) == other.term_at(index)
                    check(same or not agree, "I5", f"logs agree above {index} and not there")
                    agree = agree or same

    def fingerprint(self) -> object:
        """Give what tells states apart that go on differently."""
        members: list[object] = []
        for member in self.members:
            core = member.core
            raft = core._server
            members.append(
                (
                    core.role.value,
                    core.term,
                    raft.voted_for,
                    core.leader,
                    tuple(entry.term for entry in raft.log.between(1, core.last_index)),
                    core.commit_index,
                    core.last_written,
                    member.hard_state,
                    tuple(entry.term for entry in member.durable),
                    len(member.writing),
                    member.crashes,
                    _role_fingerprint(raft),
                )
            )
        packets = sorted((a, b, repr(message)) for a, b, message in self.messages)
        return (tuple(members), tuple(packets), self.proposals)


def _role_fingerprint(raft: object) -> object:
    role = raft.role  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
    peers = getattr(role, "peers", None)  # pyright: ignore[reportUnknownArgumentType]
    if peers is not None:
        return tuple(
            (p.match_index, p.next_index, p.state.value, p.probe_sent) for p in peers.all.values()
        )
    tally = getattr(role, "_tally", None)  # pyright: ignore[reportUnknownArgumentType]
    if tally is not None:
        return tuple(sorted(tally.granted))
    return getattr(role, "validated_index", None)  # pyright: ignore[reportUnknownArgumentType]


def explore(
    depth: int,
    *,
    most_crashes: int = 1,
    prefix: tuple[Move, ...] = (),
    seen: set[object] | None = None,
) -> tuple[int, int]:
    """Walk all interleavings up to a depth; give how many states and moves there were."""
    known: set[object] = set() if seen is None else seen
    start = World()
    for move in prefix:
        start.move(move)
    level = [start]
    moves = 0
    for _ in range(depth):
        following: list[World] = []
        for world in level:
            for move in list(world.moves(most_crashes)):
                moves += 1
                after = _copy(world)
                after.move(move)
                mark = after.fingerprint()
                if mark not in known:
                    known.add(mark)
                    following.append(after)
        level = following
    return len(known), moves


_copy: Callable[[World], World] = copy.deepcopy
