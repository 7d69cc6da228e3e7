"""What a node holds of a Ra system that runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reference import ActorReference
    from .storage import Storage


@dataclass(frozen=True, slots=True)
class RaSystemHandle:
    """A running Ra system of this node."""

    name: str
    storage: Storage
    reference: ActorReference

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores that shall run in it, as of now."""
        return tuple(self.storage.wanted)

    @property
    def is_implicit(self) -> bool:
        """Whether it was started by its directory's name, for a store; it ends with its last."""
        return self.name == self.storage.path
