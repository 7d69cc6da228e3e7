"""Majorities: what enough voters have reached, and who won.

Here: arithmetic over voters, nothing else. Not here: who the voters are (`membership.py`), what
a leader does with the result (`leader.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .types import ServerId

_Number = TypeVar("_Number", int, float)


def quorum_size(voter_count: int) -> int:
    """Give how many of so many voters are a majority."""
    return voter_count // 2 + 1


def quorum_value(values: Iterable[_Number]) -> _Number | int:
    """Give the highest value that a majority has reached; 0 if there is no voter at all.

    Args:
        values: one per voter: its match index, the newest read round it has confirmed, or until
            when its promise can be trusted.
    """
    ascending = sorted(values)
    return ascending[(len(ascending) - 1) // 2] if ascending else 0


class VoteTally:
    """Who answered what in one round of one election (Raft §5.2).

    Votes are *sets of voters*, never counts: a message delivered twice is one vote, and one from
    somebody without a vote is none. A new round makes a new tally, so that late answers to an
    older one have nowhere to go.

    Attributes:
        voters: whose answer counts.
        granted: the voters that said yes. Invariant: a subset of `voters`.
    """

    def __init__(self, voters: frozenset[ServerId]) -> None:
        """Start with no answer."""
        self.voters = voters
        self.granted: set[ServerId] = set()

    def grant(self, voter: ServerId) -> None:
        """Note a yes; no effect if it has said so before or has no vote."""
        if voter in self.voters:
            self.granted.add(voter)

    @property
    def won(self) -> bool:
        """Whether a majority said yes."""
        return len(self.granted) >= quorum_size(len(self.voters))
