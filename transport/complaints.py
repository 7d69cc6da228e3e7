"""Warnings about peers, one a minute about the same thing: counters count, logs explain."""

from __future__ import annotations

import logging
import time
from typing import Final

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 60.0


class Complaints:
    """The warnings of one node. I/O thread only."""

    def __init__(self, node: str) -> None:
        """Begin with a clean slate.

        Args:
            node: who complains, for the log.
        """
        self._node = node
        self._made: dict[str, float] = {}

    def about(self, subject: str, text: str) -> None:
        """Log `text`, unless there was a complaint about the subject within the last minute."""
        now = time.monotonic()
        recent = {who: when for who, when in self._made.items() if now - when < _INTERVAL_SECONDS}
        if subject not in recent:
            recent[subject] = now
            _log.warning("%s: %s", self._node, text)
        self._made = recent
