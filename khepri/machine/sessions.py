"""Sessions: why a command is applied exactly once (Raft dissertation §6.3).

A session belongs to one origin, the server that sends commands for its clients. The origin numbers
its commands 1, 2, 3, ... and sends them in groups, again and again until it sees them applied.
The table keeps per session what was applied last and the replies the origin has not yet
acknowledged, so a group that comes twice is answered and not applied again.

Everything here is replicated: it depends on the log alone. Time is the log's time, in whole
milliseconds, which only moves forward. Not here: how commands are applied (``machine.py``).
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .replies import Reply

NO_SESSION: Final = 0
"""The session id of a group that may only open sessions."""

DEFAULT_EXPIRY_MILLISECONDS: Final = 15 * 60 * 1000


class GroupStatus(enum.IntEnum):
    """What became of a group."""

    APPLIED = 0
    """Every command of it has a reply, newly applied or from before."""

    GAP = 1
    """It begins after commands never seen: ignored as a whole; the origin repeats the missing."""

    SESSION_EXPIRED = 2
    """The session is unknown, or no more: nothing of it was applied now."""


_APPLIED: Final = GroupStatus.APPLIED  # an enum's member takes a while to find


class GroupResult:
    """What the origin of a group is told.

    Attributes:
        session_id: whose group.
        first_sequence: the sequence of the first reply.
        replies: one per command of the group (see ``replies.py``), none unless applied.
        status: what became of it.
    """

    __slots__ = ("first_sequence", "replies", "session_id", "status")

    def __init__(
        self,
        session_id: int,
        first_sequence: int,
        replies: Sequence[Reply],
        status: GroupStatus,
    ) -> None:
        """Keep the parts; made for every group, and a plain class is the fastest to make."""
        self.session_id = session_id
        self.first_sequence = first_sequence
        self.replies = replies
        self.status = status


class Session:
    """What is known of one session.

    Attributes:
        last_sequence: the last applied sequence, 0 before the first.
        acknowledged_below: the origin has the replies of all sequences below; 1 at first.
        last_active_milliseconds: log time of its last group.
        replies: runs of unacknowledged replies as (first sequence, replies), in order and without
            holes up to last_sequence.
    """

    __slots__ = (
        "acknowledged_below",
        "last_active_milliseconds",
        "last_sequence",
        "replies",
    )

    def __init__(self, now_milliseconds: int) -> None:
        """Begin with nothing applied."""
        self.last_sequence = 0
        self.acknowledged_below = 1
        self.last_active_milliseconds = now_milliseconds
        self.replies: deque[tuple[int, list[Reply]]] = deque()

    def add(self, replies: list[Reply]) -> None:
        """Keep the replies of the commands applied next."""
        if replies:
            self.replies.append((self.last_sequence + 1, replies))
            self.last_sequence += len(replies)

    def acknowledge(self, below: int) -> None:
        """Drop replies the origin has: all of sequences below, more than it told before.

        It cannot have more than was applied. Replies go in whole runs, so that acknowledging costs
        nothing per command.
        """
        self.acknowledged_below = min(below, self.last_sequence + 1)
        runs = self.replies
        while runs and runs[0][0] + len(runs[0][1]) <= self.acknowledged_below:
            runs.popleft()

    def reply_of(self, sequence: int) -> Reply:
        """Give the reply of an applied command, None if its origin has acknowledged it.

        Whether it is still there in its run must not show: a snapshot holds only what is owed.
        """
        if sequence < self.acknowledged_below:
            return None
        for first, replies in self.replies:
            if first <= sequence < first + len(replies):
                return replies[sequence - first]
        raise AssertionError("the runs of replies have a hole")


class SessionTable:
    """All sessions of a store. Used by one thread."""

    __slots__ = ("_expiry", "_next_expiry", "sessions")

    def __init__(self, expiry_milliseconds: int = DEFAULT_EXPIRY_MILLISECONDS) -> None:
        """Begin without sessions.

        Args:
            expiry_milliseconds: a session silent for longer is forgotten. The same on all members.
        """
        self.sessions: dict[int, Session] = {}
        self._expiry = expiry_milliseconds
        # No session expires before this time: a lower bound, raised when it is reached.
        self._next_expiry = 0

    def expire(self, now_milliseconds: int) -> list[int]:
        """Forget sessions that were silent too long; give their ids."""
        if now_milliseconds <= self._next_expiry:
            return []
        dead = [
            session_id
            for session_id, session in self.sessions.items()
            if session.last_active_milliseconds + self._expiry < now_milliseconds
        ]
        for session_id in dead:
            del self.sessions[session_id]
        oldest = min(
            (session.last_active_milliseconds for session in self.sessions.values()),
            default=now_milliseconds,
        )
        self._next_expiry = oldest + self._expiry
        return dead

    def goes_on(self, session_id: int, first: int, now_milliseconds: int) -> bool:
        """Tell whether a group that begins with `first` is what a session is to apply next.

        Not so if some session may expire with it.
        """
        session = self.sessions.get(session_id)
        return (
            session is not None
            and first == session.last_sequence + 1
            and now_milliseconds <= self._next_expiry
        )

    def open(self, session_id: int, now_milliseconds: int) -> None:
        """Begin a session; its id comes from the place in the log, so it is new."""
        assert session_id not in self.sessions
        self.sessions[session_id] = Session(now_milliseconds)
        self._next_expiry = min(self._next_expiry, now_milliseconds + self._expiry)

    def apply(  # noqa: PLR0917 - keyword arguments cost a tenth of a microsecond per group
        self,
        session_id: int,
        first: int,
        acknowledged_below: int,
        commands: Sequence[bytes],
        execute: Callable[[Sequence[bytes]], list[Reply]],
        now_milliseconds: int,
    ) -> GroupResult:
        """Apply the new commands of a group and answer all of them.

        A group without commands keeps the session alive and acknowledges.

        Args:
            session_id: whose commands, as given by the open_session command.
            first: the sequence of the first command.
            acknowledged_below: the origin needs no reply of any sequence below.
            commands: the encoded commands, in sequence.
            execute: applies commands and gives their replies; does not raise.
            now_milliseconds: the log's time.
        """
        session = self.sessions.get(session_id)
        if session is None:
            return GroupResult(session_id, first, (), GroupStatus.SESSION_EXPIRED)
        session.last_active_milliseconds = now_milliseconds
        following = session.last_sequence + 1
        status = _APPLIED
        replies: Sequence[Reply]
        if first == following:
            replies = execute(commands)
            session.add(replies)
        elif first > following:
            replies = ()
            status = GroupStatus.GAP
        else:
            seen = min(following - first, len(commands))
            old = [session.reply_of(first + position) for position in range(seen)]
            fresh = execute(commands[seen:])
            session.add(fresh)
            replies = old + fresh
        if acknowledged_below > session.acknowledged_below:
            session.acknowledge(acknowledged_below)
        return GroupResult(session_id, first, replies, status)

    # --- snapshots ---

    def to_plain(self) -> list[list[Any]]:
        """Give the whole table as plain lists, by session id, so that equal tables are equal."""
        return [
            [
                session_id,
                session.last_sequence,
                session.acknowledged_below,
                session.last_active_milliseconds,
                _unacknowledged(session),
            ]
            for session_id, session in sorted(self.sessions.items())
        ]

    def load_plain(self, plain: list[list[Any]]) -> None:
        """Take over a table from `to_plain`."""
        for session_id, last, acknowledged_below, active, replies in plain:
            session = Session(active)
            session.last_sequence = last
            session.acknowledged_below = acknowledged_below
            if replies:
                session.replies.append((last + 1 - len(replies), replies))
            self.sessions[session_id] = session
        self._next_expiry = 0


def checked_row(row: list[Any]) -> list[Any]:
    """Refuse what cannot be a row of `SessionTable.to_plain`.

    Raises:
        ValueError, TypeError: it is none.
    """
    if [*map(type, row)] != [int, int, int, int, list]:
        raise ValueError("a session has parts of the wrong type")
    _session_id, last, acknowledged_below, _active, replies = row
    if len(replies) != last + 1 - acknowledged_below:
        raise ValueError("a session has too few replies, or too many")
    return row


def _unacknowledged(session: Session) -> list[Reply]:
    """Give the replies still owed, whatever runs they lie in: acknowledged ones are left out."""
    owed: list[Reply] = []
    for first, replies in session.replies:
        owed.extend(replies[max(0, session.acknowledged_below - first) :])
    return owed
