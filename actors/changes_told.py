"""One telling: everything that is different is sorted out to those who want it."""

from __future__ import annotations

import logging
from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING

from khepri.machine.diff import diff, differs
from khepri.machine.state import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from khepri.machine.machine import View

    from .change_listener import ChangeListener
    from .change_outlet import Changed, ChangeOutlet
    from .listener_table import ListenerTable

_logger = logging.getLogger("khepri.actors.change_feed")

_Place = tuple[int, int]


class ChangesTold:
    """What leads from the views that listeners have to the newest one."""

    def __init__(
        self,
        outlet: ChangeOutlet,
        newest: View,
        known: tuple[View | None, Changed | None] | None,
    ) -> None:
        """Begin a telling.

        Args:
            outlet: whose changes.
            newest: the newest tree.
            known: an earlier tree, and all changes since, if they are known.
        """
        self._outlet = outlet
        self._newest = newest
        self._known = known

    def tell(self, table: ListenerTable) -> Iterator[ChangeListener]:
        """Tell all listeners; give those that are over, as they are met."""
        newest = self._newest
        groups: dict[_Place, tuple[View, list[int]]] = {}
        for number, listener in table.by_number.items():
            view = listener.view
            if view is None:
                if self._outlet.has_tree:
                    self._tell_one(listener, None, ())
            elif not view.covers(newest.index, newest.term):
                groups.setdefault((view.index, view.term), (view, []))[1].append(number)
        for place, (before, numbers) in groups.items():
            wanted = self._sorted_out(table, set(numbers), self._changes(place, before))
            for number in numbers:
                self._tell_one(table.by_number[number], before, wanted.get(number, ()))
        yield from (each for each in table.by_number.values() if each.is_over)

    def _changes(self, place: _Place, before: View) -> Iterable[Change]:
        """Give what is different since a place, in path order."""
        if self._known is not None:
            since, changed = self._known
            if changed is not None and since is not None and (since.index, since.term) == place:
                ordered = sorted(changed.items(), key=itemgetter(0))
                return (
                    Change(path, old, new) for path, (old, new) in ordered if differs(old, new)
                )
        return diff(before.root, self._newest.root)

    @staticmethod
    def _sorted_out(
        table: ListenerTable, numbers: set[int], changes: Iterable[Change]
    ) -> dict[int, list[Change]]:
        wanted: defaultdict[int, list[Change]] = defaultdict(list)
        at, above = table.at, table.above
        for change in changes:
            for number in at.matching(change.path):
                wanted[number].append(change)
            if above:
                for number in above.matching_at_or_below(change.path):
                    wanted[number].append(change)
        return {number: wanted[number] for number in numbers if number in wanted}

    def _tell_one(
        self, listener: ChangeListener, before: View | None, changes: Sequence[Change]
    ) -> None:
        """Tell one listener; a bug in one must not keep the others from being told."""
        try:
            if before is None:
                listener.begin(self._outlet, self._newest)
            else:
                listener.take(self._outlet, before, self._newest, changes)
        except Exception:
            _logger.exception("%r was not told what has changed", listener)
            if listener.outlet is self._outlet:
                listener.view = self._newest
