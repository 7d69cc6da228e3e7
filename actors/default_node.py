"""The node of this process that module-level functions use.

Nothing runs before the first store is started. `distribute` gives it a name and a way to others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from khepri.errors import InvalidOptionError
from khepri.raft.types import UNDISTRIBUTED

from .node import Node

if TYPE_CHECKING:
    from .access import StoreAccess
    from .node_network import MakeTransport

_stores: dict[str, StoreAccess] = {}
_node = Node(stores=_stores)


def default_node() -> Node:
    """Give the node of this process."""
    return _node


def default_stores() -> dict[str, StoreAccess]:
    """Give its published stores: the same dict for the life of the process."""
    return _stores


def distribute(name: str, make_transport: MakeTransport) -> Node:
    """Give the node a name and a way to other nodes (Erlang's net_kernel:start).

    Raises:
        InvalidOptionError: it has a name already, or stores run under no name: their directories
            belong to that.
        ListenError, CookieError: the way to others cannot be opened; everything is as it was.
    """
    global _node  # noqa: PLW0603 - one per process, replaced as a whole
    if _node.name != UNDISTRIBUTED or _node.stores:
        raise InvalidOptionError(
            f"this process is the node {_node.name} already and runs {len(_node.stores)} stores; "
            "a node gets its name once, before its stores are started",
            option="name",
            value=name,
        )
    named = Node(name, stores=_stores, make_transport=make_transport)
    try:
        named.start()
    except BaseException:
        named.stop()
        raise
    _node.stop()
    _node = named
    return named


def undistribute() -> None:
    """Stop the node with everything on it; this process has a node without a name again."""
    global _node  # noqa: PLW0603 - see above
    _node.stop()
    _node = Node(stores=_stores)


_node_of_parent: Node | None = None


def _leave_parent_process() -> None:
    """In a forked child: a new node, which may start stores of its own."""
    global _node, _node_of_parent  # noqa: PLW0603 - see above
    # Kept: to take its sockets and files apart is the parent's business.
    _node_of_parent = _node  # it has given up its stores already (`fork_guard.py`)
    _node = Node(stores=_stores)
    _node.stores_of_parent = _node_of_parent.stores_of_parent


os.register_at_fork(after_in_child=_leave_parent_process)
