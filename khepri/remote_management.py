"""What other nodes may have this one do that takes a while: join, reset, start again.

An operator's command line asks for it over the network. What takes no time is in
`khepri.actors.remote_functions`, what reads and writes in `remote_reading.py` and
`remote_writing.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.config import RaSystemName
from khepri.errors import NotAKhepriStoreError, StorageError

from .management import ClusterManager
from .membership import changing
from .remote_reading import RemoteReading
from .remote_writing import RemoteWriting
from .request_threads import RequestThreads, budget

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node

    from .calls import Deadline

REQUESTS_MAX = 4
"""So many may be under way at once; they wait for each other anyway if they are for one store."""


def offer_management(node: Node) -> None:
    """Let other nodes ask this one to join, reset, read and write; whoever has the cookie may."""
    requests = _Requests(node)
    node.offer(
        {
            "join_store": requests.join_store,
            "join_store_without_vote": requests.join_store_without_vote,
            "reset_store": requests.reset_store,
        }
    )
    node.offer(RemoteReading(node).by_name())
    node.offer(RemoteWriting(node).by_name())


class _Requests:
    """Runs requests in threads. The functions are called in the Router's thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._manager = ClusterManager(node)
        self._threads = RequestThreads(node.name, REQUESTS_MAX)

    def join_store(self, store_id: object, remote: object, seconds: object) -> KhepriFuture[None]:
        """Have the local store join the cluster of a remote one."""
        return self._join(store_id, remote, seconds, votes=True)

    def join_store_without_vote(
        self, store_id: object, remote: object, seconds: object
    ) -> KhepriFuture[None]:
        """Have it join as a member that no majority waits for."""
        return self._join(store_id, remote, seconds, votes=False)

    def _join(
        self, store_id: object, remote: object, seconds: object, *, votes: bool
    ) -> KhepriFuture[None]:
        deadline = budget(seconds)
        return self._threads.run(
            lambda: self._manager.join(
                str(remote), str(store_id), deadline.remaining(), votes=votes
            )
        )

    def reset_store(self, store_id: object, seconds: object) -> KhepriFuture[None]:
        """Have the local store leave its cluster, lose its data, and begin again, empty."""
        deadline = budget(seconds)
        return self._threads.run(lambda: self._reset(str(store_id), deadline))

    def _reset(self, store_id: str, deadline: Deadline) -> None:
        with changing(self._node, store_id, deadline):
            if store_id not in self._node.stores:
                raise NotAKhepriStoreError(f"no store {store_id!r} runs here", store_id=store_id)
            handle, setup = self._node.store_setup(store_id)
            try:
                self._manager.reset(store_id, deadline.remaining())
            except StorageError:  # it is stopped, and nobody here would start it again
                self._node.start_undeleted(handle, setup)
                raise
            where = handle.storage.path if handle.is_implicit else RaSystemName(handle.name)
            try:
                self._manager.start(where, setup.config, deadline.remaining())
            except StorageError as error:
                self._node.store_is_lost(store_id, error)
                raise
