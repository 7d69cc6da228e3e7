"""The simulated network: every message may be lost, doubled, late, out of order, or cut off.

The model, stated once:

* A message is lost with `loss`, delivered twice with `duplication`, late with `delay_tail`;
  otherwise it takes `latency_seconds` and a random part of `jitter_seconds`. So links reorder.
* A *cut* is one direction of one link: what is sent or arrives while it is cut is lost.
  Partitions of any shape are sets of cuts.
* A *clogged* direction holds everything back until it is unclogged, then lets it all through.

Messages are handed over as the objects they are; one in `ENCODED_EVERY` goes through its wire
form.
All randomness comes from the one generator given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from khepri.encoding import pack, unpack
from khepri.raft.messages import message_from_plain

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from khepri.raft.types import ServerId

ENCODED_EVERY = 64
"""One Raft message in so many is encoded and decoded on its way."""


class Envelope(NamedTuple):
    """One message on its way.

    Attributes:
        sender: who sends it.
        sender_uid: which incarnation of it.
        receiver: the node it goes to.
        receiver_uid: the incarnation that was there when it was sent.
        message: a Raft message, or a list of groups.
    """

    sender: ServerId
    sender_uid: str
    receiver: str
    receiver_uid: str
    message: Any


@dataclass(slots=True)
class NetworkConditions:
    """How bad it is.

    Attributes:
        latency_seconds: the shortest way.
        jitter_seconds: up to this is added, evenly.
        loss: probability that a message is lost.
        duplication: probability that it comes twice.
        delay_tail: probability that it is late.
        delay_tail_seconds: how late at most.
    """

    latency_seconds: float = 0.0005
    jitter_seconds: float = 0.002
    loss: float = 0.0
    duplication: float = 0.0
    delay_tail: float = 0.0
    delay_tail_seconds: float = 0.5


class SimulatedNetwork:
    """All links between all nodes."""

    def __init__(
        self,
        randomness: random.Random,
        schedule: Callable[..., None],
        deliver: Callable[[Envelope], None],
    ) -> None:
        """Connect everybody with everybody.

        Args:
            randomness: decides the fate of each message.
            schedule: of the simulation: (delay in seconds, action, arguments).
            deliver: hands an envelope to its receiver.
        """
        self.conditions = NetworkConditions()
        self.sent = 0
        self.lost = 0
        self.duplicated = 0
        self._random = randomness.random
        self._schedule = schedule
        self._deliver = deliver
        self._cuts: set[tuple[str, str]] = set()
        self._clogged: dict[tuple[str, str], list[Envelope]] = {}

    def send(self, envelope: Envelope) -> None:
        """Take a message; what becomes of it is decided here."""
        self.sent += 1
        random, conditions = self._random, self.conditions
        if self._cuts and (envelope.sender.node, envelope.receiver) in self._cuts:
            self.lost += 1
            return
        if conditions.loss and random() < conditions.loss:
            self.lost += 1
            return
        if not self.sent % ENCODED_EVERY and not isinstance(envelope.message, list):
            plain = unpack(pack(envelope.message.to_plain()))
            envelope = envelope._replace(message=message_from_plain(plain))
        self._schedule(self._delay(), self._arrive, envelope)
        if conditions.duplication and random() < conditions.duplication:
            self.duplicated += 1
            self._schedule(self._delay(), self._arrive, envelope)

    def _delay(self) -> float:
        conditions, random = self.conditions, self._random
        delay = conditions.latency_seconds + random() * conditions.jitter_seconds
        if conditions.delay_tail and random() < conditions.delay_tail:
            delay += random() * conditions.delay_tail_seconds
        return delay

    def _arrive(self, envelope: Envelope) -> None:
        link = (envelope.sender.node, envelope.receiver)
        if link in self._clogged:
            self._clogged[link].append(envelope)
        elif link in self._cuts:
            self.lost += 1
        else:
            self._deliver(envelope)

    def cut(self, links: Iterable[tuple[str, str]]) -> None:
        """Cut directions of links, each as (from, to)."""
        self._cuts.update(links)

    def mend(self, links: Iterable[tuple[str, str]]) -> None:
        """Undo `cut` for these directions."""
        self._cuts.difference_update(links)

    def clog(self, link: tuple[str, str]) -> None:
        """Hold back what arrives on one direction of a link."""
        self._clogged.setdefault(link, [])

    def unclog(self, link: tuple[str, str]) -> None:
        """Let everything held back through, in the order of its arrival."""
        for envelope in self._clogged.pop(link, ()):
            self._schedule(0.0, self._arrive, envelope)

    def heal(self) -> None:
        """Make it a good network; what is on its way stays on its way."""
        self.conditions = NetworkConditions()
        self._cuts.clear()
        for link in sorted(self._clogged):
            self.unclog(link)
