"""Durable puts of khepri as in `puts`, by a process that is kept on one CPU.

One thread of a Python process runs at a time. On several CPUs each hand-over from one thread to
the next wakes another CPU and moves what both work on into its caches; on one it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import puts

if TYPE_CHECKING:
    from .harness import Plan
    from .tables import Table


def measure(plan: Plan) -> Table:
    """Measure all workloads."""
    return puts.measure(
        plan,
        on_one_cpu=True,
        title="The same, with the process kept on one CPU",
        notes=("Kept there as by `taskset`; the loop that gives R is, too.",),
    )
