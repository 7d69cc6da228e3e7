"""Leaving in order: a leader that is about to stop makes way, and nobody waits for a timeout."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from khepri.errors import KhepriError
from khepri.raft.events import TransferLeadership

from .refusals import value_or_error
from .server_messages import AskCore

if TYPE_CHECKING:
    from .access import StoreAccess
    from .future import KhepriFuture

_logger = logging.getLogger("khepri.actors.hand_over")

HAND_OVER_SECONDS = 3.0
"""How long a stop waits for another member to take over; then the others must find out."""


def hand_over(access: StoreAccess) -> None:
    """Have the server of a store give up leadership, if it leads and there is another member.

    Waits, so it is for client threads.
    """
    membership, server = access.membership, access.server
    if membership is None or server is None or membership.leader != access.server_id:
        return
    if len(membership.members) == 1:
        return
    asked: KhepriFuture[Any] = server.request(
        AskCore(lambda ticket: TransferLeadership(None, ticket)), value_or_error
    )
    try:
        asked.get(timeout=HAND_OVER_SECONDS)
        _logger.info("%s has handed over %s", access.server_id.node, access.store_id)
    except KhepriError as error:
        _logger.warning("%s stops without having handed over: %s", access.server_id, error)
