"""The EventHandler: runs trigger actions, one after the other, off every server's thread.

There are no triggers yet; their place is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .actor import KhepriActor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .envelope import Envelope


class EventHandler(KhepriActor):
    """One per node, shared by all stores (Khepri's event handler)."""

    may_wait = True

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Nothing is sent to it yet, so anything that comes is a bug."""
        raise TypeError(f"not a message for an EventHandler: {envelopes[0].message!r}")
