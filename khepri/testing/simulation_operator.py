"""The operator of a simulated cluster: who adds, removes and replaces members, and insists.

It knows what it wants and asks whoever leads, again and again, until it is done: adding a node, a
removed node's end, and a node with a new disk in the place of its lost incarnation. One wish is
worked on at a time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from khepri.raft import events as event
from khepri.raft.effects import Rejected, RejectReason
from khepri.raft.types import Member, MemberKind, ServerId

if TYPE_CHECKING:
    from .simulation import Simulation
    from .simulation_node import SimulatedNode

RETRY_SECONDS = 0.4
ANSWER_SECONDS = 3.0


class Wish(NamedTuple):
    """What is to be done.

    Attributes:
        kind: add or remove.
        name: of the node.
        member: how it shall take part.
    """

    kind: str
    name: str
    member: MemberKind = MemberKind.PROMOTABLE


class _Attempt:
    """The ticket of one attempt."""

    def __init__(self, operator: Operator, wish: Wish) -> None:
        self._operator = operator
        self._wish = wish
        self.is_over = False

    def resolve(self, answer: object, index: int) -> None:
        del index
        if not self.is_over:
            self.is_over = True
            self._operator.answered(self._wish, answer)

    def expire(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._operator.retry()


class Operator:
    """Makes membership changes happen."""

    def __init__(self, world: Simulation) -> None:
        """Want nothing."""
        self._world = world
        self._wishes: deque[Wish] = deque()
        self._is_busy = False

    @property
    def is_idle(self) -> bool:
        """Whether everything wanted is done."""
        return not self._wishes

    def want(self, wish: Wish) -> None:
        """Have something done, after all that was wanted before."""
        self._wishes.append(wish)
        if not self._is_busy:
            self._is_busy = True
            self._world.after(0.0, self._try)

    def retry(self) -> None:
        """Try the first wish again in a moment."""
        self._world.after(RETRY_SECONDS, self._try)

    def _try(self) -> None:
        if not self._wishes:
            self._is_busy = False
            return
        wish, world = self._wishes[0], self._world
        node = world.nodes[wish.name]
        leader = world.leader()
        request: event.AddMember | event.RemoveMember
        attempt = _Attempt(self, wish)
        if wish.kind == "add":
            if leader is not None and leader.core.needed_machine_version > node.machine_version:
                if node.is_up:
                    node.die(power_loss=False)
                node.machine_version = leader.core.needed_machine_version  # an upgrade
            node.start()
            if node.needs_wipe:
                node.wipe()
            if not node.is_up or leader is None:
                self.retry()
                return
            request = event.AddMember(Member(node.server_id, node.uid, wish.member), attempt)
        else:
            if leader is None:
                self.retry()
                return
            request = event.RemoveMember(ServerId(node.server_id.store_id, wish.name), attempt)
        leader.node.later(0.0, leader.arrive, request)
        world.after(ANSWER_SECONDS, attempt.expire)

    def answered(self, wish: Wish, answer: object) -> None:
        """Take the answer to an attempt."""
        if isinstance(answer, Rejected) and answer.reason not in {
            RejectReason.ALREADY_MEMBER,
            RejectReason.NOT_MEMBER,
            RejectReason.LAST_VOTER,
        }:
            self.retry()
            return
        self._wishes.popleft()
        if wish.kind == "remove" and not (
            isinstance(answer, Rejected) and answer.reason is RejectReason.LAST_VOTER
        ):
            node = self._world.nodes[wish.name]
            self._world.after(self._world.random.random() * 2, self._retire, node)
            self._world.after(2.0, self._try)  # by then it is gone
        else:
            self._world.after(0.0, self._try)

    def _retire(self, node: SimulatedNode) -> None:
        """Stop a removed node and clear its disk."""
        if node.is_up:
            node.die(power_loss=False)
        node.life += 1
        node.wipe()
