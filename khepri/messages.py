"""What a host's actor may ask of or tell to a store's server, and what a subscription tells it.

`TreeChanged` and `SubscriptionEnded` come from `khepri.subscribe`. All others are for
`khepri.server_ref`: each is the function of the same name in `khepri.Store`, with its arguments,
results and errors; the options that only say how long to wait are those of `ask`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .calls import DEFAULT
from .reading_messages import (
    Count,
    Diff,
    Exists,
    Fence,
    Filter,
    Fold,
    Foreach,
    Get,
    GetMany,
    GetManyOr,
    GetOr,
    HasData,
    IsEmpty,
    IsSproc,
    Map,
    View,
)
from .subscription_events import SubscriptionEnded, TreeChanged
from .trigger_messages import RegisterTrigger, Triggers, UnregisterTrigger
from .writing_messages import (
    Batch,
    ClearManyPayloads,
    ClearPayload,
    CompareAndSwap,
    Copy,
    Create,
    Delete,
    DeleteMany,
    Increment,
    Move,
    Put,
    PutMany,
    Require,
    Touch,
    Update,
)

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture

    from .calls import Timeout
    from .store import Store


class Message(Protocol):
    """Something that can be asked of a store."""

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it, without waiting; bad arguments raise at once.

        Args:
            store: to whom.
            timeout: seconds after which nobody waits any more.
        """
        ...


__all__ = [
    "Batch",
    "ClearManyPayloads",
    "ClearPayload",
    "CompareAndSwap",
    "Copy",
    "Count",
    "Create",
    "Delete",
    "DeleteMany",
    "Diff",
    "Exists",
    "Fence",
    "Filter",
    "Fold",
    "Foreach",
    "Get",
    "GetMany",
    "GetManyOr",
    "GetOr",
    "HasData",
    "Increment",
    "IsEmpty",
    "IsSproc",
    "Map",
    "Message",
    "Move",
    "Put",
    "PutMany",
    "RegisterTrigger",
    "Require",
    "SubscriptionEnded",
    "Touch",
    "TreeChanged",
    "Triggers",
    "UnregisterTrigger",
    "Update",
    "View",
]
