"""The leader's lease: how long nobody else can have been elected (dissertation §6.4.1).

A member that has heard a leader helps nobody against it, itself included, for
`election_timeout_min_seconds` (`Server.hears_leader`). So when a majority, the leader counted,
has answered a heartbeat round, nobody is elected before that time is over, counted from the
*sending* of the round: whoever answered has heard it later than that. The time is each member's
own setting, so its answer says how long it promises.

The members' clocks decide when it is over. Each may run too fast or too slow by
`CLOCK_RATE_ERROR`. A promise lasts at least T / (1 + d) of true time by a fast clock, and a lease
of L lasts at most L / (1 - d) by a slow one; so L = T (1 - d) / (1 + d).

The promises that a lease rests on are kept elsewhere:

- they outlive a change of role and of term (`Server.heard_at`);
- a restarted member, which has forgotten whom it heard, behaves as if it had heard a leader at
  its start (`core.py`); a shorter promise than before its end would not do;
- only a leader that wants to be replaced lets an election pass by them (`TimeoutNow`), and has no
  lease for the rest of its term, since that message may arrive late (`leader.py`);
- a leader that is no voter has no lease: a single voter elects itself without asking anybody.

Here: when which round went out, and what a majority has promised. Not here: whether the leader
may use it (`leader.py`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from .quorum import quorum_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .progress import Progress
    from .settings import RaftSettings

CLOCK_RATE_ERROR: Final = 0.2
"""Each member's clock may be wrong by this share, in either direction."""


def promise_milliseconds(settings: RaftSettings) -> int:
    """Give for how long a member with these settings helps nobody against who it has heard."""
    return math.floor(settings.election_timeout_min_seconds * 1000)


def lease_seconds(promise_milliseconds: int) -> float:
    """Give how long a leader may trust a promise, from the sending of the round it answers."""
    return promise_milliseconds / 1000 * (1 - CLOCK_RATE_ERROR) / (1 + CLOCK_RATE_ERROR)


class Lease:
    """What the voters have promised the leader of one term. Leader only, volatile.

    Attributes:
        until: nobody else is elected before; `-math.inf` if nothing is promised, `math.inf` if
            the leader is the only voter.
    """

    def __init__(self, settings: RaftSettings) -> None:
        """Begin with nothing promised."""
        self.until = -math.inf
        self._is_wanted = settings.read_leases
        # What is older than a lease lasts can found none, so it need not be remembered.
        self._memory_seconds = lease_seconds(promise_milliseconds(settings))
        self._sent_at: deque[tuple[int, float]] = deque()

    def round_sent(self, number: int, now: float) -> None:
        """Note that a heartbeat round goes out now."""
        if not self._is_wanted:
            return
        while self._sent_at and self._sent_at[0][1] < now - self._memory_seconds:
            self._sent_at.popleft()
        self._sent_at.append((number, now))

    def answered(self, progress: Progress, number: int, promise_milliseconds: int) -> None:
        """Note that a peer has answered a round: its promise began after that was sent."""
        for sent, at in self._sent_at:
            if sent == number:
                until = at + lease_seconds(promise_milliseconds)
                progress.trusted_until = max(progress.trusted_until, until)
                return

    def recount(self, voters: Iterable[Progress], *, counts_itself: bool) -> None:
        """Find anew what a majority has promised: by an answer, or by another configuration.

        Args:
            voters: the other voters of the configuration in effect.
            counts_itself: whether the leader is a voter. Its own promise holds while it leads.
        """
        if not self._is_wanted or not counts_itself:
            self.until = -math.inf
            return
        self.until = quorum_value([*(progress.trusted_until for progress in voters), math.inf])
