"""Reads that wait until a place in the log is applied here: Khepri's `applied` condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from khepri.machine.machine import View

    from .future import KhepriFuture
    from .server_messages import WaitUntilApplied


class ReadersOfAPlace:
    """Who waits for which place. One thread, the server's."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: list[tuple[WaitUntilApplied, KhepriFuture[Any]]] = []

    def __len__(self) -> int:
        """Count those who wait."""
        return len(self._waiting)

    def add(self, place: WaitUntilApplied, future: KhepriFuture[Any]) -> None:
        """Let one more wait."""
        self._waiting.append((place, future))

    def futures(self) -> list[KhepriFuture[Any]]:
        """Give the futures of all, for when there will be no answer."""
        return [future for _place, future in self._waiting]

    def take_answerable(self, view: View) -> list[tuple[KhepriFuture[Any], object]]:
        """Give replies for those whose place the published tree covers; they wait no more."""
        covered = [it for it in self._waiting if view.covers(it[0].index, it[0].term)]
        if covered:
            self._waiting = [
                it for it in self._waiting if not view.covers(it[0].index, it[0].term)
            ]
        return [(future, None) for _place, future in covered]

    def drop_late(self, now: float) -> None:
        """Forget those whose callers have given up."""
        self._waiting = [
            it for it in self._waiting if it[0].give_up_at is None or it[0].give_up_at > now
        ]
