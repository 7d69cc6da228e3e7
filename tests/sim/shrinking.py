"""Cutting a failing schedule down to the faults that matter.

Delta debugging: leave out ever smaller pieces of the schedule, keep what still fails in the same
way. Leaving out a fault changes the luck of all that follows, so this finds *a* short schedule,
not the shortest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.checkers import run_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.testing.simulation_fault import Fault
    from khepri.testing.simulation_settings import SimulationSettings


def failure_of(
    seed: int, settings: SimulationSettings, faults: Sequence[Fault]
) -> tuple[str, str] | None:
    """Give kind and text of what a run fails with, None if it holds."""
    try:
        run_checked(seed, settings, faults)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return _kind_of(error), f"{type(error).__name__}: {error}"
    return None


def _kind_of(error: Exception) -> str:
    return f"{type(error).__name__} {str(error)[:3]}"


def shrink(
    faults: Sequence[Fault], still_fails: Callable[[Sequence[Fault]], bool], *, most_runs: int = 60
) -> list[Fault]:
    """Give a part of a schedule that fails, too.

    Args:
        faults: the schedule that fails.
        still_fails: tells whether a schedule does.
        most_runs: how often it is asked.
    """
    kept = list(faults)
    size = max(1, len(kept) // 2)
    runs = 0
    while kept:
        position = 0
        while position < len(kept) and runs < most_runs:
            shorter = kept[:position] + kept[position + size :]
            runs += 1
            if still_fails(shorter):
                kept = shorter
            else:
                position += size
        if size == 1 or runs >= most_runs:
            return kept
        size = max(1, size // 2)
    return kept


def shrink_failure(
    seed: int, settings: SimulationSettings, faults: Sequence[Fault], kind: str
) -> list[Fault]:
    """Give a shorter schedule with which the seed fails in the same way."""

    def still_fails(shorter: Sequence[Fault]) -> bool:
        failure = failure_of(seed, settings, shorter)
        return failure is not None and failure[0] == kind

    return shrink(faults, still_fails)
