"""Connections of real sockets that end in the middle of a pipeline: nothing twice, in order."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

from khepri.testing.local_cluster import LocalCluster
from khepri.transport.settings import TransportSettings
from khepri.transport.zmq_transport import ZmqTransport
from tests.cluster.cluster_helpers import await_equal_trees, eventually, leader_among, others
from tests.transport.transport_relay import Relay

if TYPE_CHECKING:
    from types import TracebackType

    from khepri.actors.future import KhepriFuture
    from khepri.actors.node_network import MakeTransport
    from khepri.transport.interface import OnFailure, Receiver, Transport

COMMANDS = 3_000
UNDER_WAY = 150
COMMANDS_BETWEEN_CUTS = 100

QUICK = TransportSettings(redial_delay_seconds=0.02, redial_delay_limit_seconds=0.1)


class Relayed(LocalCluster):
    """Nodes that reach each other through relays, whose connections can be cut."""

    def __init__(self, size: int) -> None:
        self._relays = ExitStack()
        self.relays: list[Relay] = []
        self._listen: dict[str, str] = {}
        super().__init__(size, transport="zmq")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._relays.close()

    def _name(self, number: int) -> str:
        behind = super()._name(number).rpartition("@")[2]
        relay = self._relays.enter_context(Relay(int(behind.rpartition(":")[2])))
        self.relays.append(relay)
        name = f"node{number}@127.0.0.1:{relay.port}"
        self._listen[name] = behind
        return name

    def _make_transport(self) -> MakeTransport:
        def make(
            name: str, incarnation: bytes, receiver: Receiver, on_failure: OnFailure
        ) -> Transport:
            return ZmqTransport(
                name,
                incarnation,
                receiver,
                cookie=self._cookie,
                listen=self._listen[name],
                settings=QUICK,
                on_failure=on_failure,
            )

        return make


def test_r24_a_pipeline_keeps_its_order_when_its_connections_end_again_and_again() -> None:
    dice = random.Random(24)
    with Relayed(3) as cluster:
        leader = leader_among(cluster, range(3))
        store = cluster.store(others(cluster, leader)[0])
        futures: list[KhepriFuture[int]] = []
        connections_before = sum(len(relay.ends) for relay in cluster.relays)
        for number in range(COMMANDS):
            futures.append(store.increment("/n", async_=True))
            if number >= UNDER_WAY:
                eventually(futures[number - UNDER_WAY].done, "an earlier reply")
            if number % COMMANDS_BETWEEN_CUTS == 0:
                dice.choice(cluster.relays).cut()
        connections = sum(len(relay.ends) for relay in cluster.relays)
        assert connections > connections_before + 10, "hardly anything was cut"
        # Each reply says which one it was: none is missing, none was doubled, none overtook.
        assert [future.get(timeout=30) for future in futures] == list(range(1, COMMANDS + 1))
        assert await_equal_trees(cluster)["/n"][0] == COMMANDS
