"""What a server does within one turn, and in which order."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from khepri.actors.ra_server import RaServer
from khepri.log.write_ahead_log import WriteAheadLog
from khepri.machine.machine import Machine
from khepri.testing.local_cluster import LocalCluster
from khepri.transport.memory_transport import MemoryTransport
from tests.cluster.cluster_helpers import eventually, leader_among, others

if TYPE_CHECKING:
    import pytest


class Turns:
    """What each server has done, turn by turn, in whichever thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: dict[str, list[list[str]]] = defaultdict(list)
        self._in_hand: dict[int, list[str]] = {}  # by thread
        self._monkeypatch = monkeypatch

    def watch_turns(self, method: str) -> None:
        """Begin a new turn with each call of a method of RaServer."""
        original = getattr(RaServer, method)

        def begin(server: RaServer, *arguments: Any) -> Any:
            turn: list[str] = []
            self.of[str(server)].append(turn)
            self._in_hand[threading.get_ident()] = turn
            return original(server, *arguments)

        self._monkeypatch.setattr(RaServer, method, begin)

    def watch(self, owner: type, method: str, what: str) -> None:
        """Note the calls of a method in the turn of its thread."""
        original = getattr(owner, method)

        def noted(*arguments: Any, **options: Any) -> Any:
            self._in_hand.setdefault(threading.get_ident(), []).append(what)
            return original(*arguments, **options)

        self._monkeypatch.setattr(owner, method, noted)

    def with_all(self, server: str, *what: str) -> list[list[str]]:
        """Give the turns of a server in which all of that was done."""
        return [turn for turn in self.of[server] if set(what) <= set(turn)]


def test_a_follower_confirms_what_it_has_written_before_it_applies_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its leader waits for the confirmation; for the rest nobody does."""
    turns = Turns(monkeypatch)
    turns.watch_turns("on_batch")
    turns.watch_turns("on_deadline")
    turns.watch(WriteAheadLog, "write", "write")
    turns.watch(MemoryTransport, "send", "say")
    turns.watch(Machine, "apply", "apply")
    turns.watch(WriteAheadLog, "confirm", "note")
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        servers = [
            f"{cluster.store_id}@{cluster.name(follower)}-ra-server"
            for follower in others(cluster, leader)
        ]
        values = count()

        def whole_turns() -> list[list[list[str]]]:
            return [turns.with_all(server, "write", "say", "apply", "note") for server in servers]

        def both_had_one() -> bool:
            for _ in range(10):  # without a pause, or the followers hear of each commit by itself
                cluster.store(leader).put("/a", next(values))
            return all(whole_turns())

        eventually(both_had_one, "an append told each follower of a commit before it")
    for turn in chain.from_iterable(whole_turns()):
        # Before the write it may have answered a heartbeat that came with the append.
        assert "say" in turn[turn.index("write") : turn.index("apply")]
        assert turn.index("apply") < turn.index("note"), "nobody waits for that one"
