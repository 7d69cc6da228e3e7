"""Linearizability of the history of one key, by search: no log index is believed here.

The search of Wing and Gong with Lowe's memory of what was tried: take any operation that no
other one precedes in real time, see whether the register allows it, go on with the rest. An
operation of unknown outcome may take effect at any time after it began, or never.

The search may take very long on long or broken histories; it is bounded, and "undecided" is no
verdict. The primary checker is the witness order in `client_checker.py`.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(Enum):
    """What the search has found."""

    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNDECIDED = "undecided"


class Event(NamedTuple):
    """One operation on a register.

    Attributes:
        began: when.
        ended: when; infinity if its outcome is unknown.
        kind: put, create, update, cas, delete or read; or swap, which as cas looks what is there,
            but may find nothing.
        value: what it writes, or what a read has seen; None means nothing is there.
        expected: what a cas or swap wants to find.
        succeeded: whether it did; None if unknown.
    """

    began: float
    ended: float
    kind: str
    value: object
    expected: object
    succeeded: bool | None


def apply(state: object, one: Event) -> tuple[bool, object]:
    """Tell whether an operation may happen in a state, and what comes of it."""
    match one.kind:
        case "read":
            return one.value == state, state
        case "create":
            works = state is None
        case "update":
            works = state is not None
        case "cas":
            works = state is not None and state == one.expected
        case "swap":
            works = state == one.expected
        case _:
            works = True
    if one.succeeded is not None and one.succeeded != works:
        return False, state
    return True, one.value if works else state


def search(events: Sequence[Event], *, most_states: int = 20_000) -> Verdict:  # noqa: C901, PLR0912 - one loop, kept in one place for its speed
    """Look for an order that real time and the register allow."""
    history = sorted(events)
    if any(one.ended < one.began for one in history):
        return Verdict.VIOLATION
    must = 0
    for position, one in enumerate(history):
        if one.ended < math.inf:
            must |= 1 << position
    tried: set[tuple[int, object]] = set()
    waiting: list[tuple[int, object]] = [(0, None)]
    while waiting:
        done, state = waiting.pop()
        if done & must == must:
            return Verdict.LINEARIZABLE
        if (done, state) in tried:
            continue
        if len(tried) >= most_states:
            return Verdict.UNDECIDED
        tried.add((done, state))
        first_end = math.inf
        for position, one in enumerate(history):
            if done >> position & 1:
                continue
            if one.began > first_end:
                break
            first_end = min(first_end, one.ended)
        for position, one in enumerate(history):
            if one.began > first_end:
                break
            if not done >> position & 1:
                allowed, after = apply(state, one)
                if allowed:
                    waiting.append((done | 1 << position, after))
    return Verdict.VIOLATION
