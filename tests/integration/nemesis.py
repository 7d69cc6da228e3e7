"""What does bad things to a cluster of real processes: to the processes, and to their links."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.integration.cluster_processes import RefusedError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.integration.cluster_processes import Processes
    from tests.integration.links import Links

LEADER_CHANCE = 0.6
"""How often a victim is the leader."""


class Nemesis:
    """Does something bad to a cluster, at random, as long as it is told."""

    def __init__(
        self, cluster: Processes, dice: random.Random, *, longest_pause_seconds: float = 3.0
    ) -> None:
        self.cluster = cluster
        self.dice = dice
        self.size = len(cluster.names)
        self._longest_pause_seconds = longest_pause_seconds

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            deed = self.dice.choice(self.deeds())
            print(f"{deed.__name__}", flush=True)
            try:
                deed()
            except RefusedError as error:
                print(f"  refused: {error}")
            self.mend()

    def deeds(self) -> list[Callable[[], None]]:
        return [self.kill_one, self.kill_leader, self.pause_one, self.regroup, self.hand_over]

    def mend(self) -> None:
        self.cluster.make_whole()

    def kill_one(self) -> None:
        """Kill as many as may be missing."""
        victims = self.dice.sample(range(self.size), (self.size - 1) // 2)
        for victim in victims:
            self.cluster.kill(victim)
        self._see_progress_or_not()
        for victim in victims:
            self.cluster.restart(victim)

    def kill_leader(self) -> None:
        leader = self.cluster.leader()
        if leader is not None:
            self.cluster.kill(leader)
            self._see_progress_or_not()
            self.cluster.restart(leader)

    def pause_one(self) -> None:
        process = self.cluster.running[self.victim()]
        process.pause()
        self.let_time_pass(1.0, self._longest_pause_seconds)
        process.resume()

    def regroup(self) -> None:
        number, remote = self.dice.sample(range(self.size), 2)
        self.cluster.leave_and_return(number, remote)

    def hand_over(self) -> None:
        self.cluster.running[self.dice.choice(sorted(self.cluster.running))].ask("transfer")

    def victim(self) -> int:
        leader = self.cluster.leader()
        if leader is not None and self.dice.random() < LEADER_CHANCE:
            return leader
        return self.dice.choice(sorted(self.cluster.running))

    def let_time_pass(self, shortest_seconds: float, longest_seconds: float) -> None:
        """Let what was done last: the length of a fault is part of the fault."""
        threading.Event().wait(self.dice.uniform(shortest_seconds, longest_seconds))

    def _see_progress_or_not(self) -> None:
        if self.dice.random() < 0.5:
            self.cluster.await_progress(20)


class LinkNemesis(Nemesis):
    """Leaves the processes alive: what ends, slows down or chokes are their links."""

    def __init__(
        self,
        cluster: Processes,
        dice: random.Random,
        links: Links,
        look: Callable[[], object],
        *,
        longest_pause_seconds: float = 3.0,
    ) -> None:
        super().__init__(cluster, dice, longest_pause_seconds=longest_pause_seconds)
        self._links = links
        self._look = look

    def deeds(self) -> list[Callable[[], None]]:
        return [
            self.cut_one_way,
            self.make_deaf,
            self.make_dumb,
            self.slow_down,
            self.choke,
            self.flap,
            self.pause_one,
        ]

    def mend(self) -> None:
        self._look()
        self._links.heal()
        self.cluster.await_progress(20)

    def cut_one_way(self) -> None:
        for _ in range(self.dice.randrange(1, self.size)):
            sender, receiver = self.dice.sample(range(self.size), 2)
            self._links.way(sender, receiver).is_cut = True
        self.let_time_pass(0.5, 4.0)

    def make_deaf(self) -> None:
        """Nobody is heard by one node; it is heard by all."""
        victim = self.victim()
        for other in self._others(victim):
            self._links.way(other, victim).is_cut = True
        self.let_time_pass(0.5, 4.0)

    def make_dumb(self) -> None:
        """One node is heard by nobody; it hears all."""
        victim = self.victim()
        for other in self._others(victim):
            self._links.way(victim, other).is_cut = True
        self.let_time_pass(0.5, 4.0)

    def slow_down(self) -> None:
        victim = self.victim()
        rate = self.dice.choice([10_000, 50_000, 200_000])
        for other in self._others(victim):
            for link in self._links.between(victim, other):
                link.bytes_per_second = rate
        self._bulk(victim)
        self.let_time_pass(2.0, 6.0)

    def choke(self) -> None:
        """Take nothing more from a node for some others, and leave the connections as they are."""
        victim = self.victim()
        for other in self.dice.sample(self._others(victim), self.dice.randrange(1, self.size)):
            self._links.way(victim, other).is_choked = True
        self._bulk(victim)
        self.let_time_pass(2.0, 6.0)

    def flap(self) -> None:
        one, other = self.dice.sample(range(self.size), 2)
        for _ in range(10):
            for link in self._links.between(one, other):
                link.is_cut = not link.is_cut
            self.let_time_pass(0.05, 0.3)

    def _bulk(self, number: int) -> None:
        """Give a node more to send than its links take."""
        self.cluster.running[number].ask("bulk", 40, 200_000, 3.0)

    def _others(self, number: int) -> list[int]:
        return [other for other in range(self.size) if other != number]
