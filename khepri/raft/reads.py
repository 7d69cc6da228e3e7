"""Linearizable reads: the read index, where no lease spares it (dissertation §6.4).

A leader may be deposed without knowing. So a read takes the commit index of the moment, and
either the leader has a lease (`lease.py`), so that nobody else can have been elected, or the read
waits until a majority has answered a heartbeat that went out *later*: then nobody else had been
elected before. Either way no write can be committed that this index misses. Two conditions more:

- the leader has committed an entry of its own term; before, it does not know how far the log is
  committed (Raft §8);
- the read is made where everything up to the index is applied.

Heartbeats are numbered. One round confirms all reads that came before it went out; at most one
round for reads is under way, the reads that come meanwhile share the next. An answer with number
n confirms the rounds up to n, for its sender, once.

Here: the queues. Not here: sending and counting (`leader.py`), leases (`lease.py`), reads that
never come here because they are served in the reader's own thread (`actors/access.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .effects import ReadReady
from .types import Index

if TYPE_CHECKING:
    from .effects import Effect
    from .types import ServerId


class RemoteReader(NamedTuple):
    """A follower that asked on behalf of its own readers."""

    server_id: ServerId
    read_id: int


_NOT_STARTED = Index(0)


@dataclass(slots=True)
class ReadRound:
    """The reads that one heartbeat round confirms.

    Attributes:
        number: of the round.
        index: the commit index when it went out.
        tickets: of readers here.
        remote: readers elsewhere.
    """

    number: int = 0
    index: Index = _NOT_STARTED
    tickets: list[object] = field(default_factory=list[object])
    remote: list[RemoteReader] = field(default_factory=list[RemoteReader])

    def __bool__(self) -> bool:
        """Whether anybody reads."""
        return bool(self.tickets or self.remote)


class LeaderReads:
    """The reads a leader has not confirmed yet. Leader only, volatile, empty in a new term.

    Attributes:
        gathering: those for which no round is under way.
        under_way: those that wait for answers.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.gathering = ReadRound()
        self.under_way: ReadRound | None = None

    @property
    def are_there(self) -> bool:
        """Whether anybody reads."""
        gathering = self.gathering
        return bool(self.under_way is not None or gathering.tickets or gathering.remote)

    def start_round(self, number: int, index: Index) -> None:
        """Put what was gathered under way."""
        assert self.under_way is None, "one round at a time"
        self.under_way, self.gathering = self.gathering, ReadRound()
        self.under_way.number, self.under_way.index = number, index

    def take_confirmed(self, number: int) -> ReadRound | None:
        """Give the reads under way if a majority has answered round `number` or a later one."""
        confirmed = self.under_way
        if confirmed is None or confirmed.number > number:
            return None
        self.under_way = None
        return confirmed

    def take_all(self) -> list[ReadRound]:
        """Give everything: leadership is lost."""
        rounds = [reads for reads in (self.under_way, self.gathering) if reads]
        self.under_way, self.gathering = None, ReadRound()
        return rounds


@dataclass(slots=True)
class _Asked:
    """Reads a follower has asked its leader about."""

    tickets: list[object]
    sent_at: float


class ForwardedReads:
    """The reads a follower asks its leader about. Belongs to one leader; volatile.

    Attributes:
        gathering: the tickets of this step, asked about with one message at its end.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.gathering: list[object] = []
        self._asked: dict[int, _Asked] = {}

    def ask(self, read_id: int, now: float) -> None:
        """Note that the gathered ones were asked about under `read_id`."""
        self._asked[read_id] = _Asked(self.gathering, now)
        self.gathering = []

    def take(self, read_id: int) -> list[object]:
        """Give the tickets that were asked about under `read_id`; none the second time."""
        asked = self._asked.pop(read_id, None)
        return asked.tickets if asked is not None else []

    def take_all(self) -> list[object]:
        """Give all tickets: the leader is lost."""
        tickets = [t for asked in self._asked.values() for t in asked.tickets] + self.gathering
        self._asked, self.gathering = {}, []
        return tickets

    def unanswered(self, before: float, now: float) -> list[int]:
        """Give the ids asked before `before`, to be asked again now."""
        overdue = [read_id for read_id, asked in self._asked.items() if asked.sent_at < before]
        for read_id in overdue:
            self._asked[read_id].sent_at = now
        return overdue


class ConfirmedReads:
    """Reads whose index is confirmed, waiting until it is applied here. Any role; volatile.

    Attributes:
        waiting: the tickets with their indexes.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.waiting: deque[tuple[Index, list[object]]] = deque()

    def add(self, index: Index, tickets: list[object]) -> None:
        """Let these wait until `index` is applied."""
        self.waiting.append((index, tickets))

    def serve(self, last_applied: Index, effects: list[Effect]) -> None:
        """Let those go that need no more than `last_applied`."""
        still_waiting: deque[tuple[Index, list[object]]] = deque()
        for index, tickets in self.waiting:
            if index <= last_applied:
                effects.extend(ReadReady(ticket, index) for ticket in tickets)
            else:
                still_waiting.append((index, tickets))
        self.waiting = still_waiting
