"""What an entry will do, worked out before it is committed: nothing of it counts yet.

While the disk has an entry, a server has nothing to do but to wait. The tree that the entry leads
to is an immutable value, so it can be made meanwhile and kept beside the machine's own. When the
entry is committed, the next `Machine.apply` takes it over; should another one be committed in its
place, or none, it is thrown away and nobody has seen it. A tenth of one caller's put is that.

Only for what is simple: one group, of a session that is there and goes on without a gap, in an
entry with whose time nothing expires. And only for what is brief: whoever writes has the log of
all stores meanwhile, and a copy of a large subtree, or a put on which thousands of tree nodes
depend, would keep it from them for a second. All else is done when it is applied, as if nothing
had been prepared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.encoding import EncodingError, unpack

from .command_codes import (
    BATCH,
    CREATE,
    INCREMENT,
    PUT,
    PUT_FAMILY,
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


def is_brief(state: TreeState, encoded: Sequence[bytes]) -> bool:
    """Tell whether commands surely take no longer than a write to the disk or two.

    That is so where each is for one tree node, has no conditions of others to look at, and nothing
    else can go by it.

    Args:
        state: the tree before them.
        encoded: the commands; anything else is not brief.
    """
    index = state.watch_index
    if index.by_path or index.by_prefix:
        return False  # any change may be the end of any number of tree nodes
    try:
        return all(map(_is_brief, encoded))
    except (EncodingError, LookupError, TypeError, ValueError):
        return False


def _is_brief(command: bytes) -> bool:
    code = command[1]  # behind the mark of a short list; reading it all would copy large data
    if code in _OF_ONE_NODE:
        return True
    if code not in {BATCH, PUT_MATCHING} or len(command) > MAX_BATCH_BYTES:
        return False
    operation = unpack(command)
    return all(map(_is_of_one_node, operation[1] if code == BATCH else [operation]))


def _is_of_one_node(operation: Operation) -> bool:
    code = operation[0]
    if code == PUT_MATCHING:  # with a condition, or a time to live
        options = operation[3]
        return not options or list(options) == [TTL]
    return code in _OF_ONE_NODE or code == PUT_FAMILY
