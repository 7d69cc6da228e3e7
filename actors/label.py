"""What an actor is called in logs, in thread lists and in errors."""

from __future__ import annotations

from typing import NamedTuple


class ActorLabel(NamedTuple):
    """Who an actor is: its role, and the store and node it works for where it has them."""

    role: str
    store_id: str | None = None
    node: str | None = None
    friendly_name: str = ""
    """What the store is called in place of its id, if its settings say so."""

    def __str__(self) -> str:
        """Give ``orders@alice-ra-server``, or less where less is known."""
        store = self.friendly_name or self.store_id
        where = "@".join(part for part in (store, self.node) if part)
        return f"{where}-{self.role}" if where else self.role
