"""What a subscription tells: `TreeChanged` again and again, at last `SubscriptionEnded`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .subscribing import Subscription
    from .viewing import Difference, TreeView


@dataclass(frozen=True, slots=True)
class TreeChanged:
    """Something that a subscription is about has changed.

    Attributes:
        store_id: in which store.
        subscription: which subscription tells it.
        view: the tree that has the changes. Who keeps the event keeps the memory of that tree.
        differences: what differs from the tree told of before, one per path, in path order;
            never empty.
    """

    store_id: str
    subscription: Subscription
    view: TreeView
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class SubscriptionEnded:
    """A subscription tells nothing more: the tree it was about is not here any more.

    Attributes:
        store_id: of which store.
        subscription: which one.
        reason: ``"stopped"``: the store was stopped, or has given up; ``"reset"``: its data are
            deleted; ``"joined"``: the store here becomes a member of another cluster.
    """

    store_id: str
    subscription: Subscription
    reason: Literal["stopped", "reset", "joined"]
