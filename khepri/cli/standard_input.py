"""Standard input, where a command line says ``-``."""

from __future__ import annotations

import sys

from .outcomes import CommandError


def read_standard_input(*, is_json: bool) -> str:
    """Give all of it.

    Args:
        is_json: whether it is JSON, which is UTF-8 wherever it lies, in a file or in a pipe;
            other text is in the encoding of the terminal.

    Raises:
        CommandError: the shell has closed it, or it is not UTF-8.
    """
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CommandError("standard input is closed")
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if is_json and reconfigure is not None:
        reconfigure(encoding="utf-8", errors="strict")
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input is not UTF-8 text: {error}") from error
