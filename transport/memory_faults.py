"""What goes wrong on a `MemoryNetwork`: chances, drawn from one seed, and cuts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

from khepri.errors import InvalidOptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """What happens to batches on a link. Chances are between 0 and 1."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """The chance that a batch is held back, while later ones pass it."""
    hold_back_seconds: float = 0.05
    """How long at most a batch is held back, or its duplicate."""
    delay_seconds: tuple[float, float] = (0.0, 0.0)
    """The shortest and the longest way; without reordering, batches still arrive in order."""

    def __post_init__(self) -> None:
        """Refuse what is no chance."""
        for option in ("loss", "duplication", "reordering"):
            chance = getattr(self, option)
            if not 0.0 <= chance <= 1.0:
                raise InvalidOptionError(
                    f"{option} must be from 0 to 1, not {chance}", option=option, value=chance
                )


class Arrival(NamedTuple):
    """When a batch arrives, and whether others may pass it on the way."""

    due: float
    is_held_back: bool


class Faults:
    """The faults of all links. Not thread-safe: the network guards it."""

    def __init__(self, seed: int) -> None:
        """Begin without any."""
        self.cuts: set[tuple[str, str]] = set()
        """Pairs of sender and receiver between which everything is lost."""
        self._random = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._settings: dict[tuple[str | None, str | None], LinkFaults] = {}

    def set(self, faults: LinkFaults, sender: str | None, receiver: str | None) -> None:
        """Let faults happen on some links; None stands for every node."""
        self._settings[sender, receiver] = faults

    def arrivals(self, way: tuple[str, str], now: float, latest_due: float) -> list[Arrival]:
        """Draw what happens to one batch.

        Args:
            way: sender and receiver.
            now: when it is sent.
            latest_due: when the batch before it arrives; it must not come earlier, unless it is
                held back.

        Returns:
            When it arrives: never, if the list is empty, or twice.
        """
        faults = self._of(*way)
        if way in self.cuts or self._happens(faults.loss):
            return []
        due = now + self._random.uniform(*faults.delay_seconds)
        arrivals = [
            Arrival(due + self._hold_back(faults), is_held_back=True)
            if self._happens(faults.reordering)
            else Arrival(max(due, latest_due), is_held_back=False)
        ]
        if self._happens(faults.duplication):
            arrivals.append(Arrival(arrivals[0].due + self._hold_back(faults), is_held_back=True))
        return arrivals

    def _of(self, sender: str, receiver: str) -> LinkFaults:
        """Give the most specific setting."""
        for key in ((sender, receiver), (sender, None), (None, receiver), (None, None)):
            if key in self._settings:
                return self._settings[key]
        return LinkFaults()

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _hold_back(self, faults: LinkFaults) -> float:
        return self._random.uniform(0.0, faults.hold_back_seconds)
