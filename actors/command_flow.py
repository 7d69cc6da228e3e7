"""The way of commands through a server: taken, proposed or forwarded, on the disk, answered.

Numbers, sessions and repetitions are in `command_pump.py`, the moments in `pacing.py`. Here both
meet the role of this member and the state of its disk: whether commands are refused, when they
go, and whereto.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from khepri.errors import OverloadedError, ServerStoppedError
from khepri.machine.entries import encode_entry
from khepri.raft.effects import RejectReason
from khepri.raft.events import LogWriteFailed, Propose
from khepri.raft.types import Role

from .command_pump import CommandPump
from .future import resolve_all
from .pacing import Pacing
from .server_messages import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from khepri.errors import KhepriError, StorageError
    from khepri.machine.machine import Applied, Machine
    from khepri.raft.core import RaftCore
    from khepri.raft.effects import AppendEntries, Rejected
    from khepri.raft.events import Event
    from khepri.raft.types import Entry

    from .future import KhepriFuture
    from .server_setup import ServerSetup

MAX_UNWRITTEN_APPENDS = 2
"""So many appends may wait for the disk before commands are left to gather for the next one."""

MAX_COMMITTED_UNWRITTEN = 1024
"""So many may wait if others have made them all durable and committed: then a leader goes on with
the disks of others while its own stalls (case R21). At a quarter of a megabyte each at most."""

MAX_COMMANDS_WRITTEN_HERE = 64
"""Up to so many commands in flight, a server that is alone writes them in its own thread."""

MAX_COMMANDS_WRITTEN_AWAY = 4
"""With up to so many commands in flight a leader of several does, and leaves its turns to others.

One caller has 3 to 8 % more puts by it.
"""

MAX_COMMANDS_PREPARED = 32
"""Up to so many commands in flight, a server that writes them works out meanwhile what they do.

One caller has 6 % more puts by it and 16 have 5 %, 64 had 2 % fewer: all of them want the
interpreter that is free while the disk writes.
"""

MAX_BYTES_PREPARED = 8 * 1024
"""Up to so many bytes of data, some forty short commands, a follower works out an entry."""

MAX_COMMANDS_LENT_FOR = 64
"""With up to so many commands in flight a leader lends its turns (`lending.py`)."""

MAX_ENTRIES_LENT_FOR = 16
"""With up to so many entries to apply a follower does."""

MAX_BYTES_WRITTEN_HERE = 64 * 1024
"""Up to so many bytes of data a follower, or a leader of several, writes itself."""


class CommandFlow:
    """The commands of one server, its clients' and those that others forwarded. One thread."""

    def __init__(self, setup: ServerSetup, clock: Callable[[], float]) -> None:
        """Begin with nothing.

        Args:
            setup: of the server.
            clock: monotonic seconds.
        """
        self.pump = CommandPump()
        self._setup = setup
        self._max_waiting_bytes = setup.config.max_waiting_bytes
        self._clock = clock
        self._pacing = Pacing()
        self._disk_error: StorageError | None = None
        self._append_sequence = 0
        self._written_sequence = 0
        self._has_unwritten = False  # something before the newest append is not durable
        self._proposes_foreign = False
        self._foreign_index = 0  # up to here there may be commands of other members' clients
        self._replies: list[tuple[KhepriFuture[Any], object]] = []
        self._applied_own = 0
        self._applied_foreign = 0

    # --- in

    def tickets(self) -> list[KhepriFuture[Any] | None]:
        """Give the tickets of all commands that are not applied."""
        answered = [ticket for ticket, _ in self._replies]  # and not told so yet
        return [*answered, *self.pump.origin.tickets(), *self.pump.low.tickets()]

    def take_all(self, commands: Sequence[tuple[bytes, KhepriFuture[Any] | None]]) -> None:
        """Queue commands in their order, or refuse those for which there is no room."""
        origin = self.pump.origin
        size_bytes = sum([len(command) for command, _ in commands])
        if (
            self._disk_error is None
            and origin.waiting_bytes + size_bytes <= self._max_waiting_bytes
        ):
            origin.add_all(commands, size_bytes)
            return
        for command, ticket in commands:
            self.take(command, ticket)

    def take(
        self, command: bytes, ticket: KhepriFuture[Any] | None, *, is_low: bool = False
    ) -> None:
        """Queue a command, or refuse it: then nothing has happened to it.

        Those of low priority find less room, so that normal ones have theirs.
        """
        pump = self.pump
        waiting_bytes = pump.origin.waiting_bytes
        if is_low:
            waiting_bytes += pump.low.waiting_bytes
        if self._disk_error is not None:
            refusal: KhepriError = self._disk_error
        elif waiting_bytes + len(command) > self._max_waiting_bytes:
            waiting_bytes += len(command)
            refusal = OverloadedError(
                f"{waiting_bytes} bytes of commands would wait, the limit is"
                f" {self._max_waiting_bytes}; this one was not applied",
                store_id=self._setup.store_id,
                waiting_bytes=waiting_bytes,
                limit_bytes=self._max_waiting_bytes,
            )
        else:
            (pump.low if is_low else pump.origin).add(command, ticket)
            return
        if ticket is not None:
            ticket.resolve(refusal)

    # --- on

    def due(self, core: RaftCore) -> float:
        """Give the time from which the waiting commands should go; never, if there are none."""
        pump = self.pump
        ready_at = pump.ready_at
        if ready_at == inf:
            return inf
        if core.role is Role.LEADER:
            is_alone = len(core.configuration.members) == 1
            is_under_way = not is_alone and core.last_index > core.commit_index
            unwritten = self._append_sequence - self._written_sequence
            most_unwritten = MAX_UNWRITTEN_APPENDS if is_under_way else MAX_COMMITTED_UNWRITTEN
            if unwritten >= (1 if is_alone else most_unwritten):
                return inf
        elif core.leader is None and not pump.has_foreign:
            return inf
        else:
            is_under_way = pump.is_forwarding
        return max(ready_at, self._pacing.due(pump.waiting_commands, is_under_way=is_under_way))

    def propose_or_forward(self, core: RaftCore, machine: Machine, now: float) -> Iterable[Event]:
        """Give the waiting commands to the core, if this member leads, or else to the leader."""
        pump = self.pump
        if core.role is Role.LEADER:
            has_foreign = pump.has_foreign
            self._proposes_foreign |= has_foreign
            log_time = machine.time_milliseconds
            time_milliseconds = self._setup.log_clock.read(now, log_time)
            entries = pump.entries_to_propose(now)
            commands = sum([len(group.commands) for groups in entries for group in groups])
            self._pacing.sent(commands, now)
            return [
                Propose(encode_entry(time_milliseconds, groups), None, has_foreign)
                for groups in entries
            ]
        leader = core.leader
        if leader is None:
            pump.drop_foreign()
        else:
            groups = pump.groups_to_forward(now)
            self._pacing.sent(sum([len(group.commands) for group in groups]), now)
            if groups:
                self._setup.network.send_groups(leader, groups)
        return ()

    def entry_for_expiries(self, core: RaftCore, machine: Machine) -> Iterable[Event]:
        """Give an entry without commands, if tree nodes have expired and nothing is on its way.

        Log time moves with entries only; while commands come, they bring it along.
        """
        moment = machine.next_expiry_milliseconds
        # Read at each tick: it must know what passes also where this member does not lead.
        now = self._setup.log_clock.read(self._clock(), machine.time_milliseconds)
        if (
            moment is None
            or moment > now
            or core.role is not Role.LEADER
            or core.last_index != machine.view.index
        ):
            return ()
        return (Propose(encode_entry(now, []), None),)

    # --- to the disk

    def appended(self, append: AppendEntries) -> None:
        """Note that entries are to be written."""
        if self._proposes_foreign:
            self._foreign_index = append.entries[-1].index
            self._proposes_foreign = False
        self._has_unwritten = self._append_sequence > self._written_sequence
        self._append_sequence = append.sequence

    def may_write_here(self, append: AppendEntries, core: RaftCore, *, can_leave: bool) -> bool:
        """Tell whether this thread may write what was appended last.

        Only little at a time, and only if nothing is on its way to the WalWriter. Other members
        must hear from their leader while its disk is slow: it does it only where it can leave its
        turns to others meanwhile. A follower saves two of the thread switches that its leader
        waits for.
        """
        if self._has_unwritten:
            return False
        if core.role is Role.LEADER:
            in_flight = self.pump.origin.commands_in_flight
            if len(core.configuration.members) == 1:
                return in_flight <= MAX_COMMANDS_WRITTEN_HERE
            if not can_leave or in_flight > MAX_COMMANDS_WRITTEN_AWAY:
                return False
        return sum([len(entry.data) for entry in append.entries]) <= MAX_BYTES_WRITTEN_HERE

    def entry_to_prepare(
        self, append: AppendEntries, committed: Sequence[Entry], core: RaftCore
    ) -> Entry | None:
        """Give what to work out while the disk writes, if it may be brief.

        A leader works out what is being written; a follower what is committed and to be applied
        behind the write. Its confirmation goes out first, and finds the processors free then.

        Args:
            append: what is about to be written.
            committed: what is to be applied.
            core: which role it has.
        """
        if core.role is Role.LEADER:
            is_little = self.pump.origin.commands_in_flight <= MAX_COMMANDS_PREPARED
            return append.entries[0] if is_little and len(append.entries) == 1 else None
        if committed and len(committed[0].data) <= MAX_BYTES_PREPARED:
            return committed[0]
        return None

    def next_turn_is_brief(self, core: RaftCore) -> bool:
        """Tell whether little can come of the next message from another member.

        A leader has few commands under way, a follower is not catching up.
        """
        if self._disk_error is not None:
            return False
        if core.role is Role.LEADER:
            return self.pump.origin.commands_in_flight <= MAX_COMMANDS_LENT_FOR
        is_behind = core.last_index - core.last_applied > MAX_ENTRIES_LENT_FOR
        return core.role is Role.FOLLOWER and not is_behind

    def written(self, sequence: int) -> bool:
        """Note that an append is durable, and thereby that the disk works.

        Returns:
            whether that is news.
        """
        self._disk_error = None
        if sequence <= self._written_sequence:
            return False
        self._written_sequence = sequence
        return True

    def is_newest(self, sequence: int) -> bool:
        """Tell whether nothing was appended behind an append."""
        return sequence == self._append_sequence

    def has_written(self, sequence: int) -> bool:
        """Tell whether an append is known to be durable."""
        return sequence <= self._written_sequence

    def awaits_disk(self, core: RaftCore) -> bool:
        """Tell whether the notice of a write could set something going by itself.

        Not so for a leader none of whose followers has answered: its own disk makes no majority.
        """
        if core.role is not Role.LEADER or self._disk_error is not None:
            return True
        unwritten = self._append_sequence - self._written_sequence
        return unwritten >= MAX_UNWRITTEN_APPENDS or core.waits_for_own_disk

    def disk_recovered(self) -> None:
        """Note that the disk works again, though something has to be written once more."""
        self._disk_error = None

    def disk_failed(self, error: StorageError) -> Event:
        """Answer those who wait: what was not sent is dropped, the rest may still come true."""
        origin = self.pump.origin
        self._disk_error = with_outcome(error, "not_applied")
        unknown = with_outcome(error, "unknown")
        not_sent = (*origin.drop_unsent(), *self.pump.low.drop())
        resolve_all((ticket, self._disk_error) for ticket in not_sent)
        resolve_all((ticket, unknown) for ticket in origin.abandon_tickets())
        return LogWriteFailed(str(error))

    def refusal(self, rejected: Rejected) -> object:
        """Give what a request is answered that the core has rejected."""
        if rejected.reason is RejectReason.DISK_FAILED and self._disk_error is not None:
            return self._disk_error  # it says which file, and whether it is full
        return Refusal(rejected.reason, rejected.leader, rejected.detail)

    # --- back

    def concerns_others(self, index: int) -> bool:
        """Tell whether an entry may hold commands for whose replies callers wait elsewhere."""
        return index <= self._foreign_index

    def applied(self, applied: Applied, now: float) -> None:
        """Note what the machine did with an entry; `answer` tells those who wait."""
        own_session = self.pump.origin.session_id
        for result in applied.groups:
            self._replies += self.pump.applied(result, now)
            if result.session_id == own_session:
                self._applied_own += len(result.replies)
            else:
                self._applied_foreign += len(result.replies)
        if self.pump.unanswerable:
            self._outcome_unknown(self.pump.unanswerable)
            self.pump.unanswerable.clear()

    def installed(self, machine: Machine) -> None:
        """Note that a snapshot has taken the machine's place: entries went by unseen."""
        self._outcome_unknown(self.pump.installed(machine))

    def _outcome_unknown(self, tickets: Iterable[KhepriFuture[Any]]) -> None:
        unknown = ServerStoppedError(
            "a snapshot was installed meanwhile; whether the command was applied is unknown",
            store_id=self._setup.store_id,
            outcome="unknown",
        )
        self._replies += [(ticket, unknown) for ticket in tickets]

    def answer(self, core: RaftCore) -> None:
        """Give the replies: the tree that holds what they acknowledge is published."""
        if not self._replies and not self._applied_foreign:
            return
        replies, self._replies = self._replies, []
        callers, commands = resolve_all(replies), self._applied_own
        if core.role is Role.LEADER:
            callers += self._applied_foreign
            commands += self._applied_foreign
        self._pacing.answered(commands, callers, self._clock())
        self._applied_own = self._applied_foreign = 0


def with_outcome(error: StorageError, outcome: str) -> StorageError:
    """Make the same error again, saying what became of a request that it is the answer to."""
    return type(error)(error.message, **{**error.facts, "outcome": outcome})
