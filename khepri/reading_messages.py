"""The messages that read a tree; `khepri.messages` is their public name.

Each is the function of the same name in `khepri.Store`, with its arguments, results and errors.
Nobody waits while a message is sent: a local read is answered at once, in the asker's thread; one
with ``favor="consistency"`` or a ``condition`` asks the server for the moment from which it may
read, and reads, again in the asker's thread, when the answer is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from khepri.actors.future import KhepriFuture
from khepri.actors.server_messages import ConsistentRead

from .calls import DEFAULT, Deadline, result, submit
from .options import ReadOptions
from .reading import question_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties

    from .calls import Timeout
    from .options import AppliedAt, CountOptions, Favor, FoldOptions, ManyOptions
    from .store import Store
    from .viewing import TreeView


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMessage:
    """What all reads have.

    Attributes:
        favor: see `khepri.reading.Reader`.
        condition: see there.
    """

    favor: Favor = "low_latency"
    condition: AppliedAt | None = None

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Read it, or ask for the moment from which it may be read."""
        options = ReadOptions(favor=self.favor, condition=self.condition)
        access = store.access
        question = question_before(options, access.view, Deadline(timeout).end)
        is_consistent = isinstance(question, ConsistentRead)
        if question is not None and not (is_consistent and access.leased_view() is not None):
            sent_before = access.unawaited.mark()

            def read_now(reply: object) -> Any:  # noqa: ANN401 - the message decides
                result(reply)
                if is_consistent:
                    access.unawaited.seen(sent_before)
                return self.read(store)

            return submit(access, question, read_now)
        future: KhepriFuture[Any] = KhepriFuture()
        try:
            future.set(self.read(store))
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets it
            future.fail(error)
        return future

    def read(self, store: Store) -> Any:  # noqa: ANN401 - the message decides
        """Read it from the tree as it is known here now."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Get(ReadMessage):
    """See `khepri.Store.get`."""

    path: PathLike

    def read(self, store: Store) -> Any:  # noqa: ANN401 - what was put
        """Read it."""
        return store.get(self.path)


@dataclass(frozen=True, slots=True)
class GetOr(ReadMessage):
    """See `khepri.Store.get_or`."""

    path: PathLike
    default: object

    def read(self, store: Store) -> Any:  # noqa: ANN401 - what was put, or the default
        """Read it."""
        return store.get_or(self.path, self.default)


@dataclass(frozen=True, slots=True)
class Exists(ReadMessage):
    """See `khepri.Store.exists`."""

    path: PathLike

    def read(self, store: Store) -> bool:
        """Read it."""
        return store.exists(self.path)


@dataclass(frozen=True, slots=True)
class HasData(ReadMessage):
    """See `khepri.Store.has_data`."""

    path: PathLike

    def read(self, store: Store) -> bool:
        """Read it."""
        return store.has_data(self.path)


@dataclass(frozen=True, slots=True)
class IsSproc(ReadMessage):
    """See `khepri.Store.is_sproc`."""

    path: PathLike

    def read(self, store: Store) -> bool:
        """Read it."""
        return store.is_sproc(self.path)


@dataclass(frozen=True, slots=True)
class IsEmpty(ReadMessage):
    """See `khepri.Store.is_empty`."""

    def read(self, store: Store) -> bool:
        """Read it."""
        return store.is_empty()


@dataclass(frozen=True, slots=True, kw_only=True)
class CountMessage(ReadMessage):
    """What reads of many tree nodes have.

    Attributes:
        include_root_props: see `khepri.reading.Reader`.
        expect_specific_node: see there.
    """

    include_root_props: bool = False
    expect_specific_node: bool = False

    @property
    def counting(self) -> CountOptions:
        """The options of counting."""
        return {
            "include_root_props": self.include_root_props,
            "expect_specific_node": self.expect_specific_node,
        }


@dataclass(frozen=True, slots=True)
class Count(CountMessage):
    """See `khepri.Store.count`."""

    pattern: PathLike

    def read(self, store: Store) -> int:
        """Read it."""
        return store.count(self.pattern, **self.counting)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMessage(CountMessage):
    """What reads have that come in pages.

    Attributes:
        limit: so many matches at most.
        start_after: only matches behind this path: the last one of the page before.
    """

    limit: int | None = None
    start_after: PathLike | None = None

    @property
    def paging(self) -> ManyOptions:
        """The options that say which matches."""
        return {**self.counting, "limit": self.limit, "start_after": self.start_after}


@dataclass(frozen=True, slots=True)
class GetMany(PageMessage):
    """See `khepri.Store.get_many`."""

    pattern: PathLike

    def read(self, store: Store) -> dict[Path, Any]:
        """Read them."""
        return store.get_many(self.pattern, **self.paging)


@dataclass(frozen=True, slots=True)
class GetManyOr(PageMessage):
    """See `khepri.Store.get_many_or`."""

    pattern: PathLike
    default: object

    def read(self, store: Store) -> dict[Path, Any]:
        """Read them."""
        return store.get_many_or(self.pattern, self.default, **self.paging)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldMessage(PageMessage):
    """What reads have that give node properties to a function, in the asker's thread.

    Attributes:
        props_to_return: see `khepri.advanced.AdvancedStore`.
    """

    props_to_return: Iterable[str] | None = None

    @property
    def folding(self) -> FoldOptions:
        """The options that say which matches, and what of them."""
        return {**self.paging, "props_to_return": self.props_to_return}


@dataclass(frozen=True, slots=True)
class Fold(FoldMessage):
    """See `khepri.Store.fold`."""

    pattern: PathLike
    function: Callable[[Path, NodeProperties, Any], Any]
    accumulator: object

    def read(self, store: Store) -> Any:  # noqa: ANN401 - what the function gives
        """Read them."""
        return store.fold(self.pattern, self.function, self.accumulator, **self.folding)


@dataclass(frozen=True, slots=True)
class Foreach(FoldMessage):
    """See `khepri.Store.foreach`."""

    pattern: PathLike
    function: Callable[[Path, NodeProperties], object]

    def read(self, store: Store) -> None:
        """Read them."""
        store.foreach(self.pattern, self.function, **self.folding)


@dataclass(frozen=True, slots=True)
class Map(FoldMessage):
    """See `khepri.Store.map`."""

    pattern: PathLike
    function: Callable[[Path, NodeProperties], Any]

    def read(self, store: Store) -> dict[Path, Any]:
        """Read them."""
        return store.map(self.pattern, self.function, **self.folding)


@dataclass(frozen=True, slots=True)
class Filter(FoldMessage):
    """See `khepri.Store.filter`."""

    pattern: PathLike
    predicate: Callable[[Path, NodeProperties], object]

    def read(self, store: Store) -> dict[Path, Any]:
        """Read them."""
        return store.filter(self.pattern, self.predicate, **self.folding)


@dataclass(frozen=True, slots=True)
class View(ReadMessage):
    """See `khepri.Store.view`."""

    def read(self, store: Store) -> TreeView:
        """Take it."""
        return store.view()


@dataclass(frozen=True, slots=True)
class Diff(ReadMessage):
    """See `khepri.Store.diff`."""

    path: PathLike
    since: TreeView
    props_to_return: Iterable[str] | None = None

    def read(self, store: Store) -> Any:  # noqa: ANN401 - a list of differences
        """Compare."""
        return store.diff(self.path, self.since, props_to_return=self.props_to_return)


@dataclass(frozen=True, slots=True)
class Fence:
    """See `khepri.Store.fence`."""

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Ask for it."""
        del timeout  # the asker's `get` has it
        question = question_before({"favor": "consistency"}, None, None)
        return submit(store.access, question, result)
