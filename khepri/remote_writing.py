"""What other nodes may write into a store here: ``khepri put --node``, ``delete`` and ``load``.

They send a command as it stands in the log, and hear whether it was applied. Unlike a member's
clients they have no session: a command whose answer is lost may have been applied, and whoever
sends it again may apply it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from khepri.errors import WrongTypeError

from .calls import call, check_size, result
from .request_threads import RequestThreads, budget

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node

WRITES_MAX: Final = 64
"""So many may be under way at once."""


class RemoteWriting:
    """The writing function of a node. It is called in the Router's thread."""

    def __init__(self, node: Node) -> None:
        """Write to the stores of a node."""
        self._node = node
        self._threads = RequestThreads(node.name, WRITES_MAX)

    def by_name(self) -> dict[str, Any]:
        """Give the function other nodes may call."""
        return {"write_store": self.write_store}

    def write_store(
        self, store_id: object, command: object, seconds: object
    ) -> KhepriFuture[None]:
        """Have a command applied.

        Args:
            store_id: of a store that runs here.
            command: its bytes.
            seconds: how long it may take.
        """
        deadline = budget(seconds)
        if not isinstance(command, bytes):
            raise WrongTypeError("a command is bytes", option="command", value=command)
        check_size(command)

        def write() -> None:
            call(self._node, str(store_id), command, result, deadline.remaining())

        return self._threads.run(write)
