"""Regular expressions whose matching time is bounded.

One client's pattern is run by every member of a store, while it applies commands. Python's `re`
needs exponential time for some patterns (measured: ``^(a+)+$`` on 26 letters takes 1.8 seconds,
every further letter doubles it), which would stop the store for everybody. RE2 is linear in the
length of the text whatever the pattern is, and gives the same answer on every member.
``docs/explanation/tree-conditions.md`` tells what was measured and why RE2.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import re2  # type: ignore[import-untyped]  # it has no stubs; `compile_regex` is the typed door

from khepri.errors import InvalidConditionError

from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_re2: Any = re2

MAX_REGEX_BYTES: Final = 1024
"""The longest source of a regular expression, in bytes of UTF-8."""

MAX_REGEX_INSTRUCTIONS: Final = 4000
"""The largest compiled program. A text of n bytes costs at most n times this many steps."""

_MEMORY_BYTES: Final = 1 << 20  # the program and RE2's caches; above it matching gets slower
_CACHED_EXPRESSIONS: Final = 512


@functools.lru_cache(maxsize=_CACHED_EXPRESSIONS)
def compile_regex(source: str) -> Callable[[str], bool]:
    """Compile a regular expression in RE2 syntax into a test on names.

    The test searches anywhere in the name: anchor with ``^`` and ``$`` where that is meant.
    ``.`` matches every character but a newline. Compiled expressions are shared and may be used
    from any thread.

    Args:
        source: the expression; back-references and look-around do not exist in RE2.

    Returns:
        A function that tells whether a name matches.

    Raises:
        InvalidConditionError: it is not a regular expression, or it is too large.
    """
    options = _re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY_BYTES
    try:
        if len(source.encode()) > MAX_REGEX_BYTES:
            raise _invalid(source, f"it is longer than {MAX_REGEX_BYTES} bytes")
        compiled = _re2.compile(source, options)
    except UnicodeEncodeError as error:
        raise _invalid(source, "it has a lone surrogate") from error
    except _re2.error as error:
        raise _invalid(source, _explanation(error)) from error
    if compiled.programsize > MAX_REGEX_INSTRUCTIONS:
        raise _invalid(source, f"it compiles to more than {MAX_REGEX_INSTRUCTIONS} instructions")
    search = compiled.search

    def matches(name: str) -> bool:
        # Bytes, because with text the binding translates offsets nobody asked for (three times
        # slower).
        return search(name.encode()) is not None

    return matches


def _invalid(source: str, reason: str) -> InvalidConditionError:
    return InvalidConditionError(
        f"the regular expression {shown(source)} cannot be used: {reason}",
        condition=source,
        reason=reason,
    )


def _explanation(error: Exception) -> str:
    """Give RE2's own words, which it hands over as bytes."""
    words = error.args[0] if error.args else ""
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)
