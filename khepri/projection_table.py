"""`ProjectionTable`: a table derived from the tree, for any thread to read; and how it is kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import ItemsView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, Never, cast

from khepri.actors.change_feed import refuse_to_wait_for_the_feed
from khepri.actors.change_listener import ChangeListener
from khepri.actors.own_threads import refuse_to_wait_here
from khepri.actors.repeated_failures import RepeatedFailures
from khepri.errors import (
    ForkedProcessError,
    NoSuchProjectionError,
    ServerStoppedError,
    WrongTypeError,
)
from khepri.machine.match_changes import match_changes
from khepri.machine.paths import Path

from .calls import DEFAULT, Deadline
from .options import AppliedAt
from .viewing import TreeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from khepri.actors.change_listener import Ending
    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.errors import KhepriError
    from khepri.machine.concrete_pattern import ConcretePattern
    from khepri.machine.machine import View
    from khepri.machine.paths import PathPattern
    from khepri.machine.state import Change
    from khepri.machine.tree import Names, TreeNode

    from .calls import Timeout
    from .projection_content import Content
    from .projections import Projection

    Caught = type[BaseException]

_logger = logging.getLogger("khepri.projection")

_RAISED_IN_THE_FEED: Final = BaseException
"""Whatever it is, it is the function's, as a `CancelledError`. In the host's own thread an exit or
an interrupt is meant for that."""


class ProjectionTable(Mapping[Any, Any]):
    """What `Store.projection` gives: the records of a projection as they are now. Any thread.

    It is read like a dict, without a lock and without asking anybody. It changes by whole steps:
    what was written together is seen together. To read several records of one moment, or to walk
    it, take a `snapshot`; an iterator, `items` and `values` walk one of their own. ``dict(table)``
    does not: it asks for one value after the other, and may find that a key has gone.

    It follows this node's tree with a short delay; `wait_for` bridges it.

    Every function raises `ServerStoppedError` once the store was stopped or reset, and
    `NoSuchProjectionError` once the projection was unregistered.
    """

    __slots__ = ("_keeper", "name", "path_pattern", "store_id")

    def __init__(self, keeper: ProjectionKeeper) -> None:
        """Show what a keeper keeps; `Store.projection` does."""
        self._keeper = keeper
        self.name = keeper.name
        self.store_id = keeper.store_id
        self.path_pattern = keeper.path_pattern

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - the function decides
        """Give the value of a key.

        Raises:
            KeyError: there is no such record.
        """
        return self._keeper.records[key]

    def __contains__(self, key: object) -> bool:
        """Tell whether there is a record of a key."""
        return key in self._keeper.records

    def __iter__(self) -> Iterator[Any]:
        """Give the keys of this moment, in no particular order."""
        return iter(self._keeper.records)

    def __len__(self) -> int:
        """Give the number of records."""
        return len(self._keeper.records)

    # Of a snapshot: views of this table would ask for the value of a key that may have gone.

    def items(self) -> ItemsView[Any, Any]:
        """Give the records of this moment."""
        return ItemsView(self.snapshot())

    def values(self) -> ValuesView[Any]:
        """Give the values of this moment."""
        return ValuesView(self.snapshot())

    def __repr__(self) -> str:
        """Show its name, and of which store it is."""
        return f"<projection {self.name!r} of {self.store_id!r}>"

    def snapshot(self) -> Mapping[Any, Any]:
        """Give all records of this moment, as a mapping that never changes. It costs nothing."""
        records = self._keeper.records
        len(records)  # raises if it has ended
        return records

    def wait_for(
        self, place: TreeView | AppliedAt | None = None, timeout: Timeout = DEFAULT
    ) -> None:
        """Wait until everything up to a place in the log is in it.

        Args:
            place: a view of the store, or what `khepri.applied` gives. Left out: the tree as this
                node has it now; so whoever waits after a write finds that write in the table.
            timeout: seconds to wait.

        Raises:
            KhepriTimeoutError: it is not so far in time.
            WrongTypeError, InvalidOptionError: bad arguments.
            MisuseError: in a function of a projection or subscription, which would wait for
                itself, and in other threads of khepri's.
        """
        if place is not None and not isinstance(place, TreeView | AppliedAt):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WrongTypeError(
                f"place is a view, or what khepri.applied gives, not {place!r:.100}",
                option="place",
                value=place,
            )
        self._keeper.wait_for(None if place is None else (place.index, place.term), timeout)


class ProjectionKeeper(ChangeListener):
    """Keeps the records of one projection."""

    __slots__ = ("_changed", "_content", "_failures", "_projection", "name", "records", "store_id")

    wants_matches = True
    outlasts_the_tree = True
    ends_at_once = True  # nobody is to read what stands still

    def __init__(self, store_id: str, pattern: ConcretePattern, projection: Projection) -> None:
        """Begin without records."""
        super().__init__(pattern, None)
        self.store_id = store_id
        self.name = projection.name
        self.records: Mapping[Any, Any] = {}
        """What readers see; replaced as a whole."""
        self._projection = projection
        self._content = projection.new_content()
        self._failures = RepeatedFailures(_logger)
        self._changed = threading.Condition()  # not held while a function of the host runs

    def __repr__(self) -> str:
        """Show which projection of which store."""
        return f"<keeper of the projection {self.name!r} of {self.store_id!r}>"

    @property
    def path_pattern(self) -> Path | PathPattern:
        """What it is about."""
        return cast("Path | PathPattern", self.pattern.pattern)

    def wait_for(self, place: tuple[int, int] | None, timeout: Timeout) -> None:
        """See `ProjectionTable.wait_for`."""
        deadline = Deadline(timeout)
        refuse_to_wait_here()
        refuse_to_wait_for_the_feed()
        len(self.records)  # raises if it has ended: in a forked child before the lock
        if place is None:
            outlet = self.outlet
            now = None if outlet is None else outlet.newest_view
            place = (0, 0) if now is None else (now.index, now.term)
        with self._changed:
            while self.view is None or not self.view.covers(*place):
                len(self.records)
                if deadline.is_over():
                    raise deadline.error(
                        f"waiting for the projection {self.name!r}", "not_applied"
                    )
                self._changed.wait(_bounded(deadline.remaining()))
            len(self.records)

    # --- the feed

    def fill(self, view: View) -> None:
        """Make the records anew, of a whole tree; nobody listens yet."""
        self._content = self._filled(view, Exception)
        self.records, self.view = self._content.records(), view

    def begin(self, outlet: ChangeOutlet, view: View) -> None:
        """Make the records anew, of a whole tree; until then the former ones are seen."""
        if outlet is self.outlet:
            self._publish(outlet, view, self._filled(view, _RAISED_IN_THE_FEED))

    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        """Have the records follow the tree."""
        content = self._content  # it may end meanwhile, and give this up
        if outlet is not self.outlet:
            return
        if changes:
            found = match_changes(self.pattern, before.root, after.root, changes)
            for path, old, new, _reason in found:
                self._change(content, path, old, new, _RAISED_IN_THE_FEED)
        self._publish(outlet, after, content)

    def end(self, ending: Ending) -> None:
        """Let nobody read any more what is not kept any more."""
        name, store_id = self.name, self.store_id

        def make_error() -> KhepriError:
            if ending == "closed":
                return no_such_projection(name, store_id)
            return ServerStoppedError(
                f"the projection {name!r} has ended: the store {store_id!r} was stopped or reset",
                store_id=store_id,
                outcome="not_applied",
            )

        with self._changed:
            self.outlet = self.view = None  # no tree is kept, however long the table is
            self.records = _Ended(make_error)
            self._content = self._projection.new_content()
            self._changed.notify_all()

    def forget_parent_process(self) -> None:
        """Let nobody in a forked child read what stands still there."""
        self.outlet = None
        self.records = _Ended(
            lambda: ForkedProcessError("this process was forked; the store belongs to its parent")
        )

    def _filled(self, view: View, caught: Caught) -> Content:
        content = self._projection.new_content()
        for path, node in self.pattern.all(view.root):
            self._change(content, path, None, node, caught)
        return content

    def _change(
        self,
        content: Content,
        path: Names,
        old: TreeNode | None,
        new: TreeNode | None,
        caught: Caught,
    ) -> None:
        try:
            content.change(path, old, new)
        except caught as error:  # it is the host's, and harms nobody
            self._failures.note(
                f"the projection {self.name!r} of {self.store_id!r} at {Path.of_valid(path)}",
                error,
            )

    def _publish(self, outlet: ChangeOutlet, view: View, content: Content) -> None:
        records = content.records()
        with self._changed:
            if outlet is self.outlet:  # it may have ended, or be between two lives of the store
                self.records, self.view, self._content = records, view, content
                self._changed.notify_all()


class _Ended(Mapping[Any, Any]):
    """The records of a projection that is not kept any more: whoever looks is told."""

    __slots__ = ("_make_error",)

    def __init__(self, make_error: Callable[[], KhepriError]) -> None:
        self._make_error = make_error

    def __getitem__(self, key: object) -> Never:
        raise self._make_error()

    def __contains__(self, key: object) -> Never:
        raise self._make_error()

    def __iter__(self) -> Never:
        raise self._make_error()

    def __len__(self) -> int:
        raise self._make_error()


def no_such_projection(name: str, store_id: str) -> NoSuchProjectionError:
    """Make the error for a projection that a store does not have."""
    return NoSuchProjectionError(
        f"the store {store_id!r} has no projection {name!r} here", store_id=store_id, name=name
    )


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, threading.TIMEOUT_MAX)
