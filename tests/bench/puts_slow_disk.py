"""Durable puts of khepri as in `puts`, as if the disk were slower.

What is asked of the puts, as multiples of R, was set on a disk with 4,600 to 6,000 syncs a second.
A faster one leaves less time for everything else; here each sync is made longer, in the loop that
gives R as in the store, until there are about as many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import puts

if TYPE_CHECKING:
    from .harness import Plan
    from .tables import Table

SYNC_DELAY_SECONDS: Final = 0.00005
"""It becomes about twice as much: the kernel wakes nobody on time to the microsecond."""


def measure(plan: Plan) -> Table:
    """Measure all workloads."""
    return puts.measure(
        plan,
        sync_delay_seconds=SYNC_DELAY_SECONDS,
        title="The same, with syncs that take about 0.1 milliseconds longer",
        notes=("The delay is added to every `fdatasync`, in the loop and in the store.",),
    )
