"""What the holders of one lock have seen, and whether it was one at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class Held(NamedTuple):
    """One acquisition, as its holder saw it. All times are of one clock.

    Attributes:
        token: its number.
        began: when the lock was known to be acquired.
        ended: until when it was held: it was about to be given back, or lost.
    """

    token: int
    began: float
    ended: float


def check_held(history: list[Held]) -> None:
    """Tell whether there was one holder at a time, each with a higher token than those before.

    Raises:
        AssertionError: there was not.
    """
    in_order = sorted(history, key=lambda held: held.began)
    for former, later in pairwise(in_order):
        assert former.ended <= later.began, f"{later} began while it was held: {former}"
        assert former.token < later.token, f"{later} has no higher token than {former}"


def check_written(tokens: list[int]) -> None:
    """Tell whether guarded writes are in the order of the acquisitions that guarded them.

    Raises:
        AssertionError: they are not.
    """
    for former, later in pairwise(tokens):
        assert former <= later, f"{later} has written after {former}"
