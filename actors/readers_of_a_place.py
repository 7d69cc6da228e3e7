"""Reads that wait until a place in the log is applied here: Khepri's `applied` condition."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

from .actor_errors import ReplyTimeoutError

if TYPE_CHECKING:
    from khepri.machine.machine import View

    from .future import KhepriFuture
    from .server_messages import WaitUntilApplied


_NOWHERE: Final[tuple[float, float]] = (inf, inf)


class ReadersOfAPlace:
    """Who waits for which place. One thread, the server's."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: list[tuple[WaitUntilApplied, KhepriFuture[Any]]] = []
        self._earliest: tuple[float, float] = _NOWHERE
        """No place that is waited for, by term and index, is before this one."""

    def __len__(self) -> int:
        """Count those who wait."""
        return len(self._waiting)

    def add(self, place: WaitUntilApplied, future: KhepriFuture[Any]) -> None:
        """Let one more wait."""
        self._waiting.append((place, future))
        self._earliest = min(self._earliest, (place.term, place.index))

    def futures(self) -> list[KhepriFuture[Any]]:
        """Give the futures of all, for when there will be no answer."""
        return [future for _place, future in self._waiting]

    def take_answerable(self, view: View) -> list[tuple[KhepriFuture[Any], object]]:
        """Give replies for those whose place the published tree covers; they wait no more."""
        if (view.term, view.index) < self._earliest:
            return []  # asked in each turn: many who wait for long must not make each of them long
        covered = [it for it in self._waiting if view.covers(it[0].index, it[0].term)]
        if covered:
            self._waiting = [
                it for it in self._waiting if not view.covers(it[0].index, it[0].term)
            ]
        self._earliest = min(
            ((place.term, place.index) for place, _future in self._waiting), default=_NOWHERE
        )
        return [(future, None) for _place, future in covered]

    def drop_late(self, now: float) -> None:
        """Tell those whose time is up, and forget them; most callers have given up by themselves.

        A future that nobody waits for yet would otherwise never have an outcome.
        """
        self._waiting = [it for it in self._waiting if not it[1].done()]
        late = [it for it in self._waiting if _is_late(it[0], now)]
        if late:
            self._waiting = [it for it in self._waiting if not _is_late(it[0], now)]
        for place, future in late:
            future.resolve(
                ReplyTimeoutError(
                    f"entry {place.index} of term {place.term} was not applied here in time",
                    operation="waiting for a place in the log",
                    timeout_seconds=None,
                    outcome="not_applied",
                )
            )


def _is_late(place: WaitUntilApplied, now: float) -> bool:
    return place.give_up_at is not None and place.give_up_at <= now
