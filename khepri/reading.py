"""The reads of a store: local, lock-free, from any thread.

A read walks the immutable tree that the server published last; nobody waits for anybody. With
``favor="consistency"`` it does so while the server here has the leader's lease
(`StoreAccess.leased_view`); otherwise the server is asked first for a moment from which on the
read is linearizable, and the tree is walked after that. Values are decoded for each caller: what
a caller does with its copy changes nothing.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from khepri.actors.default_node import default_stores
from khepri.actors.server_messages import ConsistentRead, WaitUntilApplied
from khepri.config import check_store_id
from khepri.errors import InvalidPathError
from khepri.machine import queries
from khepri.machine.paths import Path, ensure_specific, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.properties import known_path
from khepri.machine.values import decode_value

from .calls import DEFAULT, Deadline, call, check_node, node_or_default, result
from .options import (
    COUNT,
    FOLD,
    MANY,
    READ,
    check_unknown,
    checked_condition,
    checked_limit,
    is_consistent,
    returned_properties,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Unpack

    from khepri.actors.access import StoreAccess
    from khepri.actors.node import Node
    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike, PathPattern
    from khepri.machine.properties import NodeProperties
    from khepri.machine.tree import Names, TreeNode

    from .options import CountOptions, FoldOptions, ManyOptions, ReadOptions

T = TypeVar("T")
A = TypeVar("A")

_ONLY_CONSISTENT: Final = {"favor": "consistency"}


class Reader:
    """The reading half of a `Store`.

    All functions take ``timeout`` (seconds for the whole call) and ``favor``: ``"low_latency"``
    (the default) reads the tree as this node knows it now, ``"consistency"`` reads a tree that
    has everything acknowledged by any node before the call. In its place ``condition`` may say
    which place in the log must be applied here before (`khepri.applied`).

    Functions on many tree nodes also take ``include_root_props`` (the root is meant too if the
    pattern begins with a condition), ``expect_specific_node`` (the pattern must name one tree
    node, and it is an error if that is not there or does not match), and, but for `count`,
    ``limit`` and ``start_after``: so many matches at most, and only those behind a path. Matches
    always come in path order: parents first, siblings by name. To go through many pages of one
    and the same tree hold a `view`.

    Errors that every function may raise: `InvalidPathError`, `InvalidOptionError`,
    `NoSuchServerError` if the store does not run here, and with ``favor="consistency"`` or a
    ``condition`` `KhepriTimeoutError`, `ServerStoppedError` and, if too many wait already,
    `OverloadedError`. With ``favor="consistency"`` also the `StorageError`s `DiskFullError`,
    `DiskFailedError` and `DirectoryAccessError`, if the disk does not take a new term here.
    """

    __slots__ = ("_node", "_store_id", "_stores")

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle; nothing is started and nothing has to run yet.

        Args:
            store_id: which store.
            node: on which node of this process; its default node if left out.

        Raises:
            WrongTypeError, InvalidOptionError: not a store id, or not a node of this process.
        """
        self._store_id = check_store_id(store_id)
        check_node(node)
        self._node = node
        self._stores = default_stores() if node is None else node.stores

    @property
    def store_id(self) -> str:
        """Which store this is a handle of."""
        return self._store_id

    @property
    def node(self) -> Node:
        """The node on which it is; for the parts of the public face."""
        return self._get_node()

    @property
    def access(self) -> StoreAccess:
        """What is published of the store on this node; for the parts of the public face.

        Raises:
            NoSuchServerError: it does not run here.
        """
        return self._get_node().access(self._store_id)

    # --- one tree node

    def get(self, path: PathLike, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """Give the data of one tree node (Khepri's get/1).

        Args:
            path: of one tree node; conditions may be asked of it.
            options: see `Store`.

        Returns:
            a new copy of what was put; None for a tree node without data.

        Raises:
            NodeNotFoundError: there is none.
            MismatchingNodeError: there is one, and it does not meet a condition.
            ManyNodesDeniedError: the path is a pattern that may match several.
        """
        if not options:
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
        return queries.get(self._read("get", options), one_node(path))

    def get_or(self, path: PathLike, default: object, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401 - what was put, or the default
        """Give the data of one tree node, or `default` if there is none or it has no data.

        A tree node that does not meet a condition counts as none. Otherwise as `get`.
        """
        return queries.get_or(self._read("get_or", options), one_node(path), default)

    def exists(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """Tell whether there is such a tree node and it meets the conditions asked of it."""
        return queries.exists(self._read("exists", options), one_node(path))

    def has_data(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """Tell whether there is such a tree node and it carries data."""
        return queries.has_data(self._read("has_data", options), one_node(path))

    def is_sproc(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """Tell whether there is such a tree node and it carries a stored procedure."""
        return queries.is_sproc(self._read("is_sproc", options), one_node(path))

    # --- many tree nodes

    def get_many(self, pattern: PathLike, **options: Unpack[ManyOptions]) -> dict[Path, Any]:
        """Give the data of all matching tree nodes, None for those without, in path order."""
        return queries.data_of(self._matches("get_many", pattern, options))

    def get_many_or(
        self, pattern: PathLike, default: object, **options: Unpack[ManyOptions]
    ) -> dict[Path, Any]:
        """Give the data of all matching tree nodes, `default` for those without, in path order."""
        return queries.data_of(self._matches("get_many_or", pattern, options), default)

    def count(self, pattern: PathLike, **options: Unpack[CountOptions]) -> int:
        """Count the matching tree nodes, with data or without; the root counts as one.

        The children of one tree node (``/a/b/*``) and all that is below it (``/a/b/**``) are
        counted without looking at them.
        """
        if options.get("expect_specific_node", False):
            return sum(1 for _ in self._matches("count", pattern, options, COUNT))
        root = self._read("count", options, COUNT)
        include_root = options.get("include_root_props", False)
        return queries.count(root, resolve_path(pattern), include_root=include_root)

    def is_empty(self, **options: Unpack[ReadOptions]) -> bool:
        """Tell whether there is no tree node but the root."""
        return not self._read("is_empty", options).children

    def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        **options: Unpack[FoldOptions],
    ) -> A:
        """Call ``function(path, properties, accumulator)`` for each match, in path order.

        The function runs in the caller's thread on a tree that does not change any more; it may
        take its time, call the store, and raise.

        Returns:
            what the last call gave; `accumulator` if nothing matches.
        """
        for path, properties in self._properties("fold", pattern, options):
            accumulator = function(path, properties, accumulator)
        return accumulator

    def foreach(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> None:
        """Call ``function(path, properties)`` for each match, in path order; see `fold`."""
        for path, properties in self._properties("foreach", pattern, options):
            function(path, properties)

    def map(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], T],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, T]:
        """Give ``function(path, properties)`` for each match, in path order; see `fold`."""
        return {
            path: function(path, properties)
            for path, properties in self._properties("map", pattern, options)
        }

    def filter(
        self,
        pattern: PathLike,
        predicate: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, Any]:
        """Give the data of the matches for which ``predicate(path, properties)`` is true.

        ``limit`` counts the matches that are looked at, not those for which it is true.
        """
        mask = returned_properties(options.get("props_to_return"))
        found: dict[Path, Any] = {}
        for names, node in self._matches("filter", pattern, options, FOLD):
            path = known_path(names)
            if predicate(path, queries.properties_of(node, mask)):
                found[path] = None if node.payload is None else decode_value(node.payload)
        return found

    # --- inside

    def _read(self, function: str, options: ReadOptions, known: frozenset[str] = READ) -> TreeNode:
        """Give the root to read, as the options ask for it."""
        check_unknown(function, cast("dict[str, Any]", options), known)
        return self._view(options).root

    def _view(self, options: ReadOptions) -> View:
        """Give the published tree, after whatever the options wait for."""
        node = self._get_node()
        access: StoreAccess = node.access(self._store_id)
        if options == _ONLY_CONSISTENT:  # the usual way to ask for it: nothing else to check
            leased = access.leased_view()
            if leased is not None:
                return leased
        deadline = Deadline(options.get("timeout", DEFAULT))
        question = question_before(options, access.view, deadline.end)
        if question is not None:
            if isinstance(question, ConsistentRead):
                leased = access.leased_view()
                if leased is not None:
                    return leased
            sent_before = access.unawaited.mark()
            call(node, self._store_id, question, result, deadline.remaining())
            if isinstance(question, ConsistentRead):
                access.unawaited.seen(sent_before)
            access = node.access(self._store_id)
        while access.view is None and access.wait_for_server(deadline.remaining()) is None:
            former, access = access, node.access(self._store_id)  # if it is gone, this says why
            if access is former:
                raise deadline.error("the recovery of the store", "not_applied")
        assert access.view is not None
        return access.view

    def _get_node(self) -> Node:
        return node_or_default(self._node)

    def _matches(
        self,
        function: str,
        pattern: PathLike,
        options: CountOptions | ManyOptions | FoldOptions,
        known: frozenset[str] = MANY,
    ) -> Iterator[tuple[Names, TreeNode]]:
        """Find what a pattern and the options mean together."""
        limit = checked_limit(options.get("limit"))
        start_after = options.get("start_after")
        after = None if start_after is None else concrete_path(cast("PathLike", start_after))
        if options.get("expect_specific_node", False):
            place = one_node(pattern)
            root = self._read(function, options, known)
            match = queries.find_match(root, place)
            matches = iter((match,) if after is None or match[0] > after else ())
        else:
            matches = find_many(
                self._read(function, options, known),
                resolve_path(pattern),
                include_root=options.get("include_root_props", False),
                after=after,
            )
        return matches if limit is None else islice(matches, min(limit, sys.maxsize))

    def _properties(
        self, function: str, pattern: PathLike, options: FoldOptions
    ) -> Iterator[tuple[Path, NodeProperties]]:
        mask = returned_properties(options.get("props_to_return"))
        for names, node in self._matches(function, pattern, options, FOLD):
            yield known_path(names), queries.properties_of(node, mask)


def question_before(
    options: ReadOptions, view: View | None, give_up_at: float | None
) -> ConsistentRead | WaitUntilApplied | None:
    """Give what the server must answer before a read may look at the published tree.

    Args:
        options: of the read.
        view: the published tree; None if there is none yet.
        give_up_at: monotonic seconds when nobody waits any more; None if never.

    Returns:
        the question; None if the read may look at once.

    Raises:
        InvalidOptionError, WrongTypeError: an impossible ``favor`` or ``condition``.
    """
    consistent = is_consistent(options.get("favor", "low_latency"))
    condition = options.get("condition")
    if condition is None:
        return ConsistentRead() if consistent else None
    place = checked_condition(condition)
    if view is not None and view.covers(place.index, place.term):
        return None
    return WaitUntilApplied(place.index, place.term, give_up_at)


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


def concrete_path(path: PathLike) -> Path:
    """Give a path that is nothing but names, where no condition can be asked.

    Raises:
        InvalidPathError: it is none, or it has conditions.
        ManyNodesDeniedError: it may match several tree nodes.
    """
    resolved = one_node(path)
    if isinstance(resolved, Path):
        return resolved
    raise InvalidPathError(f"no conditions can be asked here: {resolved!r}", path=resolved)
