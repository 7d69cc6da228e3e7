"""A cluster in one process for users' tests: real actors, files in memory, faults on request."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from khepri.actors.node import Node
from khepri.calls import Deadline
from khepri.config import get_max_command_bytes
from khepri.errors import InvalidOptionError, MisuseError
from khepri.log.shared_file_system import SharedFileSystem
from khepri.management import ClusterManager
from khepri.store import Store
from khepri.transport.memory_network import MemoryNetwork
from khepri.transport.memory_transport import MemoryTransport
from khepri.transport.settings import TransportSettings
from khepri.transport.zmq_transport import ZmqTransport

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from khepri.actors.node_network import MakeTransport
    from khepri.transport.interface import OnFailure, Receiver, Transport

DIRECTORY = "/cluster"

_LOOK_AGAIN_SECONDS = 0.01

JOIN_SECONDS = 60.0
"""How long one node may take to join when the cluster is formed."""


class LocalCluster:
    """Nodes with one store each, joined; use it as a context manager.

    Nodes are named by their number, from 0. A node's files outlive its `kill`, so that `restart`
    finds what was on its disk. Made for one thread; what `store`, `manager` and `node` give can be
    used by any.

    Errors that every function with a number may raise: `InvalidOptionError`, if there is no node
    of that number, or if it runs and should not, or does not and should.
    """

    def __init__(
        self,
        size: int,
        *,
        transport: Literal["memory", "zmq"] = "memory",
        store_id: str = "khepri",
        config: Mapping[str, object] | None = None,
        seed: int = 0,
    ) -> None:
        """Describe the cluster; it is formed when the block begins.

        Args:
            size: how many nodes.
            transport: ``"memory"`` can cut links and lose messages, ``"zmq"`` uses sockets on
                loopback, with CURVE.
            store_id: the store they share.
            config: its settings, as for `khepri.start`.
            seed: for the faults of the memory transport.

        Raises:
            InvalidOptionError: not a size or a transport.
        """
        if type(size) is not int or size < 1:
            raise InvalidOptionError(
                f"a cluster has 1 or more nodes, not {size!r}", option="size", value=size
            )
        if transport not in ("memory", "zmq"):
            raise InvalidOptionError(
                f"the transport is 'memory' or 'zmq', not {transport!r}",
                option="transport",
                value=transport,
            )
        self.store_id = store_id
        self.network = MemoryNetwork(seed=seed)
        """The network of the memory transport, for faults beyond `partition`."""
        self._config = {**(config or {}), "cluster_name": store_id}
        self._transport = transport
        self._cookie = bytes(range(32))
        self._files = [SharedFileSystem() for _ in range(size)]
        self._names = [self._name(number) for number in range(size)]
        self._nodes: dict[int, Node] = {}
        self._was_formed = False

    def __enter__(self) -> Self:
        """Start all nodes and join them.

        Raises:
            MisuseError: it was formed before.
        """
        if self._was_formed:
            raise MisuseError("a LocalCluster is formed once; make a new one")
        self._was_formed = True
        try:
            for number in range(len(self._files)):
                self.restart(number)
                if number:
                    self.manager(number).join(self._names[0], self.store_id, JOIN_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all nodes."""
        self.stop()

    def __repr__(self) -> str:
        """Show its store, and how many of its nodes run."""
        running = f"{len(self._nodes)} of {len(self)} nodes run"
        return f"<LocalCluster of {self.store_id!r}, {running}>"

    def __len__(self) -> int:
        """Give the number of nodes, running or not."""
        return len(self._files)

    # --- using it

    def name(self, number: int) -> str:
        """Give the name of a node, running or not, as `cluster.join` and others take it."""
        return self._names[self._known(number)]

    def node(self, number: int) -> Node:
        """Give a node that runs."""
        return self._running(number)

    def store(self, number: int = 0) -> Store:
        """Give a handle on the store as a node that runs has it."""
        return Store(self.store_id, self._running(number))

    def manager(self, number: int = 0) -> ClusterManager:
        """Give the functions of `khepri.cluster` for a node that runs."""
        return ClusterManager(self._running(number))

    def running(self) -> list[int]:
        """Give the numbers of the nodes that run."""
        return sorted(self._nodes)

    def leader(self, timeout: float = 30.0) -> int:
        """Give the number of the node that leads, as the running ones see it; waits for one.

        Args:
            timeout: seconds to wait at most.

        Raises:
            KhepriTimeoutError: nobody leads within the time.
            InvalidOptionError: no node runs.
        """
        if not self._nodes:
            raise InvalidOptionError("no node runs, so none leads", option="number", value=None)
        deadline, pause = Deadline(timeout), threading.Event()
        while True:
            terms = {
                number: status.term
                for number in self.running()
                for status in [self.manager(number).status(self.store_id, deadline.remaining())]
                if status.leader == status.server_id
            }
            if terms:
                return max(terms, key=lambda number: terms[number])  # one cut off may not know
            if deadline.is_over():
                raise deadline.error("waiting for a leader", "not_applied")
            pause.wait(_LOOK_AGAIN_SECONDS)

    # --- faults

    def partition(self, *groups: Collection[int]) -> None:
        """Cut every link between nodes of different groups, until `heal`.

        Args:
            groups: numbers of nodes; who is in none of them keeps all its links.

        Raises:
            InvalidOptionError: the transport is not the one in memory.
        """
        self._check_memory("partition")
        self.network.partition(*({self.name(number) for number in group} for group in groups))

    def cut(self, sender: int, receiver: int) -> None:
        """Cut the way from one node to another, not the way back, until `heal`.

        Raises:
            InvalidOptionError: the transport is not the one in memory.
        """
        self._check_memory("cut")
        self.network.cut(self.name(sender), self.name(receiver))

    def pause(self, number: int) -> None:
        """Make a node deaf and dumb, as if its machine hung, until `heal`.

        Raises:
            InvalidOptionError: the transport is not the one in memory.
        """
        self._check_memory("pause")
        paused = self.name(number)
        for other in self._names:
            if other != paused:
                self.network.cut(paused, other)
                self.network.cut(other, paused)

    def heal(self) -> None:
        """Mend every link.

        Raises:
            InvalidOptionError: the transport is not the one in memory.
        """
        self._check_memory("heal")
        self.network.mend_all()

    def kill(self, number: int) -> None:
        """End a node as SIGKILL does: nothing more is sent, its files are as they are now.

        A write that is not on its disk by now is not acknowledged to this node's callers: they get
        `ServerStoppedError`, `NoSuchServerError` or, if it was just being written,
        `DiskFailedError`.
        """
        node = self._running(number)
        del self._nodes[number]
        node.transport.stop()
        self._files[number] = self._files[number].end_process()
        node.stop(hands_over=False)

    def stop_node(self, number: int) -> None:
        """End a node in order: if it leads, it hands over first."""
        node = self._running(number)
        del self._nodes[number]
        node.stop()

    def restart(self, number: int) -> None:
        """Start a node that does not run; it finds what is on its disk.

        It is a new `node`: what `store` and `manager` gave for the one before stays with that.

        Raises:
            KhepriError: what `cluster.start` raises.
        """
        node = Node(
            self._stopped(number),
            file_system=self._files[number],
            make_transport=self._make_transport(),
        )
        node.start()
        self._nodes[number] = node
        ClusterManager(node).start(DIRECTORY, self._config, JOIN_SECONDS)

    def lose_disk(self, number: int) -> None:
        """Replace the disk of a node that does not run by an empty one.

        Started again it is alone, until it joins the others.
        """
        self._stopped(number)
        self._files[number] = SharedFileSystem()

    def stop(self) -> None:
        """End all nodes."""
        while self._nodes:
            _, node = self._nodes.popitem()
            node.stop(hands_over=False)

    # --- inside

    def _known(self, number: int) -> int:
        if number not in range(len(self._files)):
            raise self._wrong(number, f"the nodes are 0 to {len(self._files) - 1}")
        return number

    def _running(self, number: int) -> Node:
        node = self._nodes.get(self._known(number))
        if node is None:
            raise self._wrong(number, "it does not run")
        return node

    def _stopped(self, number: int) -> str:
        """Give the name of a node that does not run."""
        if self._known(number) in self._nodes:
            raise self._wrong(number, "it runs")
        return self._names[number]

    @staticmethod
    def _wrong(number: int, why: str) -> InvalidOptionError:
        return InvalidOptionError(f"node {number!r}: {why}", option="number", value=number)

    def _name(self, number: int) -> str:
        if self._transport == "memory":
            return f"node{number}"
        return f"node{number}@127.0.0.1:{_free_port()}"

    def _make_transport(self) -> MakeTransport:
        def make(
            name: str, incarnation: bytes, receiver: Receiver, on_failure: OnFailure
        ) -> Transport:
            make_one = (
                partial(MemoryTransport, self.network)
                if self._transport == "memory"
                else partial(ZmqTransport, cookie=self._cookie)
            )
            settings = TransportSettings.for_commands_of(get_max_command_bytes())
            return make_one(name, incarnation, receiver, settings=settings, on_failure=on_failure)

        return make

    def _check_memory(self, what: str) -> None:
        if self._transport != "memory":
            raise InvalidOptionError(
                f"{what} needs the memory transport", option="transport", value=self._transport
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
