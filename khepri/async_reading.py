"""The reads of a store for asyncio: those of `Reader` and `Viewer`, awaited.

A local read takes microseconds and does not wait at all; one with ``favor="consistency"`` or a
``condition`` awaits the moment from which it may be made. Functions given to `fold` and its like
run in the loop's thread: for long walks take a `view` and fold over that in a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from khepri.actors.server_messages import ConsistentRead
from khepri.errors import KhepriTimeoutError, NoSuchServerError, ServerStoppedError

from .async_calls import call, wait_for_view
from .calls import DEFAULT, Deadline, result
from .following import Follow
from .options import COUNT, FOLD, MANY, READ, check_unknown
from .reading import question_before
from .viewing import TreeView, Viewer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties

    from .following import Changes
    from .options import (
        AdvancedReadOptions,
        CountOptions,
        FoldOptions,
        ManyOptions,
        ReadOptions,
    )
    from .viewing import Difference

T = TypeVar("T")
A = TypeVar("A")


class AsyncReader:
    """The reading half of a `khepri.aio.Store`. Options and errors as for `khepri.Store`."""

    __slots__ = ("_reader",)

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle; nothing is started and nothing has to run yet.

        Args:
            store_id: which store.
            node: on which node of this process; its default node if left out.

        Raises:
            WrongTypeError, InvalidOptionError: not a store id, or not a node of this process.
        """
        self._reader = Viewer(store_id, node)

    @property
    def store_id(self) -> str:
        """Which store this is a handle of."""
        return self._reader.store_id

    # --- one tree node

    async def get(self, path: PathLike, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """See `khepri.Store.get`."""
        return (await self._tree("get", options)).get(path)

    async def get_or(self, path: PathLike, default: object, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """See `khepri.Store.get_or`."""
        return (await self._tree("get_or", options)).get_or(path, default)

    async def exists(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `khepri.Store.exists`."""
        return (await self._tree("exists", options)).exists(path)

    async def has_data(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `khepri.Store.has_data`."""
        return (await self._tree("has_data", options)).has_data(path)

    async def is_sproc(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `khepri.Store.is_sproc`."""
        return (await self._tree("is_sproc", options)).is_sproc(path)

    # --- many tree nodes

    async def get_many(self, pattern: PathLike, **options: Unpack[ManyOptions]) -> dict[Path, Any]:
        """See `khepri.Store.get_many`."""
        tree = await self._tree("get_many", options, MANY)
        return tree.get_many(pattern, **options)

    async def get_many_or(
        self, pattern: PathLike, default: object, **options: Unpack[ManyOptions]
    ) -> dict[Path, Any]:
        """See `khepri.Store.get_many_or`."""
        tree = await self._tree("get_many_or", options, MANY)
        return tree.get_many_or(pattern, default, **options)

    async def count(self, pattern: PathLike, **options: Unpack[CountOptions]) -> int:
        """See `khepri.Store.count`."""
        tree = await self._tree("count", options, COUNT)
        return tree.count(pattern, **options)

    async def is_empty(self, **options: Unpack[ReadOptions]) -> bool:
        """See `khepri.Store.is_empty`."""
        return (await self._tree("is_empty", options)).is_empty()

    async def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        **options: Unpack[FoldOptions],
    ) -> A:
        """See `khepri.Store.fold`."""
        tree = await self._tree("fold", options, FOLD)
        return tree.fold(pattern, function, accumulator, **options)

    async def foreach(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> None:
        """See `khepri.Store.foreach`."""
        tree = await self._tree("foreach", options, FOLD)
        tree.foreach(pattern, function, **options)

    async def map(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], T],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, T]:
        """See `khepri.Store.map`."""
        tree = await self._tree("map", options, FOLD)
        return tree.map(pattern, function, **options)

    async def filter(
        self,
        pattern: PathLike,
        predicate: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, Any]:
        """See `khepri.Store.filter`."""
        tree = await self._tree("filter", options, FOLD)
        return tree.filter(pattern, predicate, **options)

    # --- views

    async def view(self, **options: Unpack[ReadOptions]) -> TreeView:
        """See `khepri.Store.view`; what it gives is read without waiting, in any thread."""
        return (await self._tree("view", options)).view()

    async def diff(
        self, path: PathLike, since: TreeView, **options: Unpack[AdvancedReadOptions]
    ) -> list[Difference]:
        """See `khepri.Store.diff`."""
        tree = await self._tree("diff", options, READ | {"props_to_return"})
        return tree.diff(path, since, **options)

    def follow(
        self,
        path: PathLike,
        *,
        since: TreeView | None = None,
        timeout: float | None = None,
        props_to_return: Iterable[str] | None = None,
    ) -> AsyncGenerator[Changes]:
        """See `khepri.Store.follow`; it is followed with ``async for``."""
        follow = Follow(self._reader, path, timeout, props_to_return)
        now = self._reader.access.view
        if since is None and now is not None:
            since = TreeView(self.store_id, now)
        return self._follow(follow, None if since is None else follow.checked(since))

    # --- inside

    async def _follow(self, follow: Follow, view: TreeView | None) -> AsyncGenerator[Changes]:
        follow.begin(await self.view() if view is None else view)
        while True:
            try:
                changes = follow.look(await self.view(**follow.question()))
            except (KhepriTimeoutError, NoSuchServerError, ServerStoppedError) as error:
                follow.go_on_after(error)
                continue
            if changes is not None:
                yield changes
                follow.begin(changes.view)

    async def _tree(
        self, function: str, options: ReadOptions, known: frozenset[str] = READ
    ) -> Viewer:
        """Give what to read, when it may be read; take what says when out of the options."""
        check_unknown(function, cast("dict[str, Any]", options), known)
        reader = self._reader
        access = reader.access
        if not options and access.view is not None:
            return reader
        deadline = Deadline(options.pop("timeout", DEFAULT))
        node, store_id = reader.node, reader.store_id
        question = question_before(options, access.view, deadline.end)
        options.pop("favor", None)
        options.pop("condition", None)
        if question is not None:
            if isinstance(question, ConsistentRead):
                leased = access.leased_view()
                if leased is not None:
                    return TreeView(store_id, leased)
            sent_before = access.unawaited.mark()
            await call(node, store_id, question, result, deadline)
            if isinstance(question, ConsistentRead):
                access.unawaited.seen(sent_before)
        access = await wait_for_view(node, store_id, deadline)
        assert access.view is not None
        return TreeView(store_id, access.view)
