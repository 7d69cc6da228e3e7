"""The command pump: gathers commands, and decides when and whereto the next group goes.

To the own core when this member leads, to the leader otherwise, nowhere while no leader is known.
It holds commands back while enough is under way, so that groups grow with the load, and repeats
what may have been lost. The numbering itself is the origin's (`origin.py`).
"""

from __future__ import annotations

import os
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from khepri.machine import commands
from khepri.machine.entries import Group
from khepri.machine.replies import is_error, raise_or_return
from khepri.machine.sessions import NO_SESSION, GroupStatus

from .low_priority import LowPriorityQueue
from .origin import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.machine.machine import Machine
    from khepri.machine.sessions import GroupResult
    from khepri.raft.types import ServerId, Term

    from .future import KhepriFuture

RESEND_SECONDS = 0.5
"""Commands in flight without any progress for this long are sent again; or for twice as long as
the last ones took, if that is more."""

MAX_RESEND_SECONDS = 8.0
"""Each time without progress the next wait is twice as long, up to this: what is not lost but
slow would otherwise be made slower still by its own repetitions. Over a link of 2 Mbit/s eight
callers with 50 kB each had no write done any more."""

REJECTED_PAUSE_SECONDS = 0.05
"""After a rejection (too much waits already, the disk fails) nothing goes for so long."""

KEEP_ALIVE_SECONDS = 120.0
"""A session unused for this long says that it lives; the machine forgets one after 15 minutes."""

MAX_ENTRY_BYTES = 256 * 1024
"""Groups go into one entry up to this size; a single larger one goes alone. It must be far below
what a transport carries in one message, or the entry would never reach anybody, and pass a slow
link well within an election timeout."""

MAX_FOREIGN_BYTES = 32 * 1024 * 1024
"""Forwarded groups beyond this are dropped while the log cannot take them; they come again."""

MAX_FORWARDED_GROUPS = 8
"""So many groups may be on their way to another leader at once."""


class CommandPump:
    """What a server does with commands: its clients' and forwarded ones. One thread."""

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        """Begin with nothing.

        Args:
            random_bytes: gives that many random bytes, for the token of a new session.
        """
        self.origin = Origin()
        self.low = LowPriorityQueue()
        self.unanswerable: list[KhepriFuture[Any]] = []
        """The futures of commands whose outcome has become unknown for good; who looks at the
        pump after `applied` answers and clears them."""
        self._random_bytes = random_bytes
        self._foreign: list[Group] = []
        self._foreign_bytes = 0
        self._nonce = b""
        self._nonce_sent_at = 0.0
        self._used_at = 0.0
        self._progress_at = 0.0
        self._paused_until = -inf
        self._patience_seconds = RESEND_SECONDS
        self._forwarded = 0
        self._leadership: tuple[Term, ServerId] | None = None  # the newest known
        # When each group on its way to another leader was first sent: (first sequence, seconds).
        self._sent_at: deque[tuple[int, float]] = deque()

    @property
    def has_work(self) -> bool:
        """Whether there is something to send."""
        return self.ready_at != inf

    @property
    def ready_at(self) -> float:
        """From when on it can be sent; `inf` if there is nothing."""
        origin, low = self.origin, self.low
        if not (
            self._foreign
            or origin.has_something_to_send
            # The deque first: this is asked several times in each turn.
            or (low.waiting and low.is_ready(origin))
        ):
            return inf
        if self._foreign or origin.session_id is not None or not self._nonce:
            return self._paused_until
        # The session is being opened.
        return max(self._nonce_sent_at + RESEND_SECONDS, self._paused_until)

    @property
    def has_foreign(self) -> bool:
        """Whether there is something that other members forwarded."""
        return bool(self._foreign)

    @property
    def waiting_commands(self) -> int:
        """How many commands a leader could propose now."""
        own = self.origin.unsent_commands
        if not self._foreign:
            return own
        return own + sum([len(group.commands) for group in self._foreign])

    @property
    def is_forwarding(self) -> bool:
        """Whether a group is on its way to another leader."""
        return self._forwarded > 0

    def take_foreign(self, groups: Sequence[Group]) -> None:
        """Take groups that other members forwarded to us."""
        for group in groups:
            if self._foreign_bytes >= MAX_FOREIGN_BYTES:
                return
            self._foreign.append(group)
            self._foreign_bytes += group.size_bytes

    def drop_foreign(self) -> None:
        """We do not lead: their origins will send them to whoever does."""
        self._foreign.clear()
        self._foreign_bytes = 0

    def entries_to_propose(self, now: float) -> list[list[Group]]:
        """Give what the leader, this member, should append: the groups of each entry.

        All that waits goes at once. It is one entry unless it is large.
        """
        own = self._own_group(now)
        if not self._foreign:  # as always where all members' clients are here
            return [] if own is None else [[own]]
        if own is not None:
            self._foreign.append(own)
        entries: list[list[Group]] = []
        room_bytes = 0
        for group in self._foreign:
            size_bytes = group.size_bytes
            if not entries or size_bytes > room_bytes:
                entries.append([])
                room_bytes = MAX_ENTRY_BYTES
            entries[-1].append(group)
            room_bytes -= size_bytes
        self.drop_foreign()
        return entries

    def groups_to_forward(self, now: float) -> list[Group]:
        """Give what should go to another member, the leader, now.

        What others have forwarded to us is dropped: their origins send it to whoever leads.
        """
        own_session = self.origin.session_id
        groups = [group for group in self._foreign if group.session_id == own_session]  # `tick`'s
        self.drop_foreign()
        while self._forwarded < MAX_FORWARDED_GROUPS:
            own = self._own_group(now)
            if own is None:
                break
            groups.append(own)
            if own.session_id != NO_SESSION:  # the opening of a session is not answered as one
                self._forwarded += 1
                if not self._sent_at or own.first_sequence > self._sent_at[-1][0]:
                    self._sent_at.append((own.first_sequence, now))
        return groups

    def lost(self) -> None:
        """Nothing that was sent can be counted on any more: send it all again."""
        self.origin.rewind()
        self._nonce_sent_at = 0.0
        self._forwarded = 0
        self._paused_until = -inf

    def leader_is(self, term: Term, leader: ServerId | None) -> None:
        """Send all again, if somebody else leads now than did before, or in another term.

        A follower behind a slow link misses its leader now and then, and finds the same one: what
        was sent is still on its way.
        """
        if leader is not None and self._leadership != (term, leader):
            self._leadership = (term, leader)
            self.lost()
            self._sent_at.clear()
            self._patience_seconds = RESEND_SECONDS

    def rejected(self, now: float) -> None:
        """What was proposed was not taken, and what is proposed at once would not be either."""
        self.lost()
        self._paused_until = now + REJECTED_PAUSE_SECONDS

    def withdraw_abandoned(self) -> None:
        """Never send what was not sent before its caller gave up."""
        self.origin.withdraw_abandoned()
        self.low.withdraw_abandoned()

    def tick(self, now: float, *, follows: bool = True) -> Group | None:
        """Repeat what made no progress; give a keep-alive if the session needs one.

        Args:
            now: monotonic seconds.
            follows: whether another member leads. What a leader has proposed is in its own log,
                and cannot be lost but with the leadership, or by being rejected: it is told.
                And while no leader is known nothing goes.
        """
        origin = self.origin
        if (
            follows
            and origin.has_something_in_flight
            and now - self._progress_at >= self._patience_seconds
        ):
            self._progress_at = now
            self._patience_seconds = min(2 * self._patience_seconds, MAX_RESEND_SECONDS)
            self.lost()
        if (
            origin.session_id is not None
            and origin.is_idle
            and now - self._used_at >= KEEP_ALIVE_SECONDS
        ):
            self._used_at = now
            return origin.keep_alive()
        return None

    def applied(self, result: GroupResult, now: float) -> list[tuple[KhepriFuture[Any], object]]:
        """Look at what the machine did with a group; give the replies for our own clients."""
        origin = self.origin
        if result.session_id == NO_SESSION:
            self._session_opened(result)
            return []
        if result.session_id != origin.session_id:
            return []
        self._progress_at = now
        self._measure(result.first_sequence, now)
        self._forwarded = max(0, self._forwarded - 1)
        if result.status is GroupStatus.APPLIED:
            return origin.applied(result.first_sequence, result.replies)
        if result.status is GroupStatus.GAP:
            self.lost()
        else:
            self.unanswerable += origin.close_session()
            self._nonce = b""
            self._forwarded = 0  # what else was sent in that session is sent again in the next
        return []

    def _measure(self, first_sequence: int, now: float) -> None:
        """Learn from the first answer to a group how long it takes until one is missing.

        Counted from when it was first sent: which of the repetitions is answered, nobody knows.
        """
        sent_at, waiting = None, self._sent_at
        while waiting and waiting[0][0] <= first_sequence:
            sent_at = waiting.popleft()[1]
        if sent_at is not None:
            patience_seconds = max(RESEND_SECONDS, 2 * (now - sent_at))
            self._patience_seconds = min(patience_seconds, MAX_RESEND_SECONDS)

    def installed(self, machine: Machine) -> list[KhepriFuture[Any]]:
        """A snapshot has replaced the machine: entries went by unseen.

        What is in flight is sent again, and the machine answers what it has seen from its session
        table. If it does not know the session any more, nobody knows what became of it.

        Returns:
            the futures of commands whose outcome is unknown for good.
        """
        origin = self.origin
        self.lost()
        if origin.session_id is None:
            return []  # nothing in flight has a number yet, so nothing of it is applied
        origin.entries_went_by()
        if machine.has_session(origin.session_id):
            return []
        return origin.give_up_in_flight()

    def _own_group(self, now: float) -> Group | None:
        origin = self.origin
        if self.low.waiting:
            self.low.feed(origin)
        if not origin.has_something_to_send:
            return None
        if origin.session_id is not None:
            self._used_at = now
            if not origin.has_something_in_flight:
                self._progress_at = now
            return origin.take_group()
        if self._nonce and now - self._nonce_sent_at < RESEND_SECONDS:
            return None
        self._nonce = self._nonce or self._random_bytes(16)
        self._nonce_sent_at = now
        return Group(NO_SESSION, 0, 0, [commands.encode(commands.open_session(self._nonce))])

    def _session_opened(self, result: GroupResult) -> None:
        for reply in result.replies:
            if is_error(reply):
                continue
            token, session_id = raise_or_return(reply)
            if self._nonce and token == self._nonce:
                self._nonce = b""
                self._sent_at.clear()  # it numbers anew
                self.origin.open_session(session_id)
