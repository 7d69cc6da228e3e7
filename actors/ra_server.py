"""The RaServer: mailbox and clock in front of one Raft core and one machine.

It decides nothing about Raft and nothing about trees. A turn is always the same walk:

1. everything that waits in the mailbox becomes events for the core; all waiting commands become
   *one* proposal, that is one log entry,
2. the core takes one step,
3. its effects are executed, in order, but for what is to be applied,
4. that is applied, the new tree is published, then the replies are given: whoever has a reply
   finds what it acknowledges in the tree.

A follower writes small appends itself and confirms them before it applies anything: its leader
waits for the confirmation, and for the rest nobody does.

The start from files is in `server_recovery.py`, commands are in `command_flow.py`, who waits for
something else is in `server_waiters.py`, snapshots are in `server_snapshots.py`. It is long all
the same: each message and each effect has its case here.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, assert_never

from khepri.encoding import EncodingError
from khepri.errors import DiskFullError
from khepri.machine.commands import actions_done, encode
from khepri.raft import effects as effect
from khepri.raft import events as event
from khepri.raft.machine_versions import decode_version
from khepri.raft.types import EntryKind, Role

from .change_source import ChangeSource
from .collector_pace import PACE
from .command_flow import CommandFlow, with_outcome
from .event_handler import ActionsAreOwed
from .frozen_heap import FrozenHeap
from .future import KhepriFuture, resolve_all
from .lending import LendingActor
from .membership_cache import LeaderIs, MembersAre
from .published_names import Namespace
from .registry import Register
from .server_clock import server_clock
from .server_log import ServerLog
from .server_messages import (
    AskCore,
    ConsistentRead,
    FrameFrom,
    GetStatus,
    GroupsFrom,
    LowPriority,
    SnapshotFailed,
    SnapshotReady,
    SnapshotWorkerStarted,
    TakeSnapshotNow,
    WaitForLeader,
    WaitForMachineVersion,
    WaitUntilApplied,
    WaitUntilVoter,
)
from .server_recovery import recover_server
from .server_snapshots import ServerSnapshots
from .server_status import ForgetfulPeers, server_status
from .server_waiters import Read, ServerWaiters
from .shared_log import NO_ABSENCE
from .term_saver import TermSaver
from .wal_writer import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from khepri.machine.triggers import Triggers
    from khepri.raft.effects import AppendEntries, Effect
    from khepri.raft.events import Event
    from khepri.raft.types import Configuration, Entry

    from .envelope import Envelope
    from .exit_reason import Exit
    from .label import ActorLabel
    from .server_recovery import RecoveredServer
    from .server_setup import ServerSetup

_logger = logging.getLogger("khepri.actors.ra_server")

TICK_SECONDS = 0.25
"""How often what is not urgent is looked at: lost groups, the session, the snapshot cadence."""


class RaServer(LendingActor):
    """One member of one store."""

    def __init__(self, label: ActorLabel, setup: ServerSetup) -> None:
        """Make the server; it reads its files when it starts.

        Args:
            label: who it is.
            setup: everything it needs of others.
        """
        super().__init__(label, clock=server_clock)
        self._setup = setup
        self._access = setup.access
        self._changes = ChangeSource(setup.access)
        self._flow = CommandFlow(setup, self.clock)
        self._waiters = ServerWaiters()
        self._forgetful_peers = ForgetfulPeers()
        self._log = ServerLog(setup, self._flow)
        self._replies: list[tuple[KhepriFuture[Any], object]] = []
        self._to_write: AppendEntries | None = None
        self._to_apply: list[Entry] = []
        self._next_tick = 0.0
        self._is_recovered = False
        self._told_of: Triggers | None = None  # what the EventHandler knows to be owed

    # --- life

    def on_start(self) -> None:
        """Recover machine and core, publish the tree, take the first step."""
        self._access.withdraw_lease()
        recovered = recover_server(self._setup)
        self._meta_file = recovered.meta_file
        self._saver = TermSaver(recovered.meta_file.write, self.label)
        self._commit_note = recovered.commit_note
        self._machine = recovered.machine
        self._core = recovered.core
        self._access.machine_version = self._machine.version
        try:
            self._start_with(recovered)
        except BaseException:  # an actor whose start fails is not asked to terminate
            self._close_files()
            raise
        PACE.server_started()

    def _start_with(self, recovered: RecoveredServer) -> None:
        self._snapshots = ServerSnapshots(self._setup, recovered)
        self._heap = FrozenHeap(self._machine.view.root.size)
        self._next_tick = self.clock() + TICK_SECONDS
        self._announce(self._core.configuration)
        self._setup.registry().cast(
            Register(Namespace.STORE, self._setup.store_id, self.reference)
        )
        first: list[Event] = []
        if recovered.is_alone:
            first.append(event.TriggerElection())
        elif recovered.was_nameless:
            done: KhepriFuture[None] = KhepriFuture()  # nobody waits for it
            first.append(event.ForceSingleMember(done))  # under the name it has now
        self._step(first)
        while self._core.last_applied < self._core.commit_index:
            self._step([])  # what was known to be committed before the restart
        self._is_recovered = True
        self._access.publish_server(self.reference, self._machine.view)  # told in the next turn

    def on_terminate(self, reason: Exit) -> None:
        """Close the files; the log itself belongs to the WalWriter."""
        del reason
        PACE.server_ended()
        self._access.withdraw_lease()  # an endless one would outlive the store
        self._note_committed()
        self._close_files()

    def _close_files(self) -> None:
        self._commit_note.close()
        self._meta_file.close()

    def owed_replies(self) -> Iterable[KhepriFuture[Any] | None]:
        """Everybody whose command is not applied, and who waits for something else."""
        owed = [*self._flow.tickets(), *self._waiters.futures()]
        owed += [future for future, _ in self._replies]
        if self._is_recovered:
            owed += map(_future, (*self._core.tickets(), *self._saver.tickets()))
        return owed

    def next_deadline(self) -> float:
        """Give the core's next timer, the next tick or the next commands, what comes first."""
        if self._saver.due != inf:
            return min(self._saver.due, self._next_tick)
        core, notices_due = self._core, self._setup.network.notices_due
        return min(core.next_deadline(), self._next_tick, self._flow.due(core), notices_due)

    def on_deadline(self) -> None:
        """Let time pass."""
        events: list[Event] = [event.TimePassed(), *self._log.news()]
        now = self.clock()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            follows = self._core.role is not Role.LEADER and self._core.leader is not None
            keep_alive = self._flow.pump.tick(now, follows=follows)
            if keep_alive is not None:
                self._flow.pump.take_foreign([keep_alive])
            self._heap.consider(self._machine.view.root.size, self._snapshots.applied_bytes)
            self._snapshots.consider(self._machine, self._core)
            self._note_committed()
            self._forgetful_peers.look(self._core)
            events += self._flow.entry_for_expiries(self._core, self._machine)
            self._waiters.forget_abandoned(time.monotonic())  # the callers' clock
            self._told_of = None  # it may have crashed, or not know yet that this member leads
            made = self._access.take_calls_made()
            if made:  # the call behind them takes long
                self._flow.take(encode(actions_done(made)), None)
            if self._core.leader is None:
                self._flow.pump.withdraw_abandoned()
        self._step(events)

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Take one turn with everything that waits."""
        events = self._log.news()  # older than any message about the disk
        commands: list[tuple[bytes, KhepriFuture[Any] | None]] = []
        only_commands = True
        for envelope in envelopes:
            message = envelope.message
            if message.__class__ is bytes:
                commands.append((message, envelope.reply_to))
            elif message.__class__ is FrameFrom:
                self._open(message, events)
            else:
                if commands:
                    self._flow.take_all(commands)  # a read waits for the commands before it
                    commands.clear()
                only_commands = False
                taken = self._take(message, envelope.reply_to)
                if taken is not None:
                    events.append(taken)
        if commands:
            self._flow.take_all(commands)
        self._step(events, only_if_due=only_commands and not events)

    # --- messages to events

    def _open(self, frame: FrameFrom, events: list[Event]) -> None:
        try:
            for message in self._setup.network.open(frame, self._core.term):
                if isinstance(message, GroupsFrom):
                    self._flow.pump.take_foreign(message.groups)
                else:
                    events.append(
                        event.MessageReceived(message.sender, message.message, message.sender_uid)
                    )
        except EncodingError as error:
            # The sender holds the cluster's cookie, so this is a bug there, and no reason to die.
            _logger.warning("%s dropped what came from %s: %s", self.label, frame.node, error)

    def _take(self, message: object, ticket: Any) -> Event | None:  # noqa: ANN401, C901, PLR0911, PLR0912 - one case per message
        match message:
            case event.LogWritten():
                # It wakes us; mostly its notice is among the news of this turn already.
                return message if self._flow.written(message.sequence) else None
            case LowPriority():
                self._flow.take(message.command, ticket, is_low=True)
            case ConsistentRead() | AskCore() if self._saver.error is not None:
                ticket.resolve(with_outcome(self._saver.error, "not_applied"))
            case ConsistentRead():
                return event.ReadRequest(Read(ticket, self._flow.pump.origin.added))
            case AskCore():
                return message.make_event(ticket)
            case WaitForLeader():
                self._waiters.wait_for_leader(ticket)
            case WaitForMachineVersion():
                self._waiters.wait_for_machine_version(message.version, ticket)
            case WaitUntilApplied():
                self._waiters.wait_for_place(message, ticket)
            case WaitUntilVoter():
                self._waiters.wait_to_be_voter(ticket)
            case GetStatus():
                ticket.resolve(server_status(self._access, self._core, self._snapshots))
            case TakeSnapshotNow():
                self._snapshots.take_now(self._machine, self._core, ticket)
            case WriteFailed() if self._flow.has_written(message.sequence):
                pass  # the disk had recovered before we looked, and its notice was found first
            case WriteFailed():
                if isinstance(message.error, DiskFullError):
                    self._snapshots.space_is_short()
                return self._flow.disk_failed(message.error)
            case event.LogRecovered():
                self._flow.disk_recovered()
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

    def _install(self, ready: SnapshotReady) -> Event:
        self._machine = ready.machine
        self._access.machine_version = self._machine.version
        self._changes.publish(self._machine.view)
        self._snapshots.installed(ready.meta, ready.size_bytes)
        self._flow.installed(self._machine)
        return event.SnapshotInstalled(ready.meta)

    # --- the step

    def _step(self, events: list[Event], *, only_if_due: bool = False) -> None:
        """Go once through all that events lead to; or only if a command is to go now."""
        now, core, flow, log = self.clock(), self._core, self._flow, self._log
        is_due = flow.due(core) <= now
        if only_if_due and not is_due:
            return
        self._decide(events, now, is_due=is_due)
        while self._to_write is not None:
            append, self._to_write = self._to_write, None
            owes = self._to_apply or self._replies or self._waiters.are_there
            entry = flow.entry_to_prepare(append, self._to_apply, core)
            if not flow.may_write_here(append, core, can_leave=self.has_own_turn):
                log.hand_on(append, self.reference)
                if entry is not None and not owes:
                    self._prepare(entry)
                break
            if owes and core.role is Role.LEADER:
                self._conclude()  # who waits has the reply before this thread waits for the disk
            absence: AbstractContextManager[object] = NO_ABSENCE
            prepare = self._prepare
            if core.role is Role.LEADER and len(core.configuration.members) > 1:
                self._setup.network.stand_by(self.reference, now)
                absence, prepare = self.away(), self._prepare_if_back
            meanwhile = None if entry is None else partial(prepare, entry)
            written = log.write(append, self.reference, meanwhile, absence)
            self.raise_failure()
            if written is not None:
                now = self.clock()
                self._decide([written], now, is_due=flow.due(core) <= now)
        self._conclude()
        if log.end_turn(core):
            self._step(log.news())
        self.is_lending = self._saver.error is None and flow.next_turn_is_brief(core)

    def _decide(self, events: list[Event], now: float, *, is_due: bool) -> None:
        """Have the core take one step, and do everything it wants but apply."""
        core, flow = self._core, self._flow
        if self._saver.error is not None:
            effects = self._saver.hold(events, now)
            if self._saver.is_done:
                flow.disk_recovered()
            else:
                flow.disk_failed(self._saver.error)  # a notice of the log may have ended it
        else:
            if self._saver.due != inf:
                events[:0] = self._saver.take_held()
            if self._waiters.are_there:
                events.extend(self._waiters.reads_to_ask(core))
            if is_due:
                events.extend(flow.propose_or_forward(core, self._machine, now))
            effects = core.step(events, now)
            # Before any effect: by a message another member may learn of a commit, or vote.
            self._access.publish_lease(core.lease_until, core.commit_index)
            if effects and isinstance(effects[0], effect.PersistHardState):
                effects = self._save_term(effects, now)
        for one in effects:
            self._execute(one)
        self._setup.network.flush(now)

    def _save_term(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        effects = self._saver.save(effects, now)
        if self._saver.error is not None:
            if not self._is_recovered:
                raise self._saver.error  # whoever starts the store is told
            self._flow.disk_failed(self._saver.error)  # the core need not know: it does not step
            refusal = with_outcome(self._saver.error, "not_applied")  # each reader raises its own
            for ticket in (*self._core.tickets(), *self._saver.tickets()):
                if isinstance(ticket, Read):
                    ticket.future.resolve(refusal)
        return effects

    def _conclude(self) -> None:
        """Apply what is committed, publish the tree, give the replies."""
        if self._to_apply:
            self._apply_all()
        if self._is_recovered:
            self._changes.publish(self._machine.view)
            triggers = self._machine.view.state.triggers
            if triggers.actions and triggers is not self._told_of:
                self._have_calls_made(triggers)
        self._flow.answer(self._core)
        if self._waiters.are_there:
            settled = self._flow.pump.origin.settled
            self._replies += self._waiters.take_answerable(self._core, settled, self._access.view)
        if self._replies:
            replies, self._replies = self._replies, []
            resolve_all(replies)

    def _have_calls_made(self, triggers: Triggers) -> None:
        """Tell the EventHandler of what is owed, once this leader knows what was noted before."""
        if self._core.role is Role.LEADER and self._machine.view.term == self._core.term:
            self._told_of = triggers
            handler = self._setup.event_handler()
            if self._access.told_of_calls is not handler:
                self._access.told_of_calls = handler
                handler.cast(ActionsAreOwed(self._access))

    def _execute(self, one: Effect) -> None:  # noqa: C901 - one case per effect
        match one:
            case effect.AppendEntries():
                # After the messages of this step: others may write while we do.
                self._flow.appended(one)
                self._to_write = one
            case effect.ApplyEntries():
                self._to_apply += one.entries
            case effect.Send():
                self._setup.network.send(one.to, one.message)
            case effect.PersistHardState():
                raise AssertionError("it is the first effect of a step")
            case effect.ReadReady():
                assert isinstance(one.ticket, Read)
                self._waiters.wait_to_read(one.ticket)
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

    def _prepare(self, entry: Entry) -> None:
        """Work out what an entry will do, while the disk writes it or the one behind it."""
        machine = self._machine
        if entry.index == machine.view.index + 1 and entry.kind is EntryKind.COMMANDS:
            self._changes.begin(machine)
            machine.prepare(entry.data)

    def _prepare_if_back(self, entry: Entry) -> None:
        """Do so in the middle of an absence, unless somebody else has the turn."""
        with self.back() as is_back:
            if is_back:
                self._prepare(entry)

    def _apply_all(self) -> None:
        entries, self._to_apply = self._to_apply, []
        if self._flow.concerns_others(entries[0].index):
            self._setup.network.flush_notices()
        machine, now = self._machine, self.clock()
        if self._is_recovered:
            self._changes.begin(machine)
        for entry in entries:
            if entry.kind is EntryKind.COMMANDS:
                applied = machine.apply(entry.index, entry.term, entry.data)
                if applied.changes:
                    self._changes.applied(applied.changes)
                self._flow.applied(applied, now)
            elif entry.kind is EntryKind.NOOP and entry.data:
                machine.skip(entry.index, entry.term, decode_version(entry.data))
                self._note_machine_version()
            else:
                machine.skip(entry.index, entry.term)
            self._snapshots.grown(len(entry.data))  # the log is no shorter for what is no command

    def _note_machine_version(self) -> None:
        self._access.machine_version = version = self._machine.version
        _logger.info("%s applies the log by version %d of the machine", self.label, version)

    def _note_committed(self) -> None:
        """Remember, for a restart without a leader, what is applied and also durable here."""
        last = self._core.committed_and_durable
        if last is not None:
            self._commit_note.write(*last)

    def _rejected(self, rejected: effect.Rejected) -> None:
        ticket, reason = rejected.ticket, rejected.reason
        if ticket is None:
            # A proposal of ours: its commands stay in flight and go again when there is a leader.
            self._flow.pump.rejected(self.clock())
            return
        if isinstance(ticket, Read) and reason is effect.RejectReason.NOT_LEADER:
            self._waiters.wait_to_ask(ticket)
            return
        self._replies.append((_future(ticket), self._flow.refusal(rejected)))

    def _role_changed(self, change: effect.RoleChanged) -> None:
        _logger.info(
            "%s is %s in term %d, leader %s",
            self.label,
            change.role.value,
            change.term,
            change.leader and change.leader.node,
        )
        self._flow.pump.leader_is(change.term, change.leader)
        self._flow.pump.withdraw_abandoned()  # before a leader that was missing gets them
        self._setup.membership_cache.cast(LeaderIs(change.leader))

    def _announce(self, configuration: Configuration) -> None:
        self._setup.network.set_configuration(configuration)
        ids = tuple(member.server_id for member in configuration.members)
        self._setup.membership_cache.cast(MembersAre(ids))


def _future(ticket: object) -> KhepriFuture[Any]:
    """Give the future of a request that the core knows by a ticket; proposals have none."""
    return ticket.future if isinstance(ticket, Read) else ticket  # type: ignore[return-value]
