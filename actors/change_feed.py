"""The ChangeFeed: tells subscriptions and projections what has changed, off every server's thread.

One per node, shared by all stores, from the first listener on. It is only sent which outlet to
look at (`change_outlet.py`): what is to be told waits there, bounded, and who is told is known
there. So nothing is lost when it is restarted.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import TYPE_CHECKING, Final

from khepri.errors import MisuseError

from .actor import KhepriActor
from .change_outlet import ChangeOutlet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .envelope import Envelope
    from .exit_reason import Exit
    from .label import ActorLabel
    from .reference import ActorReference

_threads: Final[set[int]] = set()
os.register_at_fork(after_in_child=_threads.clear)


def refuse_to_wait_for_the_feed() -> None:
    """Let nobody wait in the feed's thread for what the feed is to do.

    Raises:
        MisuseError: this is its thread.
    """
    if get_ident() in _threads:
        raise MisuseError(
            "this is the thread that tells what has changed, as in a function of a subscription"
            " or a projection: it must not wait for a projection"
        )


class FeedLine:
    """The way to the feed of a node; it stays when the feed is restarted. Any thread."""

    __slots__ = ("outlets", "reference")

    def __init__(self) -> None:
        """Begin without a feed."""
        self.reference: ActorReference | None = None
        """The feed, once it was started."""
        self.outlets: set[ChangeOutlet] = set()
        """Where somebody listens, or has just done."""

    def ring(self, outlet: ChangeOutlet) -> bool:
        """Have the feed look at an outlet.

        Returns:
            whether there is a feed now. One that is being restarted will look as well.
        """
        self.outlets.add(outlet)
        reference = self.reference
        if reference is None or not reference.is_alive():
            return False
        reference.cast(outlet)
        return True

    def end(self) -> None:
        """The node has stopped, and the feed with it: tell what it may have left."""
        outlets = tuple(self.outlets)
        for outlet in outlets:
            outlet.close()
        self.outlets.clear()

    def connect(self, feed: ActorReference) -> None:
        """Lead to a feed from now on; it looks at everything that one before may have left."""
        self.reference = feed
        # Not earlier: who rings meanwhile finds the one before dead, and is found here.
        for outlet in tuple(self.outlets):
            feed.cast(outlet)


class ChangeFeed(KhepriActor):
    """Tells what has changed in the stores of one node."""

    may_wait = True

    def __init__(self, label: ActorLabel, line: FeedLine) -> None:
        """Make the actor.

        Args:
            label: who it is.
            line: where it is rung for.
        """
        super().__init__(label)
        self._line = line

    def on_start(self) -> None:
        """Make the thread known."""
        _threads.add(get_ident())

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Look at each outlet that has rung, once."""
        for outlet in dict.fromkeys(envelope.message for envelope in envelopes):
            if not isinstance(outlet, ChangeOutlet):
                raise TypeError(f"not a message for a ChangeFeed: {outlet!r}")
            self._look(outlet)

    def on_terminate(self, reason: Exit) -> None:
        """Leave the thread."""
        del reason
        _threads.discard(get_ident())

    def _look(self, outlet: ChangeOutlet) -> None:
        outlets = self._line.outlets
        outlets.discard(outlet)
        try:
            outlet.deal()
        finally:
            if outlet.listens:  # somebody may have come, and rung, before it was taken out
                outlets.add(outlet)
