"""What other nodes may have this one do that takes a while: join, reset, start again.

An operator's command line asks for it over the network. The Router never waits, so each request
runs in a thread of its own, and only a few at once. What takes no time is in
`khepri.actors.remote_functions`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from khepri.actors.future import KhepriFuture
from khepri.config import RaSystemName
from khepri.errors import KhepriError, NotAKhepriStoreError, NotDoneError, WrongTypeError

from .calls import Deadline
from .management import ClusterManager
from .membership import changing

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.node import Node

_logger = logging.getLogger("khepri.cluster")

REQUESTS_MAX = 4
"""So many may be under way at once; they wait for each other anyway if they are for one store."""

BUDGET_MAX_SECONDS = 600.0
"""Nobody may keep a thread busy for longer than this."""


def offer_management(node: Node) -> None:
    """Let other nodes ask this one to join and to reset; whoever has the cookie may."""
    requests = _Requests(node)
    node.offer({"join_store": requests.join_store, "reset_store": requests.reset_store})


class _Requests:
    """Runs requests in threads. The functions are called in the Router's thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._manager = ClusterManager(node)
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)

    def join_store(self, store_id: object, remote: object, seconds: object) -> KhepriFuture[Any]:
        """Have the local store join the cluster of a remote one."""
        deadline = _budget(seconds)
        return self._in_thread(
            lambda: self._manager.join(str(remote), str(store_id), deadline.remaining())
        )

    def reset_store(self, store_id: object, seconds: object) -> KhepriFuture[Any]:
        """Have the local store leave its cluster, lose its data, and begin again, empty."""
        deadline = _budget(seconds)
        return self._in_thread(lambda: self._reset(str(store_id), deadline))

    def _reset(self, store_id: str, deadline: Deadline) -> None:
        with changing(self._node, store_id, deadline):
            if store_id not in self._node.stores:
                raise NotAKhepriStoreError(f"no store {store_id!r} runs here", store_id=store_id)
            handle, setup = self._node.store_setup(store_id)
            self._manager.reset(store_id, deadline.remaining())
            where = handle.storage.path if handle.is_implicit else RaSystemName(handle.name)
            self._manager.start(where, setup.config, deadline.remaining())

    def _in_thread(self, work: Callable[[], None]) -> KhepriFuture[Any]:
        if not self._free.acquire(blocking=False):
            raise NotDoneError(
                f"{REQUESTS_MAX} requests are under way on {self._node.name}", reason="busy"
            )
        future: KhepriFuture[Any] = KhepriFuture()

        def run() -> None:
            try:
                work()
            except KhepriError as error:
                future.fail(error)
            except BaseException as error:
                _logger.exception("a request of another node failed")
                future.fail(NotDoneError(f"it raised {error!r}", reason="call_failed"))
            else:
                future.set(None)
            finally:
                self._free.release()

        threading.Thread(target=run, name=f"khepri-{self._node.name}-request", daemon=True).start()
        return future


def _budget(seconds: object) -> Deadline:
    if not isinstance(seconds, int | float):
        raise WrongTypeError(
            f"a number of seconds, not {seconds!r}", option="timeout", value=seconds
        )
    return Deadline(min(float(seconds), BUDGET_MAX_SECONDS))
