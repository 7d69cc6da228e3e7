"""The postman: takes the envelopes that come in to whom they are for. The transport's thread.

What is for a store goes straight into its server's mailbox, unopened: the server has the time to
unpack it, this thread has not. What is for the node goes to the Router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.transport.counters import Drop

from .server_messages import FrameFrom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from khepri.transport.interface import Envelope, Transport

    from .access import StoreAccess
    from .reference import ActorReference


MAX_BYTES_LENT_FOR = 8 * 1024
"""What is larger than so many bytes takes its time, and goes to the server's own thread."""


class Postman:
    """The receiver of a node's transport."""

    transport: Transport
    """Set when it is made; counts what is dropped."""

    router: ActorReference
    """Set before the transport is started."""

    stand_in: ActorReference
    """Set before any store is started; another one after each restart of it."""

    def __init__(self, stores: Mapping[str, StoreAccess]) -> None:
        """Deliver to these stores, as they are at each delivery."""
        self._stores = stores

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """Take a batch to whom it is for."""
        for envelope in envelopes:
            if not envelope.store_id:
                self.router.cast(envelope)
                continue
            access = self._stores.get(envelope.store_id)
            if access is None or access.server is None:
                self.transport.counters.add(Drop.UNKNOWN_STORE)
            elif access.cluster_id != envelope.cluster_id:
                self.transport.counters.add(Drop.WRONG_CLUSTER)
            else:
                frame = FrameFrom(envelope.from_node, envelope.kind, envelope.body)
                # With a single store no other one waits for this thread while it has the turn.
                if len(self._stores) == 1 and len(envelope.body) <= MAX_BYTES_LENT_FOR:
                    access.server.bring(frame)
                else:
                    access.server.cast(frame)
