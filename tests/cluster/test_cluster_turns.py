"""What a server does within one turn, and in which order."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from khepri.actors.ra_server import RaServer
from khepri.actors.store_network import StoreNetwork
from khepri.log.write_ahead_log import WriteAheadLog
from khepri.machine.machine import Machine
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import eventually, leader_among, others

if TYPE_CHECKING:
    import pytest


class Turns:
    """What each actor's thread has done, turn by turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: dict[str, list[list[str]]] = defaultdict(lambda: [[]])
        self._monkeypatch = monkeypatch

    def watch(self, owner: type, method: str, what: str, *, begins: bool = False) -> None:
        """Note the calls of a method; those that begin a turn begin a new list."""
        original = getattr(owner, method)

        def noted(*arguments: Any, **options: Any) -> Any:
            turns = self.of[threading.current_thread().name]
            if begins:
                turns.append([])
            else:
                turns[-1].append(what)
            return original(*arguments, **options)

        self._monkeypatch.setattr(owner, method, noted)

    def with_all(self, thread: str, *what: str) -> list[list[str]]:
        """Give the turns of a thread in which all of that was done."""
        return [turn for turn in self.of[thread] if set(what) <= set(turn)]


def test_a_follower_confirms_what_it_has_written_before_it_applies_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its leader waits for the confirmation; for the rest nobody does."""
    turns = Turns(monkeypatch)
    turns.watch(RaServer, "on_batch", "", begins=True)
    turns.watch(WriteAheadLog, "write", "write")
    turns.watch(StoreNetwork, "_post", "say")
    turns.watch(Machine, "apply", "apply")
    turns.watch(WriteAheadLog, "confirm", "note")
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        threads = [
            f"khepri-{cluster.store_id}@{cluster.name(follower)}-ra-server"
            for follower in others(cluster, leader)
        ]
        values = count()

        def whole_turns() -> list[list[list[str]]]:
            return [turns.with_all(thread, "write", "say", "apply", "note") for thread in threads]

        def both_had_one() -> bool:
            for _ in range(10):  # without a pause, or the followers hear of each commit by itself
                cluster.store(leader).put("/a", next(values))
            return all(whole_turns())

        eventually(both_had_one, "an append told each follower of a commit before it")
    for turn in chain.from_iterable(whole_turns()):
        # Before it writes it may have answered a heartbeat of the same batch.
        assert turn.index("say", turn.index("write")) < turn.index("apply")
        assert turn.index("apply") < turn.index("note"), "nobody waits for that one"
