"""The RaServer: mailbox and clock in front of one Raft core and one machine.

It decides nothing about Raft and nothing about trees. A turn is always the same walk:

1. everything that waits in the mailbox becomes events for the core; all waiting commands become
   *one* proposal, that is one log entry,
2. the core takes one step,
3. its effects are executed, in order,
4. the new tree is published, then the replies are given: whoever has a reply finds what it
   acknowledges in the tree.

How the server starts from its files is in `server_recovery.py`; how commands are gathered,
numbered and repeated is in `command_pump.py`; snapshots are in `server_snapshots.py`.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from khepri.encoding import EncodingError
from khepri.errors import ServerStoppedError
from khepri.machine.entries import encode_entry
from khepri.raft import effects as effect
from khepri.raft import events as event
from khepri.raft.types import EntryKind, MemberKind, Role

from .actor import KhepriActor
from .command_pump import CommandPump
from .future import resolve_all
from .membership_cache import LeaderIs, MembersAre
from .pacing import Pacing
from .published_names import Namespace
from .readers_of_a_place import ReadersOfAPlace
from .registry import Register
from .server_messages import (
    AskCore,
    ConsistentRead,
    FrameFrom,
    GetStatus,
    GroupsFrom,
    LowPriority,
    Refusal,
    SnapshotFailed,
    SnapshotReady,
    SnapshotWorkerStarted,
    TakeSnapshotNow,
    WaitForLeader,
    WaitUntilApplied,
    WaitUntilVoter,
)
from .server_recovery import recover_server
from .server_snapshots import ServerSnapshots
from .server_status import server_status
from .wal_writer import WriteEntries, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from khepri.errors import StorageError
    from khepri.machine.entries import Group
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.types import Configuration, Entry

    from .envelope import Envelope
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .label import ActorLabel
    from .server_setup import ServerSetup

_logger = logging.getLogger("khepri.actors.ra_server")

TICK_SECONDS = 0.25
"""How often what is not urgent is looked at: lost groups, the session, the snapshot cadence."""

MAX_PARKED_READS = 10_000
"""So many consistent reads may wait for a leader; those who sent them give up by themselves."""

NOTICE_SECONDS = 0.002
"""A follower may learn so late what is committed, if nobody there waits for it."""

MAX_UNWRITTEN_APPENDS = 2
"""So many appends may wait for the disk before commands are left to gather for the next one."""


class RaServer(KhepriActor):
    """One member of one store."""

    def __init__(self, label: ActorLabel, setup: ServerSetup) -> None:
        """Make the server; it reads its files when it starts.

        Args:
            label: who it is.
            setup: everything it needs of others.
        """
        super().__init__(label)
        self._setup = setup
        self._access = setup.access
        self._pump = CommandPump()
        self._pacing = Pacing()
        self._notices_due = inf
        self._proposes_foreign = False
        self._foreign_index = 0  # up to here there may be commands of other members' clients
        self._append_sequence = 0
        self._written_sequence = 0
        self._disk_error: StorageError | None = None
        self._replies: list[tuple[KhepriFuture[Any], object]] = []
        self._reads: list[_Read] = []
        self._reads_without_leader: list[_Read] = []
        self._waiting_to_be_voter: list[KhepriFuture[Any]] = []
        self._waiting_for_leader: list[KhepriFuture[Any]] = []
        self._readers_of_a_place = ReadersOfAPlace()
        self._next_tick = 0.0
        self._is_recovered = False

    # --- life

    def on_start(self) -> None:
        """Recover machine and core, publish the tree, take the first step."""
        recovered = recover_server(self._setup)
        self._meta_file = recovered.meta_file
        self._commit_note = recovered.commit_note
        self._machine = recovered.machine
        self._core = recovered.core
        self._snapshots = ServerSnapshots(self._setup, recovered)
        self._next_tick = self.clock() + TICK_SECONDS
        self._announce(self._core.configuration)
        self._setup.registry().cast(
            Register(Namespace.STORE, self._setup.store_id, self.reference)
        )
        self._step([event.TriggerElection()] if recovered.is_alone else [])
        while self._core.last_applied < self._core.commit_index:
            self._step([])  # what was known to be committed before the restart
        self._is_recovered = True
        self._access.publish_server(self.reference, self._machine.view)

    def on_terminate(self, reason: Exit) -> None:
        """Close the files; the log itself belongs to the WalWriter."""
        del reason
        self._note_committed()
        self._commit_note.close()
        self._meta_file.close()

    def owed_replies(self) -> Iterable[KhepriFuture[Any] | None]:
        """Everybody whose command is not applied, and who waits for a leader."""
        reads = (read.future for read in (*self._reads, *self._reads_without_leader))
        waiting = (*self._waiting_for_leader, *self._waiting_to_be_voter)
        of_a_place = self._readers_of_a_place.futures()
        commands = (*self._pump.origin.tickets(), *self._pump.low.tickets())
        return (*commands, *waiting, *reads, *of_a_place)

    def next_deadline(self) -> float:
        """Give the core's next timer, the next tick or the next commands, what comes first."""
        return min(
            self._core.next_deadline(), self._next_tick, self._commands_due(), self._notices_due
        )

    def on_deadline(self) -> None:
        """Let time pass."""
        events: list[Event] = [event.TimePassed()]
        now = self.clock()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            keep_alive = self._pump.tick(now)
            if keep_alive is not None:
                self._pump.take_foreign([keep_alive])
            self._snapshots.consider(self._machine, self._core)
            self._note_committed()
            if self._only_an_entry_is_missing():
                wall_clock = self._setup.wall_clock_milliseconds()
                events.append(event.Propose(encode_entry(wall_clock, []), None))
            self._readers_of_a_place.drop_late(now)
        self._step(events)

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Take one turn with everything that waits."""
        events: list[Event] = []
        only_commands = True
        for envelope in envelopes:
            message = envelope.message
            if message.__class__ is bytes:
                self._take_command(message, envelope.reply_to)
            elif message.__class__ is FrameFrom:
                self._open(message, events)
            else:
                only_commands = False
                taken = self._take(message, envelope.reply_to)
                if taken is not None:
                    events.append(taken)
        if events or not only_commands or self._commands_due() <= self.clock():
            self._step(events)

    # --- messages to events

    def _open(self, frame: FrameFrom, events: list[Event]) -> None:
        try:
            for message in self._setup.network.open(frame):
                if isinstance(message, GroupsFrom):
                    self._pump.take_foreign(message.groups)
                else:
                    events.append(
                        event.MessageReceived(message.sender, message.message, message.sender_uid)
                    )
        except EncodingError as error:
            # The sender holds the cluster's cookie, so this is a bug there, and no reason to die.
            _logger.warning("%s dropped what came from %s: %s", self.label, frame.node, error)

    def _take_command(self, command: bytes, ticket: KhepriFuture[Any] | None) -> None:
        """Queue a command, or refuse it: then nothing has happened to it."""
        origin = self._pump.origin
        if self._disk_error is not None:
            refusal: object = self._disk_error
        elif origin.waiting_bytes + len(command) > self._setup.max_waiting_bytes:
            refusal = Refusal(effect.RejectReason.OVERLOADED, None, "")
        else:
            origin.add(command, ticket)
            return
        if ticket is not None:
            ticket.resolve(refusal)

    def _take_low(self, command: bytes, ticket: KhepriFuture[Any]) -> None:
        """Queue a command of low priority, or refuse it; normal ones keep their room."""
        low, origin = self._pump.low, self._pump.origin
        waiting_bytes = origin.waiting_bytes + low.waiting_bytes
        if self._disk_error is not None:
            ticket.resolve(self._disk_error)
        elif waiting_bytes + len(command) > self._setup.max_waiting_bytes:
            ticket.resolve(Refusal(effect.RejectReason.OVERLOADED, None, ""))
        else:
            low.add(command, ticket)

    def _take(self, message: object, ticket: Any) -> Event | None:  # noqa: ANN401, C901, PLR0911, PLR0912 - one case per message
        match message:
            case event.LogWritten():
                self._written_sequence = max(self._written_sequence, message.sequence)
                self._disk_error = None
                return message
            case LowPriority():
                self._take_low(message.command, ticket)
            case ConsistentRead():
                return event.ReadRequest(_Read(ticket, self._pump.origin.added))
            case AskCore():
                return message.make_event(ticket)
            case WaitForLeader():
                self._waiting_for_leader.append(ticket)
                self._answer_leader_waiters()
            case WaitUntilApplied():
                if len(self._readers_of_a_place) < MAX_PARKED_READS:
                    self._readers_of_a_place.add(message, ticket)
                else:
                    ticket.resolve(Refusal(effect.RejectReason.OVERLOADED, None, ""))
            case WaitUntilVoter():
                self._waiting_to_be_voter.append(ticket)
            case GetStatus():
                ticket.resolve(server_status(self._access, self._core, self._snapshots))
            case TakeSnapshotNow():
                self._snapshots.take_now(self._machine, self._core, ticket)
            case WriteFailed():
                return self._disk_failed(message.error)
            case event.LogRecovered():
                self._disk_error = None
                return message
            case event.SnapshotTaken():
                self._snapshots.taken(message.meta)
                return message
            case SnapshotReady():
                return self._install(message)
            case SnapshotFailed():
                self._snapshots.failed(message.reason)
            case SnapshotWorkerStarted():
                self._snapshots.worker_started(message.worker)
            case (
                event.SnapshotChunkRead()
                | event.SnapshotReadFailed()
                | event.SnapshotChunkStored()
                | event.SnapshotAcceptFailed()
            ):
                return message
            case _:
                raise TypeError(f"not a message for a RaServer: {message!r}")
        return None

    def _disk_failed(self, error: StorageError) -> Event:
        """Answer those who wait: what was not sent is dropped, the rest may still come true."""
        origin = self._pump.origin
        self._disk_error = _with_outcome(error, "not_applied")
        unknown = _with_outcome(error, "unknown")
        not_sent = (*origin.drop_unsent(), *self._pump.low.drop())
        resolve_all((ticket, self._disk_error) for ticket in not_sent)
        resolve_all((ticket, unknown) for ticket in origin.abandon_tickets())
        return event.LogWriteFailed(str(error))

    def _install(self, ready: SnapshotReady) -> Event:
        self._machine = ready.machine
        self._access.view = self._machine.view
        self._snapshots.installed(ready.meta, ready.size_bytes)
        unknown = ServerStoppedError(
            "a snapshot was installed meanwhile; whether the command was applied is unknown",
            store_id=self._setup.store_id,
            outcome="unknown",
        )
        self._replies.extend((ticket, unknown) for ticket in self._pump.installed(self._machine))
        return event.SnapshotInstalled(ready.meta)

    # --- the step

    def _step(self, events: list[Event]) -> None:
        now = self.clock()
        if self._reads_without_leader and self._core.leader is not None:
            events.extend(event.ReadRequest(read) for read in self._reads_without_leader)
            self._reads_without_leader = []
        if self._commands_due() <= now:
            events.extend(self._proposals(now))
        for one in self._core.step(events, now):
            self._execute(one)
        self._setup.network.flush()
        self._look_after_notices(now)
        if self._reads:
            self._release_reads()
        if self._waiting_to_be_voter:
            self._answer_voter_waiters()
        view = self._machine.view
        if view is not self._access.view and self._is_recovered:
            self._access.view = view
        if self._readers_of_a_place and self._access.view is not None:
            self._replies.extend(self._readers_of_a_place.take_answerable(self._access.view))
        if self._replies:
            replies, self._replies = self._replies, []
            resolve_all(replies)

    def _look_after_notices(self, now: float) -> None:
        """Tell the others what is committed, if nothing has told them for a moment."""
        if not self._setup.network.has_notices:
            self._notices_due = inf
        elif now >= self._notices_due:
            self._setup.network.flush_notices()
            self._notices_due = inf
        elif self._notices_due == inf:
            self._notices_due = now + NOTICE_SECONDS

    def _commands_due(self) -> float:
        """Give the time from which the waiting commands should go; never, if there are none."""
        pump, core = self._pump, self._core
        if not pump.has_work:
            return inf
        if core.role is not Role.LEADER:
            if core.leader is None and not pump.has_foreign:
                return inf
            return self._pacing.due(pump.waiting_commands, is_under_way=pump.is_forwarding)
        if self._append_sequence - self._written_sequence >= MAX_UNWRITTEN_APPENDS:
            return inf
        if len(core.configuration.members) == 1:
            return 0.0
        is_under_way = core.last_index > core.commit_index
        return self._pacing.due(pump.waiting_commands, is_under_way=is_under_way)

    def _proposals(self, now: float) -> Iterable[Event]:
        core = self._core
        if core.role is Role.LEADER:
            self._proposes_foreign |= self._pump.has_foreign
            time_milliseconds = self._setup.wall_clock_milliseconds()
            entries = self._pump.entries_to_propose(now)
            self._pacing.sent(_commands_in(group for groups in entries for group in groups), now)
            return [
                event.Propose(encode_entry(time_milliseconds, groups), None) for groups in entries
            ]
        self._pump.drop_foreign()
        leader = core.leader
        if leader is not None:
            groups = self._pump.groups_to_forward(now)
            self._pacing.sent(_commands_in(groups), now)
            if groups:
                self._setup.network.send_groups(leader, groups)
        return []

    def _execute(self, one: Effect) -> None:  # noqa: C901 - one case per effect
        match one:
            case effect.AppendEntries():
                self._append(one)
            case effect.ApplyEntries():
                self._apply(one.entries)
            case effect.Send():
                self._setup.network.send(one.to, one.message)
            case effect.PersistHardState():
                self._meta_file.write(one.hard_state)
            case effect.ReadReady():
                assert isinstance(one.ticket, _Read)
                self._reads.append(one.ticket)
            case effect.Completed():
                self._replies.append((_future(one.ticket), None))
            case effect.Rejected():
                self._rejected(one)
            case effect.RoleChanged():
                self._role_changed(one)
            case effect.ConfigurationChanged():
                self._announce(one.configuration)
            case (
                effect.ReadSnapshotChunk()
                | effect.EndSnapshotSend()
                | effect.StoreSnapshotChunk()
                | effect.InstallSnapshot()
                | effect.DiscardSnapshot()
            ):
                self._snapshots.pass_on(one)
            case _:
                assert_never(one)

    def _append(self, append: effect.AppendEntries) -> None:
        self._append_sequence = append.sequence
        if self._proposes_foreign:
            self._foreign_index = append.entries[-1].index
            self._proposes_foreign = False
        self._setup.wal_writer.cast(
            WriteEntries(self._setup.uid, append.entries, append.sequence, self.reference)
        )

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._setup.network.flush()  # others can work while we apply
        if entries[0].index <= self._foreign_index:
            self._setup.network.flush_notices()  # callers wait there
        machine, now = self._machine, self.clock()
        answered = 0
        for entry in entries:
            if entry.kind is EntryKind.COMMANDS:
                applied = machine.apply(entry.index, entry.term, entry.data)
                for result in applied.groups:
                    self._replies.extend(self._pump.applied(result, now))
                    answered += len(result.replies)
                self._snapshots.grown(len(entry.data))
            else:
                machine.skip(entry.index, entry.term)
        self._pacing.answered(
            answered if self._core.role is Role.LEADER else len(self._replies), now
        )

    def _note_committed(self) -> None:
        """Remember, for a restart without a leader, what is applied and also durable here."""
        last = self._core.committed_and_durable
        if last is not None:
            self._commit_note.write(*last)

    def _release_reads(self) -> None:
        """Answer the reads before which nothing sent from here is outstanding any more."""
        settled = self._pump.origin.settled
        self._replies.extend((read.future, None) for read in self._reads if read.after <= settled)
        self._reads = [read for read in self._reads if read.after > settled]

    def _rejected(self, rejected: effect.Rejected) -> None:
        if rejected.ticket is None:
            # A proposal of ours: its commands stay in flight and go again when there is a leader.
            self._pump.lost()
            return
        read = rejected.ticket
        if (
            isinstance(read, _Read)
            and rejected.reason is effect.RejectReason.NOT_LEADER
            and len(self._reads_without_leader) < MAX_PARKED_READS
        ):
            self._reads_without_leader.append(read)
            return
        refusal = Refusal(rejected.reason, rejected.leader, rejected.detail)
        self._replies.append((_future(rejected.ticket), refusal))

    def _role_changed(self, change: effect.RoleChanged) -> None:
        _logger.info(
            "%s is %s in term %d, leader %s",
            self.label,
            change.role.value,
            change.term,
            change.leader and change.leader.node,
        )
        self._pump.lost()
        self._setup.membership_cache.cast(LeaderIs(change.leader))
        self._answer_leader_waiters()

    def _answer_leader_waiters(self) -> None:
        leader = self._core.leader
        if leader is not None and self._waiting_for_leader:
            self._replies.extend((waiter, leader) for waiter in self._waiting_for_leader)
            self._waiting_for_leader = []

    def _only_an_entry_is_missing(self) -> bool:
        """Tell whether tree nodes have expired by our clock and nothing is on its way.

        Log time moves with entries only; while commands come, they bring it along.
        """
        moment = self._machine.next_expiry_milliseconds
        return (
            moment is not None
            and self._core.role is Role.LEADER
            and self._core.last_index == self._machine.view.index
            and self._setup.wall_clock_milliseconds() >= moment
        )

    def _answer_voter_waiters(self) -> None:
        core = self._core
        if core.membership is MemberKind.VOTER and core.leader is not None:
            self._replies.extend((waiter, None) for waiter in self._waiting_to_be_voter)
            self._waiting_to_be_voter = []

    def _announce(self, configuration: Configuration) -> None:
        self._setup.network.set_configuration(configuration)
        ids = tuple(member.server_id for member in configuration.members)
        self._setup.membership_cache.cast(MembersAre(ids))


class _Read(NamedTuple):
    """The ticket of a consistent read.

    It also waits for every command that was sent from here before it, as `fence` promises.
    """

    future: KhepriFuture[Any]
    after: int


def _commands_in(groups: Iterable[Group]) -> int:
    return sum(len(group.commands) for group in groups)


def _with_outcome(error: StorageError, outcome: str) -> StorageError:
    return type(error)(error.message, **{**error.facts, "outcome": outcome})


def _future(ticket: object) -> KhepriFuture[Any]:
    """Give the future of a request that the core knows by a ticket; proposals have none."""
    return ticket.future if isinstance(ticket, _Read) else ticket  # type: ignore[return-value]
