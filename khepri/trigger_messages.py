"""The messages about triggers; `khepri.messages` is their public name.

Each is the function of the same name in `khepri.Store`, with its arguments, results and errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .calls import DEFAULT
from .reading_messages import ReadMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

    from .calls import Timeout
    from .store import Store
    from .triggering import Trigger


@dataclass(frozen=True, slots=True)
class RegisterTrigger:
    """See `khepri.Store.register_trigger`."""

    trigger_id: str
    path_pattern: PathLike
    procedure_path: PathLike
    on_actions: Iterable[str] | None = None
    priority: int = 0

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.register_trigger(
            self.trigger_id,
            self.path_pattern,
            self.procedure_path,
            on_actions=self.on_actions,
            priority=self.priority,
            async_=True,
            timeout=timeout,
        )


@dataclass(frozen=True, slots=True)
class UnregisterTrigger:
    """See `khepri.Store.unregister_trigger`."""

    trigger_id: str

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.unregister_trigger(self.trigger_id, async_=True, timeout=timeout)


@dataclass(frozen=True, slots=True)
class Triggers(ReadMessage):
    """See `khepri.Store.triggers`."""

    def read(self, store: Store) -> dict[str, Trigger]:
        """Read them."""
        return store.triggers()
