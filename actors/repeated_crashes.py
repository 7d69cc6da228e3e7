"""Errors of user functions that come again and again: told once, then counted for a while."""

from __future__ import annotations

import logging
from typing import Final

MUTED_SECONDS: Final = 10.0
"""How long an error that was just told is only counted."""

_KEPT: Final = 1_000
"""So many different errors are remembered at most; beyond, each is told."""

_logger = logging.getLogger("khepri.actors")


class RepeatedCrashes:
    """Tells of errors, in one actor's thread."""

    def __init__(self) -> None:
        """Begin without any."""
        self._muted: dict[tuple[str, str], tuple[float, int]] = {}  # until when; how often since

    def tell(self, what: str, error: BaseException, now: float) -> None:
        """Log that something raised, or count it if the same was told just now.

        Args:
            what: names what has raised, for people.
            error: what it raised.
            now: monotonic seconds.
        """
        key = (what, repr(error))
        muted = self._muted.get(key)
        if muted is not None and now < muted[0]:
            self._muted[key] = (muted[0], muted[1] + 1)
            return
        if len(self._muted) < _KEPT:
            self._muted[key] = (now + MUTED_SECONDS, 0)
        _logger.error("%s raised", what, exc_info=error)

    def next_deadline(self) -> float | None:
        """Give when `pass_time` has something to do, None if nothing is muted."""
        return min((until for until, _ in self._muted.values()), default=None)

    def pass_time(self, now: float) -> None:
        """Say how often what is not muted any more has come meanwhile."""
        for key, (until, count) in tuple(self._muted.items()):
            if until <= now:
                del self._muted[key]
                if count:
                    _logger.error("%s raised %s %d times more", key[0], key[1], count)
