"""One member of a small world: a core and its disk, as a value that is copied and compared.

A step of a core depends on nothing but its own state, so the explorer (`small_worlds.py`) keeps
each state of a member once and each step of it once, however many worlds they occur in.

Here: the member, and what it must never do by itself. Not here: copying and comparing it
(`small_world_essence.py`), what must hold between several (`small_world_checks.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from khepri.raft.effects import (
    DiscardSnapshot,
    Effect,
    InstallSnapshot,
    PersistHardState,
    ReadReady,
    ReadSnapshotChunk,
    Send,
    StoreSnapshotChunk,
)
from khepri.raft.events import LogWritten, TimePassed, TriggerElection
from khepri.raft.messages import (
    AppendEntriesResponse,
    HeartbeatResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)
from khepri.raft.types import Configuration, Entry, EntryKind, HardState
from tests.raft.raft_helpers import Node, _unpack_machine
from tests.raft.raft_notation import sid

if TYPE_CHECKING:
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from khepri.raft.settings import RaftSettings

SnapshotJob = ReadSnapshotChunk | StoreSnapshotChunk | InstallSnapshot | DiscardSnapshot


@dataclass(frozen=True)
class Luck:
    """The chance of one incarnation: always the same, and another one after a restart."""

    value: float

    def random(self) -> float:
        return self.value


class SmallMember(Node):
    """A node that holds still before everything its disk does, and looks at all that it says."""

    def __init__(self, name: str, configuration: Configuration, settings: RaftSettings) -> None:
        self.starts = 0
        self.notices: list[Event] = []
        self.work_waiting: list[SnapshotJob] = []
        super().__init__(name, configuration=configuration, settings=settings)

    def _boot(self) -> None:
        self.starts += 1
        luck = Luck(self.starts / 64 + ord(self.name) / 4096)
        self._random = luck  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        self.notices, self.work_waiting = [], []
        super()._boot()
        held = self.core._server.log
        self.disk.entries = list(held.between(held.base_index + 1, held.last_index))

    def step(self, *events: Event, now: float | None = None) -> list[Effect]:
        term, commit_index = self.core.term, self.core.commit_index
        effects = super().step(*events, now=now)
        self.history.clear()
        assert self.core.term >= term, "the term goes down"
        assert self.core.commit_index >= commit_index, "the commit index goes down"
        changes = [item for item in self.whole_log if item.kind is EntryKind.MEMBERSHIP]
        expected = Configuration.decode(changes[-1].data) if changes else self.configuration
        assert self.core.configuration == expected, "not what the log says is in effect"
        return effects

    def write_next(self) -> None:
        """The disk takes the oldest write; its notice is not heard yet."""
        effect = self.unsynced.pop(0)
        self.disk.write(effect.entries)
        last = effect.entries[-1]
        self.notices.append(LogWritten(last.index, last.term, effect.sequence))

    def hear_of_disk(self) -> None:
        """The core is told of the oldest writing that it has not heard of."""
        self.step(self.notices.pop(0))

    def do_next_work(self) -> None:
        """The snapshot worker does one thing and says so."""
        super()._execute(self.work_waiting.pop(0))
        jobs, self.jobs = self.jobs, []
        self.step(*jobs)

    def run_out_of_patience(self, *, timed: bool) -> None:
        """Campaign: because nobody was heard for long, or, the first time ever, by order."""
        deadline = self.core._server.role.deadline
        if math.isinf(deadline):
            self.forget_promise()
            self.step(TriggerElection())
        else:
            self.step(TimePassed(), now=self.now if timed else max(self.now, deadline))

    def send_heartbeats(self) -> None:
        """As a leader whose interval is over."""
        self.step(TimePassed(), now=max(self.now, self.core._server.role.deadline))

    def hear_nobody(self) -> None:
        """As a leader whom no majority has answered for so long that it steps down."""
        silence_seconds = self.settings.election_timeout_max_seconds + 1
        self.step(TimePassed(), now=self.now + silence_seconds)

    @property
    def may_take_snapshot(self) -> bool:
        """Whether there is something to take one of."""
        taken = 0 if self.disk.snapshot is None else self.disk.snapshot.index
        installs = any(isinstance(job, InstallSnapshot) for job in self.work_waiting)
        return len(self.machine) > taken and not installs

    def crash_amid_installation(self) -> None:
        """The snapshot is in its place and the log that it replaces is still there."""
        entries = self.disk.entries
        super()._execute(self.work_waiting.pop(0))
        self.disk.entries = entries
        self.crash_and_restart()

    def _execute(self, effect: Effect) -> None:
        match effect:
            case PersistHardState():
                self._look_at_vote(effect.hard_state)
            case Send():
                self._look_at_promises(sid(self.name), effect.to, effect.message)
            case ReadReady():
                # The ticket is how much was committed anywhere when the read was asked for.
                assert isinstance(effect.ticket, int)
                assert effect.index >= effect.ticket, "a stale read is answered"
            case (
                ReadSnapshotChunk() | StoreSnapshotChunk() | InstallSnapshot() | DiscardSnapshot()
            ):
                self.work_waiting.append(effect)
                return
            case _:
                pass
        super()._execute(effect)

    def _look_at_vote(self, new: HardState) -> None:
        old = self.disk.hard_state
        if new.term == old.term and old.voted_for is not None:
            assert new.voted_for == old.voted_for, "a vote is taken back"

    def _look_at_promises(self, own_id: object, to: object, message: Message) -> None:
        """Nothing is said that a crash right now would make untrue."""
        disk = self.disk
        term = getattr(message, "term", 0)
        assert disk.hard_state.term >= term, "a term is told before it is durable"
        match message:
            case RequestVoteRequest():
                assert disk.hard_state == (term, own_id), "votes are asked for before the own one"
            case RequestVoteResponse(granted=True):
                assert disk.hard_state == (term, to), "a vote is told before it is durable"
            case AppendEntriesResponse(success=True) | HeartbeatResponse():
                durable = self.durable
                index = message.last_index
                held = durable[index - 1].term if 0 < index <= len(durable) else 0
                assert held == message.last_term, "entries are confirmed before they are durable"
            case _:
                pass

    @property
    def durable(self) -> tuple[Entry, ...]:
        """What a restart would find, from the first entry on."""
        disk = self.disk
        covered = 0 if disk.snapshot is None else disk.snapshot.index
        machine = _unpack_machine(disk.snapshot_data)
        return (*machine, *(item for item in disk.entries if item.index > covered))

    @property
    def whole_log(self) -> tuple[Entry, ...]:
        """The log in memory, from the first entry on: what it no longer holds was applied."""
        held = self.core._server.log
        return (
            *self.machine[: held.base_index],
            *held.between(held.base_index + 1, held.last_index),
        )
