"""A network inside one process, with faults on request.

`MemoryTransport` objects meet in a `MemoryNetwork`. It loses, delays, duplicates and reorders what
it is asked to, cuts links one way or both, and draws from one seeded source. Two ways to run it:

- threaded (the default): each transport delivers on a thread of its own, as over ZeroMQ;
- stepwise: nothing moves until `deliver_due` is called, so with a clock of one's own a run is the
  same each time. Then all calls must come from one thread.

A fault strikes whole batches (one `send`), as it would strike a frame.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from khepri.errors import ListenError

from .counters import Drop
from .interface import Envelope
from .memory_faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .interface import Message
    from .memory_faults import LinkFaults
    from .memory_transport import MemoryTransport


@dataclass(slots=True)
class MemoryLink:
    """The way from one life of a node to a peer. Guarded by the network's lock."""

    in_flight_bytes: int = 0
    sent_messages: int = 0
    latest_due: float = 0.0


@dataclass(order=True, slots=True)
class Parcel:
    """A batch on its way, ordered by when it is due."""

    due: float
    order: int
    link: MemoryLink = field(compare=False)
    size_bytes: int = field(compare=False)
    envelopes: list[Envelope] = field(compare=False)


class MemoryNetwork:
    """Where the transports of one process meet. Any thread may call, unless it is stepwise."""

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        is_stepwise: bool = False,
    ) -> None:
        """Begin without faults.

        Args:
            seed: for all chances. A stepwise run with the same seed and calls is the same run.
            clock: seconds that never go back; threads need real ones.
            is_stepwise: deliver only in `deliver_due`, on the caller's thread.
        """
        self.is_stepwise = is_stepwise
        self._clock = clock
        self._faults = Faults(seed)
        self._lock = threading.Lock()
        self._something_new = threading.Condition(self._lock)
        self._order = itertools.count()
        self._attached: dict[str, MemoryTransport] = {}
        self._incarnations: dict[str, bytes] = {}
        self._inboxes: dict[str, list[Parcel]] = {}

    # Faults.

    def set_faults(
        self, faults: LinkFaults, *, sender: str | None = None, receiver: str | None = None
    ) -> None:
        """Let faults happen from now on, on some links. The most specific setting holds.

        Args:
            faults: what happens.
            sender: only to what this node sends; None for all.
            receiver: only to what this node receives; None for all.
        """
        with self._lock:
            self._faults.set(faults, sender, receiver)

    def cut(self, sender: str, receiver: str) -> None:
        """Lose everything on the way from one node to another, also what is under way."""
        with self._lock:
            self._faults.cuts.add((sender, receiver))

    def mend(self, sender: str, receiver: str) -> None:
        """Undo `cut`."""
        with self._lock:
            self._faults.cuts.discard((sender, receiver))

    def partition(self, *groups: Collection[str]) -> None:
        """Cut every link between nodes of different groups, both ways; other cuts stay."""
        with self._lock:
            for ours, theirs in itertools.permutations(groups, 2):
                self._faults.cuts.update(itertools.product(ours, theirs))

    def mend_all(self) -> None:
        """Undo all cuts. Faults stay as they are set."""
        with self._lock:
            self._faults.cuts.clear()

    # Running it by hand.

    def next_due(self) -> float | None:
        """Give the time at which the next batch is due; None if none is, to a running node."""
        with self._lock:
            inboxes = (self._inboxes[node] for node in self._attached)
            return min((inbox[0].due for inbox in inboxes if inbox), default=None)

    def deliver_due(self) -> int:
        """Deliver, in order, all that is due by the clock; also what that brings about.

        Returns:
            The number of batches that were due.
        """
        assert self.is_stepwise
        delivered = 0
        while (parcel := self._pop_earliest()) is not None:
            node, envelopes = parcel
            delivered += 1
            if envelopes:
                self._attached[node].deliver(envelopes)
        return delivered

    def _pop_earliest(self) -> tuple[str, list[Envelope]] | None:
        with self._lock:
            node = min(
                (node for node in self._attached if self._inboxes.get(node)),
                key=lambda node: self._inboxes[node][0],
                default=None,
            )
            if node is None or self._inboxes[node][0].due > self._clock():
                return None
            return node, self._open_parcel(self._attached[node])

    # What transports call.

    def attach(self, transport: MemoryTransport) -> None:
        """Let a transport send and receive.

        Raises:
            ListenError: another one has its name.
        """
        with self._lock:
            if transport.node in self._attached:
                raise ListenError(
                    f"cannot listen as {transport.node}: it is taken",
                    address=transport.node,
                    reason="it is taken",
                )
            self._attached[transport.node] = transport
            self._incarnations[transport.node] = transport.incarnation
            self._inboxes.setdefault(transport.node, [])

    def detach(self, transport: MemoryTransport) -> None:
        """Let it send and receive no more; wake the thread that waits for it."""
        with self._lock:
            if self._attached.get(transport.node) is transport:
                del self._attached[transport.node]
            self._something_new.notify_all()

    def note_link(self, transport: MemoryTransport, node: str) -> None:
        """List a peer, before anything is sent to it."""
        with self._lock:
            transport.links.setdefault(node, MemoryLink())

    def is_reachable(self, sender: str, receiver: str) -> bool:
        """Say whether something sent now can arrive."""
        with self._lock:
            return receiver in self._attached and (sender, receiver) not in self._faults.cuts

    def incarnation_of(self, node: str) -> bytes | None:
        """Give the latest life of a node, None if it has had none."""
        with self._lock:
            return self._incarnations.get(node)

    def post(
        self,
        transport: MemoryTransport,
        to_node: str,
        messages: Sequence[Message],
        size_bytes: int,
        budget_bytes: int,
    ) -> Drop | None:
        """Put a batch on its way.

        Returns:
            None, or why it cannot be. Losses on purpose are not told to the sender.
        """
        with self._lock:
            if self._attached.get(transport.node) is not transport:
                return Drop.STOPPED
            if not messages:
                return None
            link = transport.links.setdefault(to_node, MemoryLink())
            if to_node not in self._attached:
                return Drop.PEER_DOWN
            if link.in_flight_bytes + size_bytes > budget_bytes:
                return Drop.QUEUE_FULL
            link.sent_messages += len(messages)
            transport.counters.sent(len(messages), size_bytes)
            way = (transport.node, to_node)
            arrivals = self._faults.arrivals(way, self._clock(), link.latest_due)
            if not arrivals:
                transport.counters.add(Drop.LOST_ON_PURPOSE, len(messages))
            parties = (*transport.identity, to_node, self._incarnations[to_node])
            envelopes = [Envelope._make((*parties, *message)) for message in messages]
            for arrival in arrivals:
                if not arrival.is_held_back:
                    link.latest_due = arrival.due
                parcel = Parcel(arrival.due, next(self._order), link, size_bytes, envelopes)
                heapq.heappush(self._inboxes[to_node], parcel)
                link.in_flight_bytes += size_bytes
            self._something_new.notify_all()
        return None

    def wait_for_due(self, transport: MemoryTransport) -> list[Envelope] | None:
        """Wait until something is due for a transport.

        Returns:
            All that is due, as one batch; None when the transport is detached.
        """
        with self._lock:
            while self._attached.get(transport.node) is transport:
                inbox = self._inboxes[transport.node]
                envelopes: list[Envelope] = []
                while inbox and inbox[0].due <= self._clock():
                    envelopes += self._open_parcel(transport)
                if envelopes:
                    return envelopes
                self._something_new.wait(inbox[0].due - self._clock() if inbox else None)
        return None

    def _open_parcel(self, transport: MemoryTransport) -> list[Envelope]:
        """Take the next parcel of a transport; give what is fit to be delivered."""
        parcel = heapq.heappop(self._inboxes[transport.node])
        parcel.link.in_flight_bytes -= parcel.size_bytes
        first = parcel.envelopes[0]
        if (first.from_node, transport.node) in self._faults.cuts:
            reason = Drop.LOST_ON_PURPOSE
        elif first.receiver_incarnation != transport.incarnation:
            reason = Drop.STALE_RECEIVER
        elif first.sender_incarnation != self._incarnations[first.from_node]:
            reason = Drop.STALE_SENDER
        else:
            transport.counters.received(len(parcel.envelopes), parcel.size_bytes)
            return parcel.envelopes
        transport.counters.add(reason, len(parcel.envelopes))
        return []
