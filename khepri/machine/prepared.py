"""What an entry will do, worked out before it is committed: nothing of it counts yet.

While the disk has an entry, a server has nothing to do but to wait. The tree that the entry leads
to is an immutable value, so it can be made meanwhile and kept beside the machine's own. When the
entry is committed, the next `Machine.apply` takes it over; should another one be committed in its
place, or none, it is thrown away and nobody has seen it. A tenth of one caller's put is that.

Only for what is simple: one group, of a session that is there and goes on without a gap, in an
entry with whose time nothing expires. All else is done when it is applied, as if nothing had been
prepared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .replies import Reply
    from .state import Change, TreeState


class Prepared(NamedTuple):
    """What is to become of a machine by one entry.

    Attributes:
        data: the payload of the entry, the object itself: equality would cost a comparison, and
            says no more.
        group: the one group in it, as it comes.
        time_milliseconds: the log's time with it.
        replies: to the group's commands.
        state: the tree.
        changes: the change events, if they are wanted.
        lists_changes: whether they were.
    """

    data: bytes
    group: tuple[int, int, int, list[bytes]]
    time_milliseconds: int
    replies: list[Reply]
    state: TreeState
    changes: Sequence[Change]
    lists_changes: bool

    def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Give the replies, in place of executing the group's commands."""
        del commands
        return self.replies
