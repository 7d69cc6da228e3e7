"""The MembershipCache: who belongs to a store and who leads it, for any thread to read.

It outlives a crash of the server (it comes first in the store's rest_for_one), so the members
are known even while the server recovers, and without a majority.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .access import MembershipView
from .actor import KhepriActor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.raft.types import ServerId

    from .access import StoreAccess
    from .envelope import Envelope
    from .label import ActorLabel


@dataclass(frozen=True, slots=True)
class LeaderIs:
    """The server knows this leader, or none."""

    leader: ServerId | None


@dataclass(frozen=True, slots=True)
class MembersAre:
    """The configuration in effect names these members."""

    members: tuple[ServerId, ...]


CacheMessage: TypeAlias = LeaderIs | MembersAre
"""What a MembershipCache understands; anything else is a bug, and crashes it."""


class MembershipCache(KhepriActor):
    """Keeps and publishes the membership of one store."""

    def __init__(self, label: ActorLabel, access: StoreAccess) -> None:
        """Make the actor.

        Args:
            label: who it is.
            access: where it publishes.
        """
        super().__init__(label)
        self._access = access
        self._members: tuple[ServerId, ...] = ()
        self._leader: ServerId | None = None

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Take the news, publish once."""
        for envelope in envelopes:
            message: CacheMessage = envelope.message
            if isinstance(message, LeaderIs):
                self._leader = message.leader
            elif isinstance(message, MembersAre):  # pyright: ignore[reportUnnecessaryIsInstance]
                self._members = message.members
            else:
                raise TypeError(f"not a message for a MembershipCache: {message!r}")
        if self._members:
            self._access.membership = MembershipView(self._members, self._leader)
