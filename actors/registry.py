"""The registry of a node: gives names to actors, and drops those that end.

Reading needs no message: see `published_names.py`. Writing goes through this actor, so that
there is one order of things. It keeps what it knows in the published table, which outlives it; a
restarted registry goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, assert_never

from .actor import KhepriActor
from .actor_errors import NameTakenError
from .published_names import Namespace, PublishedNames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .envelope import Envelope
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .label import ActorLabel
    from .reference import ActorReference


@dataclass(frozen=True, slots=True)
class Register:
    """Give a name to an actor."""

    namespace: Namespace
    name: str
    reference: ActorReference


@dataclass(frozen=True, slots=True)
class Unregister:
    """Take a name away, from whoever has it or, if given, from this actor only."""

    namespace: Namespace
    name: str
    reference: ActorReference | None = None


@dataclass(frozen=True, slots=True)
class WhereIs:
    """Ask for the live actor of a name."""

    namespace: Namespace
    name: str


@dataclass(frozen=True, slots=True)
class GetStoreIds:
    """Ask which stores run here."""


@dataclass(frozen=True, slots=True)
class IsStoreRunning:
    """Ask whether a store runs here."""

    store_id: str


Message = Register | Unregister | WhereIs | GetStoreIds | IsStoreRunning


class Registry(KhepriActor):
    """Writes the published names of one node."""

    def __init__(self, label: ActorLabel, published: PublishedNames) -> None:
        """Make a registry.

        Args:
            label: who it is.
            published: where it publishes; may hold what an earlier registry has left.
        """
        super().__init__(label)
        self._published = published

    def on_start(self) -> None:
        """Take over what is published: watch the living, drop the dead."""
        for namespace in Namespace:
            for name, reference in self._published.all(namespace).items():
                self._watch(namespace, name, reference)

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Do what is asked, in order; each reply tells of what is published already."""
        for envelope in envelopes:
            message: Message = envelope.message
            reply = self._answer(message)
            if envelope.reply_to is None:
                continue
            if isinstance(reply, NameTakenError):
                envelope.reply_to.fail(reply)
            else:
                envelope.reply_to.set(reply)

    def _answer(self, message: Message) -> object:
        match message:
            case Register(namespace, name, reference):
                return self._register(namespace, name, reference)
            case Unregister(namespace, name, reference):
                self._unregister(namespace, name, reference)
                return None
            case WhereIs(namespace, name):
                return self._published.where_is(name, namespace)
            case GetStoreIds():
                return self._published.get_store_ids()
            case IsStoreRunning(store_id):
                return self._published.is_store_running(store_id)
            case _:
                assert_never(message)

    def _register(
        self, namespace: Namespace, name: str, reference: ActorReference
    ) -> NameTakenError | None:
        holder = self._published.where_is(name, namespace)
        if holder is reference:
            return None
        if holder is not None:
            return NameTakenError(
                f"the name {name} belongs to {holder}", name=name, reference=holder
            )
        known = self._published.all(namespace)
        self._published.publish(namespace, {**known, name: reference})
        self._watch(namespace, name, reference)
        return None

    def _unregister(
        self, namespace: Namespace, name: str, reference: ActorReference | None
    ) -> None:
        known = self._published.all(namespace)
        holder = known.get(name)
        if holder is not None and (reference is None or holder is reference):
            remaining = {other: known[other] for other in known if other != name}
            self._published.publish(namespace, remaining)

    def _watch(self, namespace: Namespace, name: str, reference: ActorReference) -> None:
        gone = Unregister(namespace, name, reference)
        reference.down.add_done_callback(partial(self._tell_gone, gone))

    def _tell_gone(self, gone: Unregister, _down: KhepriFuture[Exit]) -> None:
        # In the thread of the actor that ended.
        self.reference.cast(gone)


def register(
    registry: ActorReference,
    name: str,
    reference: ActorReference,
    namespace: Namespace = Namespace.ACTOR,
) -> KhepriFuture[None]:
    """Give a name to an actor until it ends; published when the future is resolved.

    Raises:
        NameTakenError: (from the future) another live actor has the name.
    """
    return registry.request(Register(namespace, name, reference))


def unregister(
    registry: ActorReference, name: str, namespace: Namespace = Namespace.ACTOR
) -> KhepriFuture[None]:
    """Take a name away; no error if nobody has it."""
    return registry.request(Unregister(namespace, name))
