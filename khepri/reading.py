"""The reads of a store: local, lock-free, from any thread.

A read walks the immutable tree that the server published last; nobody waits for anybody. With
``favor="consistency"`` the server is asked first for a moment from which on the read is
linearizable, and the tree is walked after that. Values are decoded for each caller: what a caller
does with its copy changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from khepri.actors.default_node import default_stores
from khepri.actors.server_messages import ConsistentRead
from khepri.config import check_store_id
from khepri.machine import queries
from khepri.machine.paths import Path, ensure_specific, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.values import decode_value

from .calls import DEFAULT, Deadline, Timeout, call, node_or_default, result
from .options import Favor, is_consistent, returned_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from khepri.actors.node import Node
    from khepri.machine.paths import PathLike, PathPattern
    from khepri.machine.properties import NodeProperties
    from khepri.machine.tree import TreeNode

T = TypeVar("T")
A = TypeVar("A")


class Reader:
    """The reading half of a `Store`.

    All functions take ``timeout`` (seconds for the whole call) and ``favor``: ``"low_latency"``
    (the default) reads the tree as this node knows it now, ``"consistency"`` reads a tree that
    has everything acknowledged by any node before the call.

    Errors that every function may raise: `InvalidPathError`, `InvalidOptionError`,
    `NoSuchServerError` if the store does not run here, and with ``favor="consistency"``
    `KhepriTimeoutError` and `ServerStoppedError`.
    """

    __slots__ = ("_node", "_store_id", "_stores")

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle; nothing is started and nothing has to run yet.

        Args:
            store_id: which store.
            node: on which node of this process; its default node if left out.

        Raises:
            WrongTypeError, InvalidOptionError: not a store id.
        """
        self._store_id = check_store_id(store_id)
        self._node = node
        self._stores = default_stores() if node is None else node.stores

    @property
    def store_id(self) -> str:
        """Which store this is a handle of."""
        return self._store_id

    # --- one tree node

    def get(
        self, path: PathLike, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency"
    ) -> Any:  # noqa: ANN401 - what was put
        """Give the data of one tree node (Khepri's get/1).

        Args:
            path: of one tree node; conditions may be asked of it.
            timeout: seconds for the whole call.
            favor: see the class.

        Returns:
            a new copy of what was put; None for a tree node without data.

        Raises:
            NodeNotFoundError: there is none.
            MismatchingNodeError: there is one, and it does not meet a condition.
            ManyNodesDeniedError: the path is a pattern that may match several.
        """
        if favor == "low_latency" and timeout is DEFAULT:
            # The short cut of a plain local read: it saves two calls, a third of the cost.
            try:
                node = self._stores[self._store_id].view.root  # type: ignore[union-attr]
                names = resolve_path(path)
                if names.__class__ is Path:
                    for name in names:
                        node = node.children[name]  # pyright: ignore[reportArgumentType]
                    payload = node.payload
                    return None if payload is None else decode_value(payload)
            except (KeyError, AttributeError):
                pass  # the long way knows what is missing
        return queries.get(self._root(timeout, favor), one_node(path))

    def get_or(
        self,
        path: PathLike,
        default: object,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
    ) -> Any:  # noqa: ANN401 - what was put, or the default
        """Give the data of one tree node, or `default` if there is none or it has no data.

        A tree node that does not meet a condition counts as none. Otherwise as `get`.
        """
        return queries.get_or(self._root(timeout, favor), one_node(path), default)

    def exists(
        self, path: PathLike, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency"
    ) -> bool:
        """Tell whether there is such a tree node and it meets the conditions asked of it."""
        return queries.exists(self._root(timeout, favor), one_node(path))

    def has_data(
        self, path: PathLike, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency"
    ) -> bool:
        """Tell whether there is such a tree node and it carries data."""
        return queries.has_data(self._root(timeout, favor), one_node(path))

    def is_sproc(
        self, path: PathLike, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency"
    ) -> bool:
        """Tell whether there is such a tree node and it carries a stored procedure."""
        return queries.is_sproc(self._root(timeout, favor), one_node(path))

    # --- many tree nodes

    def get_many(
        self,
        pattern: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        include_root_props: bool = False,
    ) -> dict[Path, Any]:
        """Give the data of all matching tree nodes, None for those without, in path order."""
        return self.get_many_or(
            pattern, None, timeout=timeout, favor=favor, include_root_props=include_root_props
        )

    def get_many_or(
        self,
        pattern: PathLike,
        default: object,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        include_root_props: bool = False,
    ) -> dict[Path, Any]:
        """Give the data of all matching tree nodes, `default` for those without, in path order."""
        return queries.get_many(
            self._root(timeout, favor),
            resolve_path(pattern),
            default,
            include_root=include_root_props,
        )

    def count(
        self, pattern: PathLike, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency"
    ) -> int:
        """Count the matching tree nodes, with data or without; the root counts as one."""
        return queries.count(self._root(timeout, favor), resolve_path(pattern))

    def is_empty(self, *, timeout: Timeout = DEFAULT, favor: Favor = "low_latency") -> bool:
        """Tell whether there is no tree node but the root."""
        return not self._root(timeout, favor).children

    def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
    ) -> A:
        """Call ``function(path, properties, accumulator)`` for each match, in path order.

        The function runs in the caller's thread on a tree that does not change any more; it may
        take its time, call the store, and raise.

        Returns:
            what the last call gave; `accumulator` if nothing matches.
        """
        for path, properties in self._properties(pattern, timeout, favor, props_to_return):
            accumulator = function(path, properties, accumulator)
        return accumulator

    def foreach(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], object],
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
    ) -> None:
        """Call ``function(path, properties)`` for each match, in path order; see `fold`."""
        for path, properties in self._properties(pattern, timeout, favor, props_to_return):
            function(path, properties)

    def map(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], T],
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
    ) -> dict[Path, T]:
        """Give ``function(path, properties)`` for each match, in path order; see `fold`."""
        return {
            path: function(path, properties)
            for path, properties in self._properties(pattern, timeout, favor, props_to_return)
        }

    def filter(
        self,
        pattern: PathLike,
        predicate: Callable[[Path, NodeProperties], object],
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
    ) -> dict[Path, Any]:
        """Give the data of the matches for which ``predicate(path, properties)`` is true."""
        mask = returned_properties(props_to_return)
        found: dict[Path, Any] = {}
        for names, node in find_many(self._root(timeout, favor), resolve_path(pattern)):
            path = Path.of_valid(names)
            if predicate(path, queries.properties_of(node, mask)):
                found[path] = None if node.payload is None else decode_value(node.payload)
        return found

    # --- inside

    def _root(self, timeout: Timeout, favor: Favor) -> TreeNode:
        deadline = Deadline(timeout)
        if is_consistent(favor):
            call(self._get_node(), self._store_id, ConsistentRead(), result, deadline.remaining())
        access = self._get_node().access(self._store_id)
        if access.view is None and access.wait_for_server(deadline.remaining()) is None:
            raise deadline.error("the recovery of the store", "not_applied")
        assert access.view is not None
        return access.view.root

    def _get_node(self) -> Node:
        return node_or_default(self._node)

    def _properties(
        self,
        pattern: PathLike,
        timeout: Timeout,
        favor: Favor,
        props_to_return: Iterable[str] | None,
    ) -> Iterator[tuple[Path, NodeProperties]]:
        mask = returned_properties(props_to_return)
        return queries.walk(self._root(timeout, favor), resolve_path(pattern), mask)


def one_node(path: PathLike) -> Path | PathPattern:
    """Give a path or pattern that names one tree node, resolved.

    Raises:
        InvalidPathError: it is none.
        ManyNodesDeniedError: it may match several, whatever the tree holds now.
    """
    resolved = resolve_path(path)
    if resolved.__class__ is not Path:
        ensure_specific(resolved)
    return resolved
