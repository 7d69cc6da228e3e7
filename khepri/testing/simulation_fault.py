"""One thing that goes wrong in a simulated run, as plain data."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        at: when, in virtual seconds.
        kind: what; a key of `WEIGHTS`, or one of `CALL_FAULTS`.
        who: chooses the victim.
        measure: chooses how bad.
        seconds: for how long.
    """

    at: float
    kind: str
    who: float
    measure: float
    seconds: float
