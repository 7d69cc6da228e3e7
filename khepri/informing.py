"""`Store.info`: a store shown to a person, at a Python prompt or in a terminal (Khepri's info)."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final, TextIO

from .describing import store_lines
from .options import checked_limit
from .painting import Paint, branches_for, wants_colours
from .reading import Reader
from .tree_text import Style

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN: Final = 100
"""So much of a store is shown if nothing is said: it is read in a moment, and printed in one."""


class Informer(Reader):
    """The part of a `Store` that shows it to a person."""

    __slots__ = ()

    def info(self, *, limit: int | None = SHOWN, file: TextIO | None = None) -> None:
        """Print what a store is and has, for a person (Khepri's info/1,2).

        Shown are the members and who leads, what is kept while what else is there, the
        projections of this node, the triggers with the calls that are owed, and the tree with
        what it holds, and until when where that is known. A part that is empty is left out. The
        form may change; a program asks `khepri.cluster.status`, `triggers` and the reading
        functions.

        All of it is as this node knows it now: no majority is asked and no writer waits. A server
        that does not answer within a second is said to be so, and what is known is shown.

        Names and payloads are shown on one line each, without control characters. A payload is
        written as in Python, shortened to the width of the terminal, and only its size if it has
        more than 64 KiB. There are colours on a terminal, unless ``NO_COLOR`` is set.

        Args:
            limit: so many tree nodes at most, and as many projections and so on, 1 or more; what
                is left out is counted. None for all: a million tree nodes take a minute.
            file: where to; ``sys.stdout`` as it is at the call, if left out.

        Raises:
            InvalidOptionError, WrongTypeError: bad arguments.
            NoSuchServerError: the store does not run here.
            OSError: it cannot be written there; or whatever `file` raises.
        """
        checked = checked_limit(limit)
        out = sys.stdout if file is None else file
        print_lines(store_lines(self, style_for(out, checked)), out)


def style_for(out: TextIO | None, limit: int | None) -> Style:
    """Choose how a store is shown on an output."""
    is_terminal = bool(getattr(out, "isatty", bool)())
    colours = wants_colours(os.environ, is_terminal=is_terminal)
    paint = Paint(colours=colours, width=shutil.get_terminal_size().columns)
    return Style(paint, branches_for(getattr(out, "encoding", None)), limit)


def print_lines(lines: Iterable[str], out: TextIO | None) -> None:
    """Print lines; what the output has no sign for is escaped. None: there is no output."""
    encoding = getattr(out, "encoding", None)
    for line in lines if out is not None else ():
        text = line.encode(encoding, "backslashreplace").decode(encoding) if encoding else line
        print(text, file=out)
