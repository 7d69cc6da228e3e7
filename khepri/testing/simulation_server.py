"""The shell of one simulated member: mailbox and clock in front of the real core and machine.

It mirrors `actors/ra_server.py` turn by turn: everything that waits becomes events, all waiting
commands become one proposal, the core takes one step, its lease is published, its effects are
executed in order, the tree is published, the replies are given. Only the actor is missing. Like
its model it has a case for each message and each effect, and is long for that.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from khepri.actors.command_pump import CommandPump
from khepri.actors.log_clock import LogClock
from khepri.actors.membership_cache import LeaderIs, MembersAre
from khepri.actors.term_saver import TermSaver
from khepri.machine.entries import encode_entry
from khepri.raft import effects as effect
from khepri.raft import events as event
from khepri.raft.core import RaftCore
from khepri.raft.machine_versions import decode_version
from khepri.raft.types import Configuration, EntryKind, Role

from .simulation_owed_calls import OwedCalls
from .simulation_snapshots import SnapshotCadence, SnapshotFailed, SnapshotReady, SnapshotWorker
from .simulation_storage import Write, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.errors import StorageError
    from khepri.log.interface import RecoveredStore
    from khepri.machine.entries import Group
    from khepri.machine.machine import Machine
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.types import HardState

    from .simulation_node import SimulatedNode

TICK_SECONDS = 0.25
MAX_UNWRITTEN_APPENDS = 2


class Ticket(Protocol):
    """Who waits for an answer."""

    def resolve(self, answer: object, index: int) -> None:
        """Take the answer; `index` is what was applied at that moment."""
        ...


class Outcome(NamedTuple):
    """An answer that is not the machine's: a refusal, or nobody will ever know.

    Attributes:
        is_definite: whether it surely did not and will not happen.
        reason: why.
    """

    is_definite: bool
    reason: object


class Command(NamedTuple):
    """To a server: commit these bytes."""

    data: bytes
    ticket: Ticket


class Groups(NamedTuple):
    """To a server: commands that another member forwards."""

    groups: Sequence[Group]


class SimulatedServer:
    """One life of one member.

    Attributes:
        core: the real core.
        machine: the real machine; another one after an installed snapshot.
        pump: the real command pump.
        worker: its snapshot worker.
        is_over: whether this life has ended.
        is_led_since: since when it knows that another member leads; infinity if it does not.
        steps: how many steps its core has taken.
    """

    def __init__(
        self,
        node: SimulatedNode,
        stored: RecoveredStore,
        machine: Machine,
        initial: Configuration,
    ) -> None:
        """Begin with what is on disk; `begin` takes the first step."""
        self.node = node
        self.clock = node.clock_now
        self.machine = machine
        self.meta_file = node.directory.meta(node.uid)
        self._saver = TermSaver(self._persist, node.name)
        self.pump = CommandPump(node.random_bytes)
        self._log_clock = LogClock(node.wall_milliseconds)
        self.core = RaftCore(
            server_id=node.server_id,
            uid=node.uid,
            hard_state=stored.hard_state,
            snapshot=stored.snapshot,
            entries=stored.entries,
            configuration=initial,
            settings=node.settings.raft,
            random=node.random.random,
            machine_version=node.machine_version,
        )
        self.worker = SnapshotWorker(node, self)
        snapshot_index = 0 if stored.snapshot is None else stored.snapshot.index
        self.cadence = SnapshotCadence(node, self, snapshot_index)
        self.is_over = False
        self.steps = 0
        self._is_concluded = True
        self._inbox: list[object] = []
        self._busy_until = -math.inf
        self._append_sequence = 0
        self._written_sequence = 0
        self._disk_error: StorageError | None = None
        self._replies: list[tuple[Any, object, int]] = []
        self._owed_calls = OwedCalls()
        self._luck = random.Random(f"{node.world.seed}/{node.name}/{node.starts}/listeners")
        self._listening_ratio = 0.5 if node.settings.has_listeners else 0.0
        self._listens = False
        self.is_led_since = math.inf
        self._next_tick = self.clock() + TICK_SECONDS
        self._timer_at = math.inf
        self._executors: dict[type, Callable[[Any], None]] = {
            effect.AppendEntries: self._append_entries,
            effect.ApplyEntries: self._apply,
            effect.Send: self._send,
            effect.ReadReady: self._read_ready,
            effect.Completed: self._completed,
            effect.Rejected: self._rejected,
            effect.RoleChanged: self._role_changed,
            effect.ConfigurationChanged: self._configuration_changed,
            effect.ReadSnapshotChunk: self.worker.add,
            effect.EndSnapshotSend: self.worker.add,
            effect.StoreSnapshotChunk: self.worker.add,
            effect.InstallSnapshot: self.worker.add,
            effect.DiscardSnapshot: self.worker.add,
        }

    def begin(self) -> None:
        """Take the first step; elect itself if it is the only voter."""
        self.node.access.withdraw_lease()
        self._announce(self.core.configuration)
        is_alone = self.core.configuration.voters == frozenset({self.node.server_id})
        self._step([event.TriggerElection()] if is_alone else [])
        self._conclude()

    # --- the mailbox

    def arrive(self, message: object) -> None:
        """Take a message; a turn follows at once, or when this server has time."""
        if self.is_over:
            return
        self._inbox.append(message)
        now = self.node.now
        if now >= self._busy_until:
            self.take_turn()
        elif len(self._inbox) == 1:
            self.node.at(self._busy_until, self.take_turn)

    def take_note(self, data: bytes) -> None:
        """Take a command for whose reply nobody waits."""
        self.arrive(Command(data, self.node.world.nobody))

    def stall(self, seconds: float) -> None:
        """Do nothing for a while: what comes waits, and so do the timers."""
        self._busy_until = max(self._busy_until, self.node.now + seconds)

    def resume(self) -> None:
        """End a stall: what waits is taken now."""
        self._busy_until = min(self._busy_until, self.node.now)
        self.node.later(0.0, self.take_turn)

    def take_turn(self) -> None:
        """Do everything that waits."""
        if self.is_over or self.node.now < self._busy_until:
            if self._inbox and not self.is_over:
                self.node.at(self._busy_until, self.take_turn)
            return
        inbox, self._inbox = self._inbox, []
        if not inbox:
            return
        events: list[Event] = []
        for message in inbox:
            taken = self._take(message)
            if taken is not None:
                events.append(taken)
        self._step(events)

    def _take(self, message: object) -> Any:  # noqa: ANN401, PLR0911 - one case per message
        match message:
            case event.MessageReceived():
                return message
            case event.LogWritten():
                self._written_sequence = max(self._written_sequence, message.sequence)
                self._disk_error = None
                return message
            case Command():
                self._take_command(message)
            case Groups():
                self.pump.take_foreign(message.groups)
            case WriteFailed():
                return self._disk_failed(message.error)
            case event.LogRecovered():
                self._disk_error = None
                return message
            case event.SnapshotTaken():
                self.cadence.taken(message.meta)
                return message
            case SnapshotReady():
                return self._install(message)
            case SnapshotFailed():
                self.cadence.failed()
            case _:
                return message
        return None

    def _take_command(self, command: Command) -> None:
        if self._disk_error is not None:
            command.ticket.resolve(Outcome(is_definite=True, reason=self._disk_error), 0)
        elif (
            self.pump.origin.waiting_bytes + len(command.data)
            > self.node.settings.max_waiting_bytes
        ):
            reason = effect.RejectReason.OVERLOADED
            command.ticket.resolve(Outcome(is_definite=True, reason=reason), 0)
        else:
            self.pump.origin.add(command.data, command.ticket)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the pump only hands it back

    def _disk_failed(self, error: StorageError) -> Event:
        self._disk_error = error
        for dropped in self.pump.origin.drop_unsent():
            self._answer(dropped, Outcome(is_definite=True, reason=error))
        for ticket in self.pump.origin.abandon_tickets():
            self._answer(ticket, Outcome(is_definite=False, reason=error))
        return event.LogWriteFailed(str(error))

    def _install(self, ready: SnapshotReady) -> Event:
        self.machine = ready.machine
        self.node.access.publish_view(ready.machine.view)
        self.cadence.installed(ready.meta)
        self.node.observer.installed(self, ready.meta)
        for ticket in self.pump.installed(self.machine):
            self._answer(ticket, Outcome(is_definite=False, reason="a snapshot was installed"))
        return event.SnapshotInstalled(ready.meta)

    # --- the step

    def _step(self, events: list[Event]) -> None:
        self._conclude()  # if it was called early
        now = self.clock()
        saver = self._saver
        if saver.error is not None:
            done = effects = saver.hold(events, now)
            events = []
            if saver.is_done:
                self._disk_error = None
        else:
            if saver.due != math.inf:
                events[:0] = saver.take_held()
            if self.pump.has_work:
                events.extend(self._proposals(now))
            self.steps += 1
            done = effects = self.core.step(events, now)
            self._publish_lease()
            if effects and isinstance(effects[0], effect.PersistHardState):
                done = self._save_term(effects, now)
        if not saver.is_done:
            self._is_concluded = False
            self._conclude()
            self._set_timer()
            return
        executors = self._executors
        for one in done:
            executors[one.__class__](one)
        self.node.world.trace_step(self, events)
        self.node.observer.stepped(self, events, effects)
        self._is_concluded = False
        busy_seconds = self.node.busy_seconds()
        if busy_seconds:
            self._busy_until = max(self._busy_until, self.node.now + busy_seconds)
            self.node.at(self._busy_until, self._conclude)
        else:
            self._conclude()
        self._set_timer()

    def _save_term(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        effects = self._saver.save(effects, now)
        if self._saver.error is not None:
            if self.steps == 1:
                raise self._saver.error  # the start fails
            self._disk_failed(self._saver.error)
        return effects

    def _publish_lease(self) -> None:
        self.node.access.publish_lease(self.core.lease_until, self.core.commit_index)

    def _conclude(self) -> None:
        """Publish the tree, then give the replies; the messages may have arrived before."""
        if self._is_concluded or self.is_over:
            return
        self._is_concluded = True
        self.node.access.publish_view(self.machine.view)
        self._owed_calls.look(self)
        if self._replies:
            replies, self._replies = self._replies, []
            for ticket, answer, index in replies:
                ticket.resolve(answer, index)

    def _proposals(self, now: float) -> list[Event]:
        core = self.core
        if core.role is Role.LEADER:
            if self._append_sequence - self._written_sequence >= MAX_UNWRITTEN_APPENDS:
                return []
            time_milliseconds = self._log_clock.read(now, self.machine.time_milliseconds)
            has_foreign = self.pump.has_foreign
            return [
                event.Propose(encode_entry(time_milliseconds, groups), None, has_foreign)
                for groups in self.pump.entries_to_propose(now)
            ]
        self.pump.drop_foreign()
        leader = core.leader
        if leader is not None:
            groups = self.pump.groups_to_forward(now)
            if groups:
                self.node.send(leader, groups)
        return []

    def _answer(self, ticket: object, answer: object) -> None:
        if ticket is not None:
            self._replies.append((ticket, answer, self.machine.view.index))

    # --- effects

    def _append_entries(self, one: effect.AppendEntries) -> None:
        self._append_sequence = one.sequence
        # A real server prepares only while it leads and is alone. Here all do: what was prepared
        # is also to be thrown away where another leader's entry takes the place.
        first = one.entries[0]
        if first.kind is EntryKind.COMMANDS and first.index == self.machine.view.index + 1:
            self.machine.prepare(first.data)
        self.node.wal_writer.append(Write(one.entries, one.sequence, self))

    def _apply(self, one: effect.ApplyEntries) -> None:
        machine, now, observer = self.machine, self.clock(), self.node.observer
        machine.wants_changes = self._listens
        for entry in one.entries:
            if entry.kind is EntryKind.COMMANDS:
                applied = machine.apply(entry.index, entry.term, entry.data)
                observer.applied(self, entry, applied)
                for result in applied.groups:
                    for ticket, reply in self.pump.applied(result, now):
                        self._replies.append((ticket, reply, entry.index))
                self.cadence.grown()
            else:
                is_noop = entry.kind is EntryKind.NOOP
                raised_to = decode_version(entry.data) if is_noop else None
                machine.skip(entry.index, entry.term, raised_to)
                observer.applied(self, entry, None)
        for ticket in self.pump.unanswerable:
            self._answer(ticket, Outcome(is_definite=False, reason="the session has expired"))
        self.pump.unanswerable.clear()

    def _send(self, one: effect.Send) -> None:
        self.node.send(one.to, one.message)

    def _persist(self, hard_state: HardState) -> None:
        self.meta_file.write(hard_state)
        self.node.observer.persisted(self, hard_state)

    def _read_ready(self, one: effect.ReadReady) -> None:
        self._answer(one.ticket, None)

    def _completed(self, one: effect.Completed) -> None:
        self._answer(one.ticket, None)

    def _rejected(self, one: effect.Rejected) -> None:
        if one.ticket is None:
            self.pump.lost()
        else:
            self._answer(one.ticket, one)

    def _role_changed(self, one: effect.RoleChanged) -> None:
        self.pump.leader_is(one.term, one.leader)
        self.node.membership_cache.cast(LeaderIs(one.leader))
        is_other = one.leader not in {None, self.node.server_id}
        self.is_led_since = self.node.now if is_other else math.inf

    def _configuration_changed(self, one: effect.ConfigurationChanged) -> None:
        self._announce(one.configuration)

    def _announce(self, configuration: Configuration) -> None:
        ids = tuple(member.server_id for member in configuration.members)
        self.node.membership_cache.cast(MembersAre(ids))

    # --- time

    def _deadline(self) -> float:
        due = self._saver.due
        return min(self.core.next_deadline() if due == math.inf else due, self._next_tick)

    def _set_timer(self) -> None:
        deadline = self._deadline()
        node = self.node
        at = node.now if deadline == -math.inf else node.clock.virtual(deadline)
        if at < self._timer_at:
            self._timer_at = max(at, node.now)
            node.at(self._timer_at, self._timer, self._timer_at)

    def _timer(self, at: float) -> None:
        if self.is_over or at != self._timer_at:
            self.node.world.steps -= 1  # an older alarm: nothing happens
            return
        self._timer_at = math.inf
        now = self.clock()
        if self.node.now < self._busy_until:
            self._timer_at = self._busy_until
            self.node.at(self._timer_at, self._timer, self._timer_at)
            self.node.world.steps -= 1
        elif now < self._deadline():
            self._set_timer()
            self.node.world.steps -= 1
        elif self._inbox:
            self.take_turn()  # what waits goes first, and looks at the timers too
            self._set_timer()
        else:
            self._on_deadline(now)

    def _on_deadline(self, now: float) -> None:
        events: list[Event] = [event.TimePassed()]
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            follows = self.core.role is not Role.LEADER and self.core.leader is not None
            keep_alive = self.pump.tick(now, follows=follows)
            if keep_alive is not None:
                self.pump.take_foreign([keep_alive])
            self.cadence.consider()
            self._listens = self._luck.random() < self._listening_ratio
            made = self._owed_calls.tick(self)
            if made is not None:
                self._take_command(Command(made, self.node.world.nobody))
            events += self._entry_for_expiries(now)
        self._step(events)

    def _entry_for_expiries(self, now: float) -> list[Event]:
        """Do as `CommandFlow.entry_for_expiries`."""
        moment, core = self.machine.next_expiry_milliseconds, self.core
        milliseconds = self._log_clock.read(now, self.machine.time_milliseconds)
        if (
            moment is None
            or moment > milliseconds
            or core.role is not Role.LEADER
            or core.last_index != self.machine.view.index
        ):
            return []
        return [event.Propose(encode_entry(milliseconds, []), None)]
