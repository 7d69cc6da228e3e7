"""What other nodes may read of a store here: a walk, page by page, on one immutable tree.

``khepri get --node``, ``info``, ``tree``, ``dump`` and ``export`` ask for it. The first page
begins a walk, each further one goes on where the last one ended, so that all of them fit together
and none is looked for twice. A walk is kept for as long as its reader said it has time; when
others read, no longer: it holds the memory of what was changed since it began.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from khepri.errors import NotDoneError
from khepri.machine.parts import pattern_from_plain
from khepri.machine.paths import ensure_specific
from khepri.machine.patterns import find_many
from khepri.machine.queries import find_match
from khepri.raft.plain import as_natural

from .describing import store_lines
from .drawing import ASCII, UNICODE
from .exporting import log_time_milliseconds, nodes_of
from .options import checked_limit
from .painting import Paint, one_line
from .request_threads import RequestThreads, budget, busy
from .store import Store
from .tree_text import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node
    from khepri.machine.tree import Names, TreeNode

    from .calls import Deadline
    from .exported_node import ExportedNode

PAGE_BYTES: Final = 256 * 1024
"""A page ends with the tree node that makes it larger; one payload may be larger by itself."""

TREE_NODE_BYTES: Final = 64
"""What a tree node counts in a page beside its payload: a page of empty ones ends too."""

WALKS_MAX: Final = 16
"""So many walks may be under way at once; each may keep an old tree in memory."""

Page = list[Any]
"""``[walk id, tree nodes, whether more follow]``; a tree node is ``[names, payload or None]``, in
an export what `ExportedNode.to_plain` gives. The first page of an export goes on with the index,
the term and the time of the log."""


class RemoteReading:
    """The reading functions of a node. They are called in the Router's thread."""

    def __init__(self, node: Node) -> None:
        """Read the stores of a node."""
        self._node = node
        self._threads = RequestThreads(node.name, WALKS_MAX)
        self._walks: dict[int, _Walk] = {}
        self._walk_ids = itertools.count(1)
        self._lock = threading.Lock()

    def by_name(self) -> dict[str, Any]:
        """Give the functions other nodes may call."""
        return {
            "read_store": self.read_store,
            "export_store": self.export_store,
            "show_store": self.show_store,
            "read_on": self.read_on,
        }

    def read_store(
        self, store_id: object, pattern: object, is_one: object, seconds: object
    ) -> KhepriFuture[Page]:
        """Begin a walk and give its first page.

        Args:
            store_id: of a store that runs here.
            pattern: the components of a resolved pattern, as plain values.
            is_one: whether it is an error if nothing is there.
            seconds: how long the reader will go on at most.
        """
        deadline = budget(seconds)
        resolved = pattern_from_plain(list(cast("Iterable[Any]", pattern)))

        def begin() -> Page:
            self._drop_late()
            root = Store(str(store_id), self._node).view(timeout=deadline.remaining()).held.root
            if is_one:
                ensure_specific(resolved)
                return _Walk([find_match(root, resolved)], _row).page(0)
            return self._begun(_Walk(find_many(root, resolved), _row), deadline)

        return self._threads.run(begin)

    def export_store(
        self, store_id: object, pattern: object, seconds: object
    ) -> KhepriFuture[Page]:
        """Begin a walk of what is exported and give its first page.

        Args:
            store_id: as for `read_store`.
            pattern: as for `read_store`; None for everything.
            seconds: as for `read_store`.
        """
        deadline = budget(seconds)
        resolved = (
            None if pattern is None else pattern_from_plain(list(cast("Iterable[Any]", pattern)))
        )

        def begin() -> Page:
            self._drop_late()
            view = Store(str(store_id), self._node).view(timeout=deadline.remaining()).held
            page = self._begun(_Walk(nodes_of(view.root, resolved), _exported_row), deadline)
            time_milliseconds = log_time_milliseconds(self._node, str(store_id))
            return [*page, view.index, view.term, time_milliseconds]

        return self._threads.run(begin)

    def show_store(  # noqa: PLR0917 - as it is called from afar
        self,
        store_id: object,
        limit: object,
        for_all: object,
        has_unicode: object,
        colours: object,
        width: object,
        seconds: object,
    ) -> KhepriFuture[Page]:
        """Begin to show a store to a person and give the first page of lines.

        Args:
            store_id: of a store that runs here.
            limit: as for `khepri.info`.
            for_all: see `Style`.
            has_unicode: whether the terminal has all signs.
            colours: whether it has colours.
            width: its width in characters.
            seconds: as for `read_store`.
        """
        deadline = budget(seconds)
        paint = Paint(colours=bool(colours), width=as_natural(width, "width"))
        branches = UNICODE if has_unicode else ASCII
        style = Style(paint, branches, checked_limit(limit), one_line(str(for_all)))

        def begin() -> Page:
            self._drop_late()
            store = Store(str(store_id), self._node)
            return self._begun(_Walk(store_lines(store, style), _line_row), deadline)

        return self._threads.run(begin)

    def read_on(self, walk_id: object, number: object) -> KhepriFuture[Page]:
        """Give the next page of a walk.

        Args:
            walk_id: which walk.
            number: of the page: 1 for the second.
        """

        def go_on() -> Page:
            self._drop_late()
            walk = self._walks.get(cast("int", walk_id))
            if walk is None:
                raise NotDoneError(
                    f"{self._node.name} does not keep this walk any more", reason="walk_is_over"
                )
            page = walk.page(number)
            if walk.is_over:
                self._walks.pop(cast("int", walk_id), None)
            return [walk_id, *page[1:]]

        return self._threads.run(go_on)

    def _begun(self, walk: _Walk, deadline: Deadline) -> Page:
        page = walk.page(0)
        return page if walk.is_over else [self._keep(walk, deadline), *page[1:]]

    def _keep(self, walk: _Walk, deadline: Deadline) -> int:
        with self._lock:
            if len(self._walks) >= WALKS_MAX:
                raise busy(self._node.name, WALKS_MAX)
            walk_id = next(self._walk_ids)
            self._walks[walk_id] = walk
            walk.deadline = deadline
        return walk_id

    def _drop_late(self) -> None:
        """Let go of the trees whose readers have no time left; some may be gone for good."""
        with self._lock:
            for walk_id, walk in tuple(self._walks.items()):
                if walk.deadline is not None and walk.deadline.is_over():
                    del self._walks[walk_id]


class _Walk:
    """A walk that rests between two pages."""

    def __init__(
        self, matches: Iterable[Any], row_of: Callable[[Any], tuple[list[Any], int]]
    ) -> None:
        """Begin; given is what a match is sent as, and how many bytes that has beside its path."""
        self._matches = map(row_of, matches)
        self._next = next(self._matches, None)
        self._number = 0
        self._lock = threading.Lock()
        self.deadline: Deadline | None = None

    @property
    def is_over(self) -> bool:
        """Whether the last page was given."""
        return self._next is None

    def page(self, number: object) -> Page:
        """Give the page of that number, which must be the next one."""
        with self._lock:
            if number != self._number:
                raise NotDoneError(f"page {self._number} is next, not {number}", reason="no_page")
            self._number += 1
            rows: list[Any] = []
            size = 0
            while self._next is not None and size < PAGE_BYTES:
                row, row_bytes = self._next
                if rows and size + row_bytes > PAGE_BYTES:
                    break
                rows.append(row)
                size += TREE_NODE_BYTES + sum(map(len, row[0])) + row_bytes
                self._next = next(self._matches, None)
            return [None, rows, not self.is_over]


def _row(match: tuple[Names, TreeNode]) -> tuple[list[Any], int]:
    names, node = match
    payload = node.payload if node.has_data else None
    return [list(names), payload], len(payload or b"")


def _line_row(line: str) -> tuple[list[Any], int]:
    return [[line]], 0


def _exported_row(node: ExportedNode) -> tuple[list[Any], int]:
    return node.to_plain(), node.about_bytes()
