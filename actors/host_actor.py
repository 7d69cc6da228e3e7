"""Telling an actor of the host program something, whoever made it; only here is Pykka known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import pykka

if TYPE_CHECKING:
    HostActor = pykka.ActorRef[Any]


def is_host_actor(value: object) -> TypeGuard[HostActor]:
    """Tell whether something is a reference to an actor."""
    return isinstance(value, pykka.ActorRef)


def tell(actor: HostActor, message: object) -> bool:
    """Send an actor a message and forget it.

    Returns:
        whether it lives.
    """
    try:
        actor.tell(message)
    except pykka.ActorDeadError:
        return False
    return True
