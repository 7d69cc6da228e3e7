"""What a checker raises."""

from __future__ import annotations


class ViolationError(AssertionError):
    """An invariant does not hold. The text begins with its number."""


def check(condition: object, invariant: str, what: str) -> None:
    """Demand a condition; for checks that are not made at every step."""
    if not condition:
        raise ViolationError(f"{invariant}: {what}")
