"""What an entry will do, worked out before it is applied: nothing of it counts yet.

While the disk has an entry, a server has nothing to do but to wait. The tree that the entry leads
to is an immutable value, so it can be made meanwhile and kept beside the machine's own. When the
entry is committed, the next `Machine.apply` takes it over; should another one be committed in its
place, or none, it is thrown away and nobody has seen it. One caller has 6 to 8 % more puts.
A follower does the same with the entry before, which is committed: what is left to do behind its
confirmation keeps that from the processors.

Only for what is simple: one group, of a session that is there and goes on without a gap, in an
entry with whose time nothing expires. And only for what is brief: whoever writes has the log of
all stores meanwhile, and a copy of a large subtree, a put on which thousands of tree nodes
depend, or one for which the patterns of triggers have the tree walked, would keep it from them for
a second. All else is done when it is applied, as if nothing had been prepared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .command_codes import (
    BATCH,
    CREATE,
    INCREMENT,
    PUT,
    PUT_MATCHING,
    REQUIRE,
    TOUCH,
    TTL,
    UPDATE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import Operation
    from .replies import Reply
    from .state import Change, TreeState

MAX_BATCH_BYTES: Final = 16 * 1024
"""A batch of so many bytes is brief: the shortest puts to new places take 5 milliseconds there."""

_OF_ONE_NODE: Final = frozenset({PUT, CREATE, UPDATE, INCREMENT, TOUCH, REQUIRE})
"""What looks at one path and no further, whatever its arguments are."""


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


class TakesLongError(Exception):
    """Something is not worked out ahead, since it may not be brief."""


def may_be_brief(state: TreeState, encoded: Sequence[bytes]) -> bool:
    """Tell whether commands are brief if each of their operations is.

    Args:
        state: the tree before them.
        encoded: the commands; garbled ones are not brief.
    """
    index = state.watch_index
    if index.by_path or index.by_prefix or state.triggers.by_id:
        return False  # any change may be the end of many tree nodes, or ask for many calls
    try:
        # The code stands behind the mark of a short list.
        return all(len(one) <= MAX_BATCH_BYTES or one[1] != BATCH for one in encoded)
    except (LookupError, TypeError):
        return False


def ensure_brief(operation: Operation) -> None:
    """Raise if an operation may have to look at more than one tree node.

    Raises:
        TakesLongError: it may, or it is garbled: what is wrong with it shows when it is applied.
    """
    try:
        code = operation[0]
        if code in _OF_ONE_NODE:
            return
        if code == PUT_MATCHING:  # with a condition of its own, or a time to live
            options = operation[3]
            if not options or list(options) == [TTL]:
                return
    except (LookupError, TypeError):
        pass
    raise TakesLongError
