"""Leaving in order: a leader that is about to stop makes way, and nobody waits for a timeout."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from khepri.errors import KhepriError
from khepri.raft.effects import RejectReason
from khepri.raft.events import TransferLeadership

from .refusals import value_or_error
from .server_messages import AskCore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .access import StoreAccess
    from .future import KhepriFuture

_logger = logging.getLogger("khepri.actors.hand_over")

HAND_OVER_SECONDS = 3.0
"""How long a stop waits for another member to take over; then the others must find out."""


def hand_over(stores: Sequence[StoreAccess]) -> None:
    """Have the servers of stores give up leadership, all at once; for client threads, as it waits.

    Those that do not lead, or have no other member, are left alone.
    """
    leading = [access for access in stores if _leads_others(access)]
    asked = [(access, _ask(access)) for access in leading]
    end = time.monotonic() + HAND_OVER_SECONDS
    for access, done in asked:
        try:
            done.get(timeout=max(0.0, end - time.monotonic()))
            _logger.info("%s has handed over %s", access.server_id.node, access.store_id)
        except KhepriError as error:
            if error.facts.get("reason") == RejectReason.LEADERSHIP_LOST.value:
                # As when all members are stopped at once: nothing is left to hand over.
                _logger.info("%s stops: %s", access.server_id, error)
                continue
            _logger.warning("%s stops without having handed over: %s", access.server_id, error)


def _leads_others(access: StoreAccess) -> bool:
    membership = access.membership
    return (
        membership is not None
        and membership.leader == access.server_id
        and len(membership.members) > 1
    )


def _ask(access: StoreAccess) -> KhepriFuture[Any]:
    assert access.server is not None, "who leads has been started"
    return access.server.request(
        AskCore(lambda ticket: TransferLeadership(None, ticket)), value_or_error
    )
