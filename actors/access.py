"""What any thread may know of a store without asking an actor.

One `StoreAccess` per store that runs on a node. Its server and its membership cache replace the
attributes; each is immutable or a reference, so a reader needs no lock: it sees the old or the
new one. That is how reads stay local and never wait (design §4.5).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.machine.machine_version import FIRST_VERSION

from .change_outlet import ChangeOutlet
from .own_threads import refuse_to_wait_here
from .server_clock import server_clock
from .transaction_turns import TransactionTurns
from .unawaited import UnawaitedWrites

if TYPE_CHECKING:
    from khepri.machine.machine import View
    from khepri.raft.types import ServerId

    from .reference import ActorReference


class MembershipView(NamedTuple):
    """Who belongs to a store and who leads it, as known here; may be out of date."""

    members: tuple[ServerId, ...]
    leader: ServerId | None


class ReadLease(NamedTuple):
    """Until when which place in the log is enough for a linearizable read here.

    One value, replaced as a whole, so that no reader sees the end of one lease with the commit
    index of another.
    """

    until: float
    """On `server_clock`."""
    commit_index: int


NO_LEASE: Final = ReadLease(-inf, 0)


class StoreAccess:
    """The published face of one store on one node."""

    __slots__ = (
        "_changed",
        "_is_closed",
        "calls_made",
        "cluster_id",
        "is_leaving",
        "joins_through",
        "joins_with_vote",
        "lease",
        "machine_version",
        "membership",
        "outlet",
        "server",
        "server_id",
        "store_id",
        "told_of_calls",
        "transaction_turns",
        "unawaited",
        "view",
    )

    def __init__(self, store_id: str, server_id: ServerId, cluster_id: bytes) -> None:
        """Make the face of a store whose server has not started yet."""
        self.cluster_id = cluster_id
        self.store_id = store_id
        self.server_id = server_id
        self.server: ActorReference | None = None
        """The running server; None before its first start. A dead one answers with errors."""
        self.is_leaving = False
        """Whether its data are about to be given up, for a join or a reset: nobody may join it."""
        self.joins_through: tuple[str, ...] = ()
        """The nodes of the cluster that is being joined, until the join is done.

        The member here does not know yet whether they have made it one."""
        self.joins_with_vote = True
        """Whether the member here is to be a voter, for all that is known."""
        self._changed = threading.Condition()
        self._is_closed = False
        self.view: View | None = None
        """The tree as of the last applied entry; None until recovery is done."""
        self.machine_version = FIRST_VERSION
        """The version of the machine that applies the log here."""
        self.lease = NO_LEASE
        """The leader's lease, while the server here leads; see `leased_view`."""
        self.transaction_turns = TransactionTurns()
        """Whose transaction may run again."""
        self.unawaited = UnawaitedWrites()
        """What the calling thread has sent without waiting for it."""
        self.told_of_calls: ActorReference | None = None
        """The EventHandler that was told of calls to be made and has not looked since."""
        self.calls_made: deque[int] = deque()
        """Numbers of calls for triggers that were made, and not said to be; see
        `take_calls_made`."""
        self.outlet = ChangeOutlet(self)
        """Who is told of changes."""
        self.membership: MembershipView | None = None
        """What the membership cache last published."""

    def leased_view(self) -> View | None:
        """Give the tree for a linearizable read at once; None if the server must be asked.

        First the clock, then the lease, then the tree. At the moment the clock was read, nobody
        but the leader here was elected: the others have promised that by time, whatever becomes
        of this leader afterwards, and however long this thread stands still between two lines.
        So whatever anybody was told before that moment was committed by this leader or before
        it, and the server publishes its commit index *before* anything that could tell anybody
        leaves it: it is in the lease read afterwards. What happens later makes the tree only
        fresher.
        """
        now = server_clock()
        lease = self.lease
        if now >= lease.until:
            return None
        view = self.view
        if view is None or view.index < lease.commit_index or self.unawaited.are_there():
            return None
        return view

    def publish_lease(self, until: float, commit_index: int) -> None:
        """Let threads read by the leader's lease, or no longer (the server's thread)."""
        if until == -inf:
            self.lease = NO_LEASE
        elif self.lease != (until, commit_index):
            self.lease = ReadLease(until, commit_index)

    def withdraw_lease(self) -> None:
        """Let nobody read by the lease any more (the server's thread)."""
        self.lease = NO_LEASE

    def publish_view(self, view: View) -> None:
        """Replace the tree by a later one (the server's thread).

        A server that is started again begins with what it knows to be committed *and* has on its
        own disk. What was read before is committed too, so it stays until that has caught up.
        """
        known = self.view
        if known is None or view.covers(known.index, known.term):
            self.view = view

    def publish_server(self, server: ActorReference, view: View) -> None:
        """Say that a server takes commands now (the server's thread)."""
        self.publish_view(view)
        with self._changed:
            self.server = server
            self._changed.notify_all()

    def close(self) -> None:
        """Say that there will be no server any more: the store was stopped, or gave up."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self.outlet.close()

    def wait_for_server(self, timeout_seconds: float | None) -> ActorReference | None:
        """Wait until there is a server that is not dead, as after a restart.

        Returns:
            the server; None if none came in time, or if none will come.

        Raises:
            MisuseError: this is a thread of khepri's own, maybe the one that starts the server.
        """
        refuse_to_wait_here(for_a_server=True)
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while self.server is None or not self.server.is_alive():
                rest = None if end is None else end - time.monotonic()
                if self._is_closed or (rest is not None and rest <= 0):
                    return None
                self._changed.wait(rest)
            return self.server

    def take_calls_made(self) -> list[int]:
        """Give the numbers of calls that were made; whoever has them says so. Any thread."""
        made, numbers = self.calls_made, list[int]()
        with suppress(IndexError):  # two may be taking: each number goes to one of them
            while True:
                numbers.append(made.popleft())
        return numbers

    @property
    def is_closed(self) -> bool:
        """Whether the store was stopped or gave up: what comes under its id later is another."""
        return self._is_closed

    @property
    def leads_as_far_as_known(self) -> bool:
        """Whether the member here leads, as the cache has published it."""
        return self.membership is not None and self.membership.leader == self.server_id

    def known_members(self) -> tuple[ServerId, ...]:
        """Give the members the cache has published; none if it has published nothing yet."""
        return () if self.membership is None else self.membership.members
