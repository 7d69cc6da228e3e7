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

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .effects import ReadReady
from .types import Index

if TYPE_CHECKING:
    from .effects import Effect
    from .types import ServerId


_NOT_STARTED = Index(0)


@dataclass(slots=True)
class ReadRound:
    """The reads that one heartbeat round confirms.

    Attributes:
        number: of the round.
        index: the commit index when it went out.
        tickets: of readers here.
        remote: the newest question of each follower that asked on behalf of readers there.
    """

    number: int = 0
    index: Index = _NOT_STARTED
    tickets: list[object] = field(default_factory=list[object])
    remote: dict[ServerId, int] = field(default_factory=dict["ServerId", int])

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

    def tickets(self) -> list[object]:
        """Give the tickets of all that wait here."""
        rounds = (self.under_way, self.gathering)
        return [it for reads in rounds if reads is not None for it in reads.tickets]

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

    The questions have ascending numbers. The answer to one answers all before it: what the leader
    had committed when the last one came is no less than what it had when the others came.

    Attributes:
        gathering: the tickets of this step, asked about with one message at its end.
        waiting: how many tickets there are.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.gathering: list[object] = []
        self.waiting = 0
        self._asked: dict[int, _Asked] = {}

    def gather(self, ticket: object) -> None:
        """Let a reader wait for the next question."""
        self.gathering.append(ticket)
        self.waiting += 1

    def ask(self, read_id: int, now: float) -> None:
        """Note that the gathered ones were asked about under `read_id`."""
        self._asked[read_id] = _Asked(self.gathering, now)
        self.gathering = []

    def take(self, read_id: int) -> list[object]:
        """Give the tickets that were asked about under `read_id` or before; each only once.

        An answer to a question that was not asked here, or is answered, is for nobody. It may be
        late, to one of this member before it was started again: then it may have the greater
        number, and knows of no commit that came before the questions that wait here.
        """
        if read_id not in self._asked:
            return []
        answered = list(itertools.takewhile(lambda asked: asked <= read_id, self._asked))
        tickets = [ticket for asked in answered for ticket in self._asked.pop(asked).tickets]
        self.waiting -= len(tickets)
        return tickets

    def tickets(self) -> list[object]:
        """Give all tickets."""
        return [t for asked in self._asked.values() for t in asked.tickets] + self.gathering

    def take_all(self) -> list[object]:
        """Give all tickets: the leader is lost."""
        tickets = self.tickets()
        self._asked, self.gathering, self.waiting = {}, [], 0
        return tickets

    def to_ask_again(self, before: float, now: float) -> int | None:
        """Give the newest question if it was asked before `before`, to be asked again now.

        The older ones are not repeated: its answer is one for them too.
        """
        newest = next(reversed(self._asked), None)
        if newest is None or self._asked[newest].sent_at >= before:
            return None
        self._asked[newest].sent_at = now
        return newest


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

    def tickets(self) -> list[object]:
        """Give all tickets."""
        return [ticket for _, tickets in self.waiting for ticket in tickets]

    def serve(self, last_applied: Index, effects: list[Effect]) -> None:
        """Let those go that need no more than `last_applied`."""
        still_waiting: deque[tuple[Index, list[object]]] = deque()
        for index, tickets in self.waiting:
            if index <= last_applied:
                effects.extend(ReadReady(ticket, index) for ticket in tickets)
            else:
                still_waiting.append((index, tickets))
        self.waiting = still_waiting
