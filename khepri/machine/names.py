"""Names of tree nodes, and the three path components that are not names.

Here is what a name may be and how much of it. What else may stand in a path is in
``conditions.py``, paths are in ``paths.py``.
"""

from __future__ import annotations

import enum
from typing import Final

MAX_NAME_BYTES: Final = 4096
"""The longest name of a tree node, in bytes of UTF-8. A file name has 255, an HTTP line 8192."""

MAX_PATH_COMPONENTS: Final = 1024
"""The most components of a path or pattern, and so the depth of a tree."""


class Special(enum.Enum):
    """The path components that are neither a name nor a condition.

    They exist so that the names ``.`` and ``..`` stay usable: in a sequence of components every
    `str` is a name, and only these members are special. The values are their unix form.
    """

    ROOT = "/"
    THIS = "."
    PARENT = ".."

    def __repr__(self) -> str:
        """Show the constant as it is written in a program."""
        return self.name


ROOT: Final = Special.ROOT
"""Back to the root: whatever stands before it is discarded."""

THIS: Final = Special.THIS
"""The tree node where the walk is; in a keep-while path the node being written."""

PARENT: Final = Special.PARENT
"""One level up; at the root, the root."""


def problem_with_name(name: str) -> str | None:
    """Say what is wrong with a name, None if nothing is.

    Any text is a name: empty, ``.``, ``*`` and ``/`` included. It must have a UTF-8 form, which
    lone surrogates have not, and be at most `MAX_NAME_BYTES` long. Names are compared code point
    by code point; no Unicode normalisation is done.
    """
    if len(name) <= MAX_NAME_BYTES and name.isascii():
        return None
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "it has a lone surrogate, which UTF-8 cannot carry"
    if size_bytes > MAX_NAME_BYTES:
        return f"it is {size_bytes} bytes long, at most {MAX_NAME_BYTES} are allowed"
    return None
