"""The origin: numbers the commands of a server's clients, so that each is applied exactly once.

Commands get the numbers 1, 2, 3, ... of one session when they are first sent, and stay in flight
until this server's own machine has applied them; the machine's reply then answers the client.
Whatever is lost on the way (a forwarded group, a leadership) is sent again from the oldest one in
flight, and the machine drops what it has seen (Raft dissertation §6.3). So a command that was
sent is never given up and never applied twice, even if its client no longer waits. One that was
not sent by then is not executed any more (`withdraw_abandoned`).

Here are only queues and numbers: no actor, no clock, no log.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any, Final

from khepri.machine.commands import batch, encode
from khepri.machine.entries import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .future import KhepriFuture

    Ticket = KhepriFuture[Any] | None
    """Where the reply goes; None when nobody waits for it."""

GROUP_COMMANDS = 4096
"""How many commands one group holds at most."""

GROUP_BYTES = 256 * 1024
"""How many bytes of commands one group holds at most, unless a single one is larger: it must pass
a slow link well within an election timeout."""

NOTHING: Final = encode(batch([]))
"""A command without effect; it stands where a withdrawn one stood, so that all counts hold."""


class Origin:
    """The session of one server's clients. One thread."""

    def __init__(self) -> None:
        """Make an origin without a session: commands wait until there is one."""
        self.session_id: int | None = None
        self.waiting_bytes = 0
        """The bytes of all commands that are not applied yet."""
        self.added = 0
        """How many commands ever came."""
        self.finished = 0
        """How many of them are done, in their order."""
        self._abandoned = 0
        self._unsent: deque[tuple[bytes, Ticket]] = deque()
        self._in_flight: deque[tuple[bytes, Ticket]] = deque()
        self._first_in_flight = 1
        self._sent = 0  # how many of those in flight were sent since the last rewind
        self._unseen = 0  # so many of the first in flight may be applied without our having seen

    @property
    def has_something_to_send(self) -> bool:
        """Whether `take_group` would give a group, provided there is a session."""
        return self._sent < len(self._in_flight) or bool(self._unsent)

    @property
    def unsent_commands(self) -> int:
        """How many commands `take_group` could give, were there no limits."""
        return len(self._in_flight) - self._sent + len(self._unsent)

    @property
    def commands_in_flight(self) -> int:
        """How many commands were sent and are not answered."""
        return len(self._in_flight)

    @property
    def has_something_in_flight(self) -> bool:
        """Whether a reply is outstanding."""
        return bool(self._in_flight)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits at all."""
        return not self._in_flight and not self._unsent

    @property
    def settled(self) -> float:
        """How many commands, in their order, nobody waits for any more; `inf` if that is all.

        Some may have been dropped since they were counted: who waits for those would wait on.
        """
        settled = max(self.finished, self._abandoned)
        return inf if settled >= self.added else settled

    def add(self, command: bytes, ticket: Ticket) -> None:
        """Put a new command behind all others."""
        self.waiting_bytes += len(command)
        self.added += 1
        self._unsent.append((command, ticket))

    def add_all(self, commands: Sequence[tuple[bytes, Ticket]], size_bytes: int) -> None:
        """Put new commands, of so many bytes together, behind all others."""
        self.waiting_bytes += size_bytes
        self.added += len(commands)
        self._unsent.extend(commands)

    def take_group(self) -> Group:
        """Give the next commands to send, in order; new ones get their numbers now."""
        assert self.session_id is not None
        in_flight, unsent = self._in_flight, self._unsent
        is_all_new = self._sent == len(in_flight)
        if is_all_new and len(unsent) <= GROUP_COMMANDS and self.waiting_bytes <= GROUP_BYTES:
            commands = [command for command, _ in unsent]  # nothing to count, as nearly always
            in_flight.extend(unsent)
            unsent.clear()
        else:
            commands = self._as_many_as_fit()
        first = self._first_in_flight + self._sent
        self._sent += len(commands)
        return Group(self.session_id, first, self._first_in_flight, commands)

    def _as_many_as_fit(self) -> list[bytes]:
        """Take what a group has room for; what is repeated comes before what is new."""
        commands: list[bytes] = []
        in_flight, unsent = self._in_flight, self._unsent
        # Those in flight before `_sent` are on their way.
        again = islice(in_flight, self._sent, None) if self._sent < len(in_flight) else ()
        repeated, room_bytes = 0, GROUP_BYTES
        for command, _ in again:
            room_bytes -= len(command)
            if commands and (room_bytes < 0 or repeated == GROUP_COMMANDS):
                break
            commands.append(command)
            repeated += 1
        if self._sent + repeated == len(in_flight):
            for _ in range(min(len(unsent), GROUP_COMMANDS - repeated)):
                command = unsent[0][0]
                room_bytes -= len(command)
                if commands and room_bytes < 0:
                    break
                in_flight.append(unsent.popleft())
                commands.append(command)
        return commands

    def keep_alive(self) -> Group:
        """Give a group without commands: the session lives, and what it has acknowledged."""
        assert self.session_id is not None
        return Group(self.session_id, self._first_in_flight, self._first_in_flight, [])

    def rewind(self) -> None:
        """Have everything in flight sent again: it may have been lost."""
        self._sent = 0

    def applied(
        self, first_sequence: int, replies: Sequence[object]
    ) -> list[tuple[KhepriFuture[Any], object]]:
        """Take the replies that this server's machine gave, and say whom they are for.

        Replies for what was answered before are left out. So are all of them if what comes before
        them was not seen: after a snapshot was installed, entries have gone by. What is in flight
        is sent again then, and the machine answers it from its session table.
        """
        if first_sequence > self._first_in_flight:
            return []
        answered: list[tuple[KhepriFuture[Any], object]] = []
        in_flight, size_bytes = self._in_flight, 0
        fresh = replies[max(0, self._first_in_flight - first_sequence) :]
        count = min(len(fresh), len(in_flight))
        for reply in fresh[:count]:
            command, ticket = in_flight.popleft()
            size_bytes += len(command)
            if ticket is not None:
                answered.append((ticket, reply))
        self.waiting_bytes -= size_bytes
        self.finished += count
        self._first_in_flight += count
        self._sent = max(0, self._sent - count)
        self._unseen = max(0, self._unseen - count)
        return answered

    def open_session(self, session_id: int) -> None:
        """Begin to number anew, in a session that the machine has just opened.

        What is in flight has no number of this session yet. It was *not* applied so far, since
        this server's machine would have answered it (`close_session` has dropped the others), and
        never will be under its old numbers, since the machine refuses a session that has expired.
        """
        self.session_id = session_id
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        self._first_in_flight = 1
        self._sent = 0

    def entries_went_by(self) -> None:
        """Note that a snapshot was installed: what is in flight may be applied, unseen."""
        self._unseen = len(self._in_flight)

    def close_session(self) -> list[KhepriFuture[Any]]:
        """Send nothing until there is a new session; give the tickets that nobody can answer.

        They are those of commands that may be applied unseen. The session that remembered it has
        expired, so in a new one they might be applied again.
        """
        self.session_id = None
        tickets: list[KhepriFuture[Any]] = []
        for _ in range(self._unseen):
            command, ticket = self._in_flight.popleft()
            self.waiting_bytes -= len(command)
            self.finished += 1
            if ticket is not None:
                tickets.append(ticket)
        self._sent = 0  # the rest goes again, in the next session
        self._unseen = 0
        return tickets

    def tickets(self) -> list[Ticket]:
        """Give the tickets of all commands that are not answered, oldest first."""
        return [ticket for _, ticket in (*self._in_flight, *self._unsent)]

    def withdraw_abandoned(self) -> None:
        """Never send what was not sent before its caller gave up: its ticket has an outcome."""
        unsent: deque[tuple[bytes, Ticket]] = deque()
        for command, ticket in self._unsent:
            if ticket is not None and ticket.done():
                unsent.append((NOTHING, None))
                self.waiting_bytes += len(NOTHING) - len(command)
            else:
                unsent.append((command, ticket))
        self._unsent = unsent

    def drop_unsent(self) -> list[KhepriFuture[Any]]:
        """Forget what was never sent; give the tickets."""
        tickets = [ticket for _, ticket in self._unsent if ticket is not None]
        self.waiting_bytes -= sum(len(command) for command, _ in self._unsent)
        self.added -= len(self._unsent)
        self._unsent.clear()
        return tickets

    def abandon_tickets(self) -> list[KhepriFuture[Any]]:
        """Give all tickets, to be answered by the caller, and answer them from here no more.

        The commands themselves stay: their outcome is unknown.
        """
        tickets = [ticket for ticket in self.tickets() if ticket is not None]
        self._abandoned = self.added
        self._in_flight = deque((command, None) for command, _ in self._in_flight)
        self._unsent = deque((command, None) for command, _ in self._unsent)
        return tickets

    def give_up_in_flight(self) -> list[KhepriFuture[Any]]:
        """Forget what is in flight and the session it was numbered in; give the tickets."""
        tickets = [ticket for _, ticket in self._in_flight if ticket is not None]
        self.waiting_bytes -= sum(len(command) for command, _ in self._in_flight)
        self.finished += len(self._in_flight)
        self._in_flight.clear()
        self._first_in_flight = 1
        self._sent = 0
        self._unseen = 0
        self.session_id = None
        return tickets
