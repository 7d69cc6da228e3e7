"""What of one member's log must be on its disk, by what its log writer has confirmed.

A plain model of a log under a snapshot: terms by index. Not here: who compares it with what
(`raft_checker.py`, `durability_checker.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.log.interface import Append


class DurableLog:
    """One incarnation of one member.

    Attributes:
        base: the index its durable snapshot covers.
        terms: of the durable entries behind it.
        hard_term: the durable term.
        hard_vote: the durable vote.
    """

    def __init__(self) -> None:
        self.base = 0
        self.base_term = 0
        self.terms: list[int] = []
        self.hard_term = 0
        self.hard_vote: object = None

    @property
    def last_index(self) -> int:
        return self.base + len(self.terms)

    def append(self, appends: Iterable[Append]) -> None:
        for _, first_index, entries in appends:
            position = first_index - self.base - 1
            terms = [entry.term for entry in entries]
            if position < 0:
                terms = terms[-position:]
                position = 0
            if position > len(self.terms):
                if not terms:
                    continue  # nothing there to be made void
                raise ViolationError(
                    f"I9: the log ends at {self.last_index} and {first_index} is written"
                )
            self.terms[position:] = terms

    def snapshot(self, index: int, term: int) -> None:
        if index > self.base:
            del self.terms[: index - self.base]
            self.base, self.base_term = index, term

    def holds(self, index: int, term: int | None) -> bool:
        """Tell whether the entry is durable; what a snapshot covers is."""
        if index <= self.base:
            return True
        position = index - self.base - 1
        return position < len(self.terms) and (term is None or self.terms[position] == term)
