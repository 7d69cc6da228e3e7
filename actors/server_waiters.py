"""Who waits at a server for something other than a command of theirs: reads, leaders, places.

Each waits until the server's step has brought what they wait for. Here are only lists of futures:
what is awaited is found in the core, in the origin and in the published tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from khepri.errors import OverloadedError
from khepri.raft.events import ReadRequest
from khepri.raft.types import MemberKind

from .readers_of_a_place import ReadersOfAPlace

if TYPE_CHECKING:
    from khepri.machine.machine import View
    from khepri.raft.core import RaftCore

    from .future import KhepriFuture
    from .server_messages import WaitUntilApplied

    Replies = list[tuple[KhepriFuture[Any], object]]

MAX_PARKED_READS = 10_000
"""So many reads may wait for a leader, or for a place; those whose callers gave up are dropped."""


class Read(NamedTuple):
    """The ticket of a consistent read.

    It also waits for every command that was sent from here before it, as `fence` promises.
    """

    future: KhepriFuture[Any]
    after: int


class ServerWaiters:
    """All who wait at one server. One thread.

    Attributes:
        are_there: false if surely nobody waits; most steps serve commands only.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.are_there = False
        self._confirmed_reads: list[Read] = []
        self._reads_without_leader: list[Read] = []
        self._for_leader: list[KhepriFuture[Any]] = []
        self._to_be_voter: list[KhepriFuture[Any]] = []
        self._for_version: list[tuple[int, KhepriFuture[Any]]] = []
        self._for_a_place = ReadersOfAPlace()

    def futures(self) -> list[KhepriFuture[Any]]:
        """Give the futures of all, for when there will be no answer."""
        reads = (*self._confirmed_reads, *self._reads_without_leader)
        return [
            *self._for_leader,
            *self._to_be_voter,
            *(future for _, future in self._for_version),
            *(read.future for read in reads),
            *self._for_a_place.futures(),
        ]

    def wait_for_leader(self, future: KhepriFuture[Any]) -> None:
        """Reply once a leader is known."""
        self.are_there = True
        self._for_leader.append(future)

    def wait_to_be_voter(self, future: KhepriFuture[Any]) -> None:
        """Reply once this member is a voter that knows its leader."""
        self.are_there = True
        self._to_be_voter.append(future)

    def wait_for_machine_version(self, version: int, future: KhepriFuture[Any]) -> None:
        """Reply once the machine is of a version."""
        self.are_there = True
        self._for_version.append((version, future))

    def wait_for_place(self, place: WaitUntilApplied, future: KhepriFuture[Any]) -> None:
        """Reply once the published tree covers a place; at once if too many wait already."""
        if len(self._for_a_place) >= MAX_PARKED_READS:
            future.resolve(_too_many("a place in the log"))
            return
        self.are_there = True
        self._for_a_place.add(place, future)

    def wait_to_read(self, read: Read) -> None:
        """Reply to a read that the core has confirmed."""
        self.are_there = True
        self._confirmed_reads.append(read)

    def wait_to_ask(self, read: Read) -> None:
        """Ask for the read again once there is a leader; reply if too many wait already."""
        if len(self._reads_without_leader) >= MAX_PARKED_READS:
            read.future.resolve(_too_many("a leader"))
            return
        self.are_there = True
        self._reads_without_leader.append(read)

    def reads_to_ask(self, core: RaftCore) -> list[ReadRequest]:
        """Give the reads that waited for a leader, if there is one now."""
        if not self._reads_without_leader or core.leader is None:
            return []
        reads, self._reads_without_leader = self._reads_without_leader, []
        return [ReadRequest(read) for read in reads]

    def forget_abandoned(self, now: float) -> None:
        """Drop those whose callers have given up, so that waiting in vain costs no memory.

        Args:
            now: on `time.monotonic`, as the callers' deadlines are.
        """
        self._confirmed_reads = [it for it in self._confirmed_reads if not it.future.done()]
        self._reads_without_leader = [
            it for it in self._reads_without_leader if not it.future.done()
        ]
        self._for_leader = [it for it in self._for_leader if not it.done()]
        self._to_be_voter = [it for it in self._to_be_voter if not it.done()]
        self._for_version = [it for it in self._for_version if not it[1].done()]
        self._for_a_place.drop_late(now)

    def take_answerable(self, core: RaftCore, settled: float, view: View | None) -> Replies:
        """Give the replies of all whose time has come.

        Args:
            core: as of the end of the step.
            settled: so many of the commands that were sent from here nobody waits for any more.
            view: the tree as it is published.
        """
        replies: Replies = []
        if self._confirmed_reads:
            # Before these nothing sent from here may be outstanding.
            replies += [(it.future, None) for it in self._confirmed_reads if it.after <= settled]
            self._confirmed_reads = [it for it in self._confirmed_reads if it.after > settled]
        leader = core.leader
        if self._for_leader and leader is not None:
            replies += [(future, leader) for future in self._for_leader]
            self._for_leader = []
        if self._to_be_voter and leader is not None and core.membership is MemberKind.VOTER:
            replies += [(future, None) for future in self._to_be_voter]
            self._to_be_voter = []
        if self._for_version:
            current = core.machine_version
            replies += [
                (future, None) for version, future in self._for_version if version <= current
            ]
            self._for_version = [it for it in self._for_version if it[0] > current]
        if self._for_a_place and view is not None:
            replies += self._for_a_place.take_answerable(view)
        self.are_there = bool(
            self._confirmed_reads
            or self._reads_without_leader
            or self._for_leader
            or self._to_be_voter
            or self._for_version
            or self._for_a_place
        )
        return replies


def _too_many(what: str) -> OverloadedError:
    return OverloadedError(f"{MAX_PARKED_READS} calls wait for {what} already")
