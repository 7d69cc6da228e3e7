"""Threads for what other nodes ask of this one and what takes a while.

The Router never waits, so each request runs in a thread of its own, and only a few at once.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from khepri.actors.future import KhepriFuture
from khepri.errors import KhepriError, NotDoneError, WrongTypeError

from .calls import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("khepri.cluster")

BUDGET_MAX_SECONDS = 600.0
"""Nobody may keep a thread, or what it works on, for longer than this."""

T = TypeVar("T")


class RequestThreads:
    """Runs requests; the answers must be what a call between nodes can carry."""

    def __init__(self, node_name: str, requests_max: int) -> None:
        """Allow so many requests at once; more are refused, not queued."""
        self._node_name = node_name
        self._requests_max = requests_max
        self._free = threading.BoundedSemaphore(requests_max)

    def run(self, work: Callable[[], T]) -> KhepriFuture[T]:
        """Run one in a thread of its own.

        Raises:
            NotDoneError: too many are under way.
        """
        if not self._free.acquire(blocking=False):
            raise busy(self._node_name, self._requests_max)
        future: KhepriFuture[T] = KhepriFuture()

        def run() -> None:
            try:
                answer = work()
            except KhepriError as error:
                future.fail(error)
            except BaseException as error:
                _logger.exception("a request of another node failed")
                future.fail(NotDoneError(f"it raised {error!r}", reason="call_failed"))
            else:
                future.set(answer)
            finally:
                self._free.release()

        name = f"khepri-{self._node_name}-request"
        try:
            threading.Thread(target=run, name=name, daemon=True).start()
        except RuntimeError:  # no thread is left
            self._free.release()
            raise
        return future


def busy(node_name: str, requests_max: int) -> NotDoneError:
    """Make the error for one request too many."""
    return NotDoneError(f"{requests_max} requests are under way on {node_name}", reason="busy")


def budget(seconds: Any) -> Deadline:  # noqa: ANN401 - a peer says it
    """Give the deadline that a peer asks for, within bounds.

    Raises:
        WrongTypeError: that is no number.
    """
    if not isinstance(seconds, int | float):
        raise WrongTypeError(
            f"a number of seconds, not {seconds!r}", option="timeout", value=seconds
        )
    return Deadline(min(float(seconds), BUDGET_MAX_SECONDS))
