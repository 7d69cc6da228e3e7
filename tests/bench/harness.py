"""How everything is measured: side by side, in rounds, as medians of ratios.

The speed of a disk and of a shared machine wanders by 30 % and more within minutes. So nothing is
measured in one long go and compared with something measured later: a round measures each subject
once with its yardstick right beside it, the rounds are repeated, and the median is taken over the
ratios of each round, not over figures of different rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Sample = dict[str, float]
"""Named figures of one measurement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, and where.

    Attributes:
        directory: where files may be made; the disk under it is the one that is measured.
        runs: how many rounds.
        quick: shorter loops and smaller trees, to see that a benchmark works.
        say: is told what is being done.
    """

    directory: Path
    runs: int
    quick: bool
    say: Callable[[str], None]

    @property
    def cluster_seconds(self) -> float:
        """How long one loop against three members runs; there are many of them."""
        return 0.7 * self.seconds

    @property
    def seconds(self) -> float:
        """How long one loop runs."""
        return 0.2 if self.quick else 1.0


@dataclass(slots=True)
class Samples:
    """What the rounds gave for one subject."""

    rounds: list[Sample] = field(default_factory=list[Sample])

    def has(self, name: str) -> bool:
        """Tell whether this figure was taken."""
        return all(name in sample for sample in self.rounds)

    def median(self, name: str) -> float:
        """Give the median of one figure."""
        return statistics.median(sample[name] for sample in self.rounds)

    def median_ratio(self, name: str, yardstick: str) -> float:
        """Give the median of what each round gave as ratio of two of its own figures."""
        return statistics.median(self._ratios(name, yardstick))

    def spread(self, name: str, yardstick: str) -> str:
        """Give the lowest and the highest ratio of all rounds."""
        ratios = self._ratios(name, yardstick)
        return f"{min(ratios):.2f} to {max(ratios):.2f}"

    def worst(self, name: str) -> float:
        """Give the highest figure of all rounds."""
        return max(sample[name] for sample in self.rounds)

    def _ratios(self, name: str, yardstick: str) -> list[float]:
        return [sample[name] / sample[yardstick] for sample in self.rounds]


def in_rounds(
    plan: Plan, subjects: Iterable[str], measure: Callable[[str], Sample]
) -> dict[str, Samples]:
    """Measure every subject once per round; give all samples by subject.

    Args:
        plan: how many rounds.
        subjects: names; each is given to `measure`.
        measure: measures one subject together with its yardstick.
    """
    collected = {subject: Samples() for subject in subjects}
    for number in range(1, plan.runs + 1):
        for subject, samples in collected.items():
            plan.say(f"round {number} of {plan.runs}: {subject}")
            samples.rounds.append(measure(subject))
    return collected


class ProgressLine:
    """Tells on standard error what is going on: one line that is overwritten on a terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()

    def say(self, what: str) -> None:
        elapsed_seconds = time.monotonic() - self._started
        line = f"{self._name} [{elapsed_seconds:4.0f} s] {what}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line[:110]}")
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
