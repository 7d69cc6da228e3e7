"""Values in error messages: short, whatever the value is."""

from __future__ import annotations

import reprlib
from typing import Final

_LONGEST: Final = 200

_shortener: Final = reprlib.Repr()
_shortener.maxstring = _LONGEST
_shortener.maxother = _LONGEST


def shown(value: object) -> str:
    """Give a short representation of anything.

    Plain `repr` of a value somebody sent can be megabytes long, and fails for lists nested deeper
    than Python's stack.
    """
    return _shortener.repr(value)
