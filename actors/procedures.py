"""Procedures: functions of this process that stored names stand for.

No code is in the tree, only names; what a name stands for, each program says for itself. So
members may run different releases of a program, and nothing of a store can be run by accident.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.paths import Path

    from .node import Node


class TriggerEvent(NamedTuple):
    """What a trigger's procedure is called with.

    Attributes:
        store_id: of the store in which something has changed.
        node: the node of that store; ``khepri.Store(event.store_id, event.node)`` is the store.
        trigger_id: of the trigger.
        path: of the tree node that has changed.
        change: ``"create"``, ``"update"`` (of the payload, or of the children there are) or
            ``"delete"``.
        number: of this call among all that the store's triggers ever ask for. A call that is made
            again, because it is not known whether it was made, has the same number.
    """

    store_id: str
    node: Node
    trigger_id: str
    path: Path
    change: str
    number: int


class Procedures:
    """Which function a name stands for. Any thread, and without a lock, so that a fork is safe."""

    def __init__(self) -> None:
        """Begin without any."""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._generations = itertools.count(1)
        self.generation = 0
        """Becomes another one when something is registered: whoever missed it looks again."""

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Let a name stand for a function from now on, whatever it stood for before."""
        self._functions[name] = function
        self.generation = next(self._generations)

    def unregister(self, name: str) -> bool:
        """Let a name stand for nothing; tell whether it stood for something."""
        return self._functions.pop(name, None) is not None

    def find(self, name: str) -> Callable[..., Any] | None:
        """Give the function that a name stands for, None if it stands for nothing here."""
        return self._functions.get(name)


PROCEDURES: Final = Procedures()
"""Those of this process; a forked child has its parent's."""
