"""The clock of a store's server, and of those who read by its lease.

Leases (`khepri/raft/lease.py`) need a clock that goes on while the machine is suspended: the
others elect a successor meanwhile, and a clock that had stood still would show the lease of before
as valid. `time.monotonic` stands still, so it is used only where there is no better one, and there
are no leases then. A virtual machine that its host stops and continues may be told nothing; no
clock inside shows that.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def choose_clock(platform: str) -> tuple[Callable[[], float], bool]:
    """Give the best monotonic clock there is, in seconds, and whether it counts suspension.

    Args:
        platform: as `sys.platform` names it.
    """
    # On Linux CLOCK_MONOTONIC stands still; on macOS it goes on, unlike the one behind
    # `time.monotonic`.
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(platform)
    clock_id: int | None = None if name is None else getattr(time, name, None)
    if clock_id is None:
        return time.monotonic, False
    return partial(time.clock_gettime, clock_id), True


_chosen = choose_clock(sys.platform)

server_clock: Final[Callable[[], float]] = _chosen[0]
"""Gives monotonic seconds. Not to be compared with `time.monotonic`."""

COUNTS_SUSPENSION: Final = _chosen[1]
"""Whether it goes on while the machine is suspended."""
