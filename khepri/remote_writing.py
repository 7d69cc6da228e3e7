"""What other nodes may write into a store here.

``khepri put --node``, ``delete``, ``load`` and ``import`` ask for it.

They send a command as it stands in the log, and hear whether it was applied. Unlike a member's
clients they have no session: a command whose answer is lost may have been applied, and whoever
sends it again may apply it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from khepri.actors.refusals import value_or_error
from khepri.errors import WrongTypeError

from .calls import call, check_size, result
from .exporting import log_time_milliseconds
from .request_threads import RequestThreads, budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node

T = TypeVar("T")

WRITES_MAX: Final = 64
"""So many may be under way at once."""


class RemoteWriting:
    """The writing functions of a node. They are called in the Router's thread."""

    def __init__(self, node: Node) -> None:
        """Write to the stores of a node."""
        self._node = node
        self._threads = RequestThreads(node.name, WRITES_MAX)

    def by_name(self) -> dict[str, Any]:
        """Give the functions other nodes may call."""
        return {
            "write_store": self.write_store,
            "apply_in_store": self.apply_in_store,
            "log_time": self.log_time,
        }

    def write_store(
        self, store_id: object, command: object, seconds: object
    ) -> KhepriFuture[None]:
        """Have a command applied.

        Args:
            store_id: of a store that runs here.
            command: its bytes.
            seconds: how long it may take.
        """
        return self._threads.run(self._writing(store_id, command, seconds, result))

    def apply_in_store(
        self, store_id: object, command: object, seconds: object
    ) -> KhepriFuture[Any]:
        """Do as `write_store`, and give the reply as the machine has made it.

        It may stand for an error, which so keeps all its facts.
        """
        return self._threads.run(self._writing(store_id, command, seconds, _as_it_is))

    def log_time(self, store_id: object) -> KhepriFuture[int]:
        """Give the time of a store's log, in milliseconds."""
        return self._threads.run(lambda: log_time_milliseconds(self._node, str(store_id)))

    def _writing(
        self,
        store_id: object,
        command: object,
        seconds: object,
        decode: Callable[[Any], T],
    ) -> Callable[[], T]:
        deadline = budget(seconds)
        if not isinstance(command, bytes):
            raise WrongTypeError("a command is bytes", option="command", value=command)
        check_size(command)

        return lambda: call(self._node, str(store_id), command, decode, deadline.remaining())


def _as_it_is(reply: object) -> object:
    return reply if reply is None or isinstance(reply, list) else value_or_error(reply)  # pyright: ignore[reportUnknownVariableType]
