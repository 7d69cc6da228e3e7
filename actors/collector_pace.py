"""Keeps Python's garbage collector from looking over every few puts that are under way.

The collector looks at what is new whenever 700 more objects were made than freed. With a thousand
puts in flight that is four times per group, and it finds nothing: their objects form no cycles and
wait for replies. While a server runs it waits for 3,000 objects, more than a thousand puts have
between them, and hardly ever looks: a tenth of the time of such puts. What grows with the tree is
looked at as often as before, in larger pieces (docs/explanation/actors.md has the figures).

The host's cycles are found a little later for it, by some hundred kilobytes. A host that has set
thresholds of its own keeps them, whether before or after the server was started.
"""

from __future__ import annotations

import gc
import os
import threading
from typing import Final

NEW_OBJECTS: Final = 3_000
"""After so many more objects made than freed the collector looks at the new ones."""

LOOKS_AT_NEW_OBJECTS: Final = 4
"""After so many looks at the new ones it looks again at those it left; ten would be 30 ms long."""

_AS_PYTHON_STARTS: Final = {(700, 10, 10), (2_000, 10, 10), (2_000, 10, 0)}
"""What the releases of Python begin with; with others the host has chosen."""


class CollectorPace:
    """Knows how many servers run in this process. Any thread."""

    def __init__(self) -> None:
        """Begin with none; the thresholds stay as they are."""
        self._lock = threading.Lock()
        self._servers = 0
        self._found: tuple[int, int, int] | None = None

    def server_started(self) -> None:
        """Let the collector wait longer, if this is the first server."""
        with self._lock:
            self._servers += 1
            found = gc.get_threshold()
            if self._servers == 1 and found in _AS_PYTHON_STARTS:
                self._found = found
                gc.set_threshold(NEW_OBJECTS, LOOKS_AT_NEW_OBJECTS, found[2])

    def server_ended(self) -> None:
        """Put back what was found, if this was the last server and nobody else changed it."""
        with self._lock:
            self._servers -= 1
            if self._servers == 0 and self._found is not None:
                if gc.get_threshold()[:2] == (NEW_OBJECTS, LOOKS_AT_NEW_OBJECTS):
                    gc.set_threshold(*self._found)
                self._found = None

    def forget_parent_process(self) -> None:
        """Begin anew in a forked child, where no server runs and the lock may be held for ever."""
        self._lock = threading.Lock()
        if self._servers:
            self._servers = 1
            self.server_ended()


PACE: Final = CollectorPace()
"""That of this process."""

os.register_at_fork(after_in_child=PACE.forget_parent_process)
