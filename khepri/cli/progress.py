"""Tells how far a long piece of work is, on standard error, once it takes over two seconds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .outcomes import abandon

if TYPE_CHECKING:
    from typing import TextIO

_QUIET_SECONDS = 2.0
_REDRAW_SECONDS = 0.2
_NEW_LINE_SECONDS = 2.0


class Progress:
    """Counts finished pieces and shows count, total and rate.

    The work matters and not the telling of it: a stream that is closed or takes no more is left.
    On a terminal one line is drawn over and over; elsewhere a new line comes every two seconds.
    For one thread.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        quiet_seconds: float = _QUIET_SECONDS,
    ) -> None:
        """Start the clock.

        Args:
            what: what is counted, such as "tree nodes".
            total: how many there will be, if that is known.
            stream: where to write; left out, standard error.
            quiet_seconds: how long nothing is shown; short work needs no progress.
        """
        self._what = what
        self._total = total
        # The shell may have closed standard error; then there is none.
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        self._redraws = self._stream is not None and self._stream.isatty()
        self._started = time.monotonic()
        self._next_show = self._started + quiet_seconds
        self._shown = False
        self.done = 0

    @property
    def elapsed_seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """How many pieces were finished per second."""
        return self.done / max(self.elapsed_seconds, 1e-9)

    def advance(self, count: int = 1) -> None:
        """Count finished pieces, and show the line if it is time to."""
        self.done += count
        now = time.monotonic()
        if now >= self._next_show:
            self._next_show = now + (_REDRAW_SECONDS if self._redraws else _NEW_LINE_SECONDS)
            self._shown = True
            self._tell(f"\r\x1b[K{self}" if self._redraws else f"{self}\n")

    def end(self) -> None:
        """Take the line away again."""
        if self._shown and self._redraws:
            self._tell("\r\x1b[K")

    def _tell(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            abandon(self._stream)
            self._stream = None

    def __str__(self) -> str:
        """Say how far it is."""
        share = f" of {self._total:,} ({self.done / self._total:.0%})" if self._total else ""
        return f"{self.done:,}{share} {self._what}, {self.rate:,.0f}/s"
