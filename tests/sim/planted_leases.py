"""Bugs planted in the leader's lease, in the promise it rests on, and in reading by it.

Each is one thing that the lease would not survive; see `khepri/raft/lease.py`. They are looked for
under attacks made to order: by chance too few things come together within a lease.
"""

from __future__ import annotations

import math
from typing import Any

from khepri.raft import lease
from khepri.raft.core import RaftCore
from khepri.raft.leader import Leader
from khepri.raft.lease import Lease
from khepri.raft.server import Server
from khepri.testing.simulation_clients import Client
from khepri.testing.simulation_node import SimulatedNode
from khepri.testing.simulation_server import SimulatedServer
from tests.sim.planting import Planted, planted

_lease_recount = Lease.recount

LEASE_BUGS: list[Planted] = []
_plant = planted(LEASE_BUGS)


@_plant("a restarted member forgets its promise", RaftCore, "_start")
def _start(self: Any) -> None:
    _core_start(self)
    self._server.heard_at = -math.inf


_core_start = RaftCore._start


@_plant("a change of term ends the promise", Server, "_advance_term")
def _advance_term(self: Any, term: Any) -> None:
    _server_advance_term(self, term)
    self.heard_at = -math.inf


_server_advance_term = Server._advance_term


@_plant("an election by command breaks the promise", RaftCore, "_trigger_election")
def _trigger_election(self: Any) -> None:
    if self._server.may_campaign and not isinstance(self._server.role, Leader):
        self._server.become_pre_candidate()


@_plant("nobody keeps a promise", Server, "hears_leader")
def _hears_leader(self: Any) -> bool:
    return isinstance(self.role, Leader)


LEASE_BUGS[-1] = LEASE_BUGS[-1]._replace(replacement=property(_hears_leader))


@_plant("a transfer keeps the lease", Leader, "lease_until")
def _lease_until(self: Any) -> float:
    return float(self._lease.until) if self._own_term_committed else -math.inf


LEASE_BUGS[-1] = LEASE_BUGS[-1]._replace(replacement=property(_lease_until))


@_plant("a leader reads by its lease before it has committed", Leader, "lease_until")
def _lease_before_commit(self: Any) -> float:
    return -math.inf if self._timeout_now_sent else float(self._lease.until)


LEASE_BUGS[-1] = LEASE_BUGS[-1]._replace(replacement=property(_lease_before_commit))


@_plant("a lease counts from the arrival of the answer", Lease, "answered")
def _answered(self: Any, progress: Any, number: int, promise_milliseconds: int) -> None:
    del self, number
    progress.trusted_until = progress.last_contact + lease.lease_seconds(promise_milliseconds)


@_plant("a lease leaves no margin for wrong clocks", lease, "lease_seconds")
def _lease_seconds(promise_milliseconds: int) -> float:
    return promise_milliseconds / 1000


@_plant("an endless lease outlives the only voter", Lease, "recount")
def _recount_once(self: Any, voters: Any, *, counts_itself: bool) -> None:
    if self.until < math.inf:
        _lease_recount(self, voters, counts_itself=counts_itself)


@_plant("a leader that is no voter has a lease", Lease, "recount")
def _recount(self: Any, voters: Any, *, counts_itself: bool) -> None:
    del counts_itself
    _lease_recount(self, voters, counts_itself=True)


@_plant("a reader does not wait for the tree", Client, "_look_at_the_tree")
def _look_at_the_tree(self: Any, operation: Any, needed: int) -> None:
    del needed
    _client_look_at_the_tree(self, operation, 0)


_client_look_at_the_tree = Client._look_at_the_tree


@_plant("the commit index is published after the messages", SimulatedServer, "_publish_lease")
def _publish_lease(self: Any) -> None:
    lease_until, commit_index = self.core.lease_until, self.core.commit_index
    if lease_until == -math.inf:
        self.node.access.withdraw_lease()
        return
    self.node.later(
        self.node.random.random() * 0.02,
        self.node.access.publish_lease,
        lease_until,
        commit_index,
    )


@_plant("the clock stands still while the machine is suspended", SimulatedNode, "suspend")
def _suspend(self: Any, seconds: float) -> None:
    _node_suspend(self, seconds)
    rate = self.clock.rate
    self.clock.set_rate(self.now, 1e-6)
    clock = self.clock
    self.world.after(seconds, lambda: clock.set_rate(self.now, rate))


_node_suspend = SimulatedNode.suspend
