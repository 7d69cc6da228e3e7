"""What a node holds of a Ra system that runs on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reference import ActorReference
    from .storage import Storage


@dataclass(slots=True)
class RaSystemHandle:
    """A Ra system of this node that runs, or is being started."""

    name: str
    storage: Storage
    reference: ActorReference = field(init=False)
    stores: set[str] = field(default_factory=set)

    @property
    def is_implicit(self) -> bool:
        """Whether it was started by its directory's name, for a store; it ends with its last."""
        return self.name == self.storage.path
