"""The names of a node as any thread can read them, without asking an actor.

Who leads what and which store runs here is looked up with every call of a user. So the registry
publishes what it knows as immutable mappings, which it replaces as a whole; a reader takes one
attribute. (Ra keeps such tables in ETS, owned by a process that outlives the others; here the
table is an object that outlives the registry.)

Written by `registry.py` only.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .reference import ActorReference


class Namespace(enum.Enum):
    """What a name is the name of."""

    ACTOR = "actor"
    """One of the node's own actors: the router, a Ra system, ..."""

    STORE = "store"
    """A store; its reference is the server's."""


class PublishedNames:
    """Who is called what; any thread may read, only the registry's thread writes.

    The dead are not given out, even if the registry has not heard of their end yet.
    """

    def __init__(self) -> None:
        """Publish that nobody is known."""
        self._references: dict[Namespace, Mapping[str, ActorReference]] = {
            namespace: MappingProxyType({}) for namespace in Namespace
        }

    def all(self, namespace: Namespace) -> Mapping[str, ActorReference]:
        """Give the mapping of this moment; it never changes, and some in it may be dead."""
        return self._references[namespace]

    def where_is(self, name: str, namespace: Namespace = Namespace.ACTOR) -> ActorReference | None:
        """Give the live actor of that name, None if there is none (OTP's whereis)."""
        reference = self._references[namespace].get(name)
        return reference if reference is not None and reference.is_alive() else None

    def get_store_ids(self) -> list[str]:
        """Give the ids of the stores that run here, sorted (khepri:get_store_ids/0)."""
        stores = self._references[Namespace.STORE]
        return sorted(store_id for store_id, server in stores.items() if server.is_alive())

    def is_store_running(self, store_id: str) -> bool:
        """Tell whether a store runs here (khepri_cluster:is_store_running/1)."""
        return self.where_is(store_id, Namespace.STORE) is not None

    def publish(self, namespace: Namespace, references: Mapping[str, ActorReference]) -> None:
        """Replace a mapping; for the registry."""
        self._references[namespace] = MappingProxyType(dict(references))
