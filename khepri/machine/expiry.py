"""When a time to live is over: the tree nodes go, as if somebody had deleted them (beyond Khepri).

Time is the log's time, which only moves with entries, so all members remove the same nodes at the
same entry. An entry's time counts before its commands do: nothing sees a node that has expired.
All that is due at one entry goes in one operation; what hangs on it goes with it, by the same
rules as for a delete. That somebody makes an entry when the next moment has come is the server's
business (``Machine.next_expiry_milliseconds``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cascade import settle
from .properties import EXPIRED

if TYPE_CHECKING:
    from .edit import Edit


def expire(edit: Edit) -> None:
    """Remove all that is due at the edit's time, with everything below and all consequences."""
    for path in edit.index.expiries.due(edit.now_milliseconds):
        # It may have gone with a node above it that was due before.
        if edit.node_at(path) is not None:
            edit.delete(path, EXPIRED)
    settle(edit)
