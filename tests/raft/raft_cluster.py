"""Several members, a network and a clock, all in one thread and all from one seed.

The network has latency, and loses what a test tells it to lose. `Watch` checks the invariants of
the cases (I1, I2, I3, I7, I8 and that what is committed stays) after every step of every member.
"""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING

from khepri.raft.effects import AppendEntries, Completed, ReadReady, Rejected
from khepri.raft.events import MessageReceived, Propose, ReadRequest, TimePassed, TriggerElection
from khepri.raft.types import Configuration, Entry, Role
from tests.raft.raft_helpers import SETTINGS, Disk, Node
from tests.raft.raft_notation import sid, voters

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.raft.effects import Send
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from khepri.raft.settings import RaftSettings
    from khepri.raft.types import ServerId, Term


class Watch:
    """Sees every step and knows what must never happen."""

    def __init__(self) -> None:
        self.leaders: dict[Term, str] = {}
        self.votes: dict[tuple[str, Term], ServerId] = {}
        self.applied: dict[int, Entry] = {}
        self._marks: dict[str, tuple[Term, int]] = {}

    def restarted(self, node: Node) -> None:
        """Commit index and machine may go back; term and vote may not."""
        term, _ = self._marks.get(node.name, (node.core.term, 0))
        assert node.core.term >= term, "I3: the term survives a restart"
        self._marks[node.name] = (node.core.term, 0)

    def stepped(self, node: Node) -> None:
        core = node.core
        if core.role is Role.LEADER:
            other = self.leaders.setdefault(core.term, node.name)
            assert other == node.name, f"I1: {other} and {node.name} lead term {core.term}"
        vote = node.disk.hard_state.voted_for
        if vote is not None:
            first = self.votes.setdefault((node.name, node.disk.hard_state.term), vote)
            assert first == vote, f"I2: {node.name} votes for {first} and {vote}"
        term, commit_index = self._marks.get(node.name, (core.term, 0))
        assert core.term >= term, "I3: terms only grow"
        assert core.commit_index >= commit_index, "I8: the commit index only grows"
        assert core.last_applied <= core.commit_index <= core.last_index, "I8"
        self._marks[node.name] = (core.term, core.commit_index)
        for entry in node.machine[len(node.machine) - 64 :] if node.machine else []:
            known = self.applied.setdefault(entry.index, entry)
            assert known == entry, f"I7: index {entry.index} is {known} and {entry}"


class Cluster:
    """Nodes by name, and the world between them."""

    def __init__(
        self,
        names: str = "ABC",
        *,
        seed: int = 1,
        settings: RaftSettings = SETTINGS,
        latency_seconds: float = 0.002,
        sync_seconds: float = 0.001,
        configuration: Configuration | None = None,
    ) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.seed = seed
        self.settings = settings
        self.latency_seconds = latency_seconds
        self.sync_seconds = dict.fromkeys(names, sync_seconds)
        self.watch = Watch()
        self.cut_links: set[tuple[str, str]] = set()
        self.drop: Callable[[str, str, Message], bool] = lambda _s, _t, _m: False
        self.delay: Callable[[str, str, Message], list[float]] | None = None
        self.clock_rates: dict[str, float] = {}
        self.paused: set[str] = set()
        self.dead: set[str] = set()
        self.delivered: list[tuple[str, str, Message]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._mail: dict[str, list[Event]] = {}
        self._generation: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}
        for name in names:
            self.add(name, configuration or voters(names))

    # --- members ---------------------------------------------------------------------------

    def add(self, name: str, configuration: Configuration, its_uid: str | None = None) -> Node:
        """Start another member."""
        node = Node(
            name,
            configuration=configuration,
            settings=self.settings,
            seed=self.seed,
            its_uid=its_uid,
        )
        node.now = self.now
        self.nodes[name] = node
        self.sync_seconds.setdefault(name, 0.001)
        self._mail[name] = []
        self._generation[name] = self._generation.get(name, 0) + 1
        self.dead.discard(name)
        self.tell(name, TimePassed())
        return node

    def crash(self, name: str) -> None:
        """Stop at once; what is not synced is lost."""
        self.dead.add(name)
        self._generation[name] += 1
        self._mail[name] = []

    def restart(self, name: str, disk: Disk | None = None) -> None:
        """Start again with what the disk holds."""
        self.crash(name)
        self.dead.discard(name)
        node = self.nodes[name]
        node.disk = disk or node.disk
        node.now = self.now
        node._boot()
        self.watch.restarted(node)
        self.tell(name, TimePassed())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # --- the network -----------------------------------------------------------------------

    def isolate(self, *names: str) -> None:
        """Cut the links between `names` and all others, both ways."""
        for inside in names:
            for outside in self.nodes:
                if outside not in names:
                    self.cut_links |= {(inside, outside), (outside, inside)}

    def heal(self) -> None:
        self.cut_links = set()
        self.drop = lambda _s, _t, _m: False
        self.delay = None

    def _post(self, sender: str, send: Send) -> None:
        target = send.to.node
        if (sender, target) in self.cut_links or self.drop(sender, target, send.message):
            return
        delays = [self.latency_seconds]
        if self.delay is not None:
            delays = self.delay(sender, target, send.message)
        for delay in delays:
            self._at(self.now + delay, lambda: self._deliver(sender, target, send.message))

    def _deliver(self, sender: str, target: str, message: Message) -> None:
        if target in self.dead or target not in self.nodes:
            return
        if (sender, target) in self.cut_links:
            return
        self.delivered.append((sender, target, message))
        self.tell(target, MessageReceived(sid(sender), message))

    # --- time ------------------------------------------------------------------------------

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (when, self._order, what))

    def tell(self, name: str, event: Event) -> None:
        """Put an event into a mailbox; all that arrives at one moment is one batch."""
        mail = self._mail[name]
        mail.append(event)
        if len(mail) == 1:
            generation = self._generation[name]
            self._at(self.now, lambda: self._wake(name, generation))

    def _wake(self, name: str, generation: int) -> None:
        if name in self.dead or generation != self._generation[name] or name in self.paused:
            return
        node = self.nodes[name]
        batch, self._mail[name] = self._mail[name], []
        effects = node.step(*batch, now=self.now * self.clock_rates.get(name, 1.0))
        self.watch.stepped(node)
        outbox, node.outbox = node.outbox, []
        for send in outbox:
            self._post(name, send)
        if any(isinstance(effect, AppendEntries) for effect in effects):
            self._at(self.now + self.sync_seconds[name], lambda: self._sync(name, generation))
        jobs, node.jobs = node.jobs, []
        for job in jobs:
            self.tell_later(name, job, 0.001)
        deadline = self._deadline(name)
        if deadline < float("inf"):
            self._at(max(deadline, self.now), lambda: self._alarm(name, generation))

    def _sync(self, name: str, generation: int) -> None:
        if name not in self.dead and generation == self._generation[name]:
            for notice in self.nodes[name].write_to_disk():
                self.tell(name, notice)

    def tell_later(self, name: str, event: Event, seconds: float) -> None:
        """Put an event into a mailbox after a while, unless the member crashes before."""
        generation = self._generation[name]

        def tell_now() -> None:
            if name not in self.dead and generation == self._generation[name]:
                self.tell(name, event)

        self._at(self.now + seconds, tell_now)

    def _alarm(self, name: str, generation: int) -> None:
        if name in self.dead or generation != self._generation[name]:
            return
        if self._deadline(name) <= self.now and not self._mail[name]:
            self.tell(name, TimePassed())

    def _deadline(self, name: str) -> float:
        """When the member wants to be called, by the clock of the world (rounded up)."""
        deadline = self.nodes[name].core.next_deadline()
        return deadline / self.clock_rates.get(name, 1.0) + 1e-9

    def pause(self, name: str) -> None:
        """Stop the process (SIGSTOP): mail piles up, time goes on."""
        self.paused.add(name)

    def resume(self, name: str) -> None:
        """Let the process go on with all that has piled up as one batch."""
        self.paused.discard(name)
        generation = self._generation[name]
        self._mail[name].append(TimePassed())
        self._at(self.now, lambda: self._wake(name, generation))

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, what = heapq.heappop(self._agenda)
            what()
        self.now = end

    def run_until(self, predicate: Callable[[], object], seconds: float = 10.0) -> None:
        """Let time pass until something holds; fail if it does not in time."""
        end = self.now + seconds
        while not predicate():
            assert self._agenda, "nothing happens any more"
            assert self._agenda[0][0] <= end, f"not within {seconds} s (seed {self.seed})"
            self.now, _, what = heapq.heappop(self._agenda)
            what()

    # --- scenarios -------------------------------------------------------------------------

    @property
    def alive(self) -> list[Node]:
        return [node for name, node in self.nodes.items() if name not in self.dead]

    @property
    def leader(self) -> Node | None:
        """The leader of the highest term among those alive."""
        leaders = [node for node in self.alive if node.is_leader]
        return max(leaders, key=lambda node: node.core.term, default=None)

    def elect(self, name: str = "A") -> Node:
        """Trigger an election at `name` and wait until it leads and everybody follows."""
        self.tell(name, TriggerElection())
        self.run_until(lambda: self[name].is_leader)
        self.settle()
        return self[name]

    def wait_for_leader(self, seconds: float = 10.0) -> Node:
        self.run_until(lambda: self.leader is not None, seconds)
        leader = self.leader
        assert leader is not None
        return leader

    def put(self, name: str, data: bytes) -> None:
        """Propose at `name`, without waiting."""
        self.tell(name, Propose(data, data))

    def write(self, data: bytes, seconds: float = 10.0) -> None:
        """Propose at the leader and wait until it is applied there."""
        leader = self.wait_for_leader(seconds)
        self.put(leader.name, data)
        self.run_until(lambda: data in leader.commands, seconds)

    def read(self, name: str, ticket: object) -> None:
        self.tell(name, ReadRequest(ticket))

    def answer(self, name: str, ticket: object) -> ReadReady | Rejected | Completed | None:
        """What became of a ticket."""
        for effect in self[name].history:
            if isinstance(effect, ReadReady | Rejected | Completed) and effect.ticket == ticket:
                return effect
        return None

    def settled(self) -> bool:
        """Whether all alive members agree and have applied and written everything."""
        leader = self.leader
        return leader is not None and all(
            node.core.term == leader.core.term
            and node.core.leader == sid(leader.name)
            and node.core.last_applied == leader.core.last_index
            and node.core.last_written == leader.core.last_index
            for node in self.alive
        )

    def settle(self, seconds: float = 20.0) -> None:
        """Wait for rest, then check that all are equal (I14)."""
        self.run_until(self.settled, seconds)
        leader = self.leader
        assert leader is not None
        for node in self.alive:
            assert node.machine == leader.machine
            assert node.core.configuration == leader.core.configuration
