"""The peers whose entries may wait a moment, because others make the majority.

A commit needs a majority, not everybody. What goes to everybody at once costs every member a
handful of wake-ups per entry; what the others get a moment later goes together. So the leader
sends at once to as many voters as a majority lacks, the *front*, and to the *reserve* after
`RaftSettings.hold_back_seconds` at most. Who is in front shows a race: now and then an entry goes
to all at once, and whoever has it when it is committed was quick enough. So does what comes
alone: with nothing before it for that long there is nothing that it could go together with.
(Paxos knows this as thrifty; Moraru, Andersen, Kaminsky 2013.)

Nothing depends on the front: what was held back and is not committed when its moment has passed
shows that the reserve is needed. It gets it at once, and there is a race. And nothing is held
back while the own disk is behind what is committed, while leadership is handed over, or from a
member where somebody waits for it.

Here: who waits, and until when. Not here: sending (`replication.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .progress import ProgressState
from .quorum import quorum_size
from .types import Index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .peers import Peers
    from .progress import Progress
    from .server import Server
    from .settings import RaftSettings

RACE_SECONDS = 0.25
"""So long after a race there is the next one, if entries come."""


class Reserve:
    """Decides in each step who is sent nothing. Leader only, volatile, new in each term.

    Attributes:
        deadline: when what is held back is to go; `math.inf` if nothing is.
    """

    def __init__(self, server: Server, peers: Peers) -> None:
        """Begin with everybody in front."""
        self._server = server
        self._peers = peers
        self._awaited = Index(0)
        self._last_index = server.log.last_index
        self.deadline = math.inf
        self._lonely_at = -math.inf  # from then on nothing would go together with what comes
        self.configuration_changed()

    def configuration_changed(self) -> None:
        """Send to everybody until there was a race among those who are members now."""
        self._reserve: tuple[Progress, ...] = ()
        self._race: Index | None = None  # the entry with which the race is over
        self._next_race = -math.inf
        self._hold_nothing()

    def await_elsewhere(self, index: Index) -> None:
        """Hold nothing back until the reserve was told that all up to `index` is committed.

        Somebody waits for it at another member.
        """
        self._awaited = max(self._awaited, index)

    def resting(self) -> Sequence[Progress]:
        """Give the peers that are sent nothing in this step."""
        server = self._server
        hold_back_seconds = server.settings.hold_back_seconds
        if not hold_back_seconds or self._is_racing():
            return ()
        reserve = [peer for peer in self._reserve if _takes_entries(peer, server.settings)]
        first_held = min([peer.next_index for peer in reserve], default=math.inf)
        if first_held > server.log.last_index or not self._may_hold_back(reserve):
            return self._hold_nothing()
        self.deadline = min(self.deadline, server.now + hold_back_seconds)
        if server.now < self.deadline:
            return reserve
        if server.commit_index < first_held:
            self._begin_race()  # the front alone does not bring it about
        return self._hold_nothing()

    def _hold_nothing(self) -> Sequence[Progress]:
        self.deadline = math.inf
        return ()

    def _may_hold_back(self, reserve: Sequence[Progress]) -> bool:
        """Tell whether the front suffices, and nobody waits for what the reserve will have."""
        server = self._server
        return (
            self._peers.counts_itself
            and server.written.last_index >= server.commit_index
            and min([peer.commit_sent for peer in reserve]) >= self._awaited
        )

    # --- races -----------------------------------------------------------------------------

    def _is_racing(self) -> bool:
        """Begin or end a race where it is time to; tell whether there is one."""
        server = self._server
        if self._race is not None and server.commit_index >= self._race:
            self._end_race()
        if server.log.last_index > self._last_index:
            self._last_index = server.log.last_index
            if self._race is None and server.now >= min(self._next_race, self._lonely_at):
                self._begin_race()
            self._lonely_at = server.now + server.settings.hold_back_seconds
        return self._race is not None

    def _begin_race(self) -> None:
        self._race = self._server.log.last_index
        self._next_race = self._server.now + RACE_SECONDS
        self._hold_nothing()

    def _end_race(self) -> None:
        """Put those in front who have most of the log, as many as a majority lacks."""
        self._race = None
        peers = self._peers
        lacking = quorum_size(len(peers.voters) + 1) - 1
        by_match = sorted(peers.voters, key=lambda peer: peer.match_index, reverse=True)
        front = by_match[:lacking]
        self._reserve = tuple(
            [it for it in peers.all.values() if it.departure_index is None and it not in front]
        )


def _takes_entries(peer: Progress, settings: RaftSettings) -> bool:
    """Tell whether entries would leave for it at once; otherwise it is not we who hold them."""
    return peer.state is ProgressState.REPLICATE and peer.has_room(settings)
