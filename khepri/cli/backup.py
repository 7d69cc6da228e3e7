"""What ``export`` and ``import`` share: how they speak of the file, and of what was done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from khepri.errors import StorageError

from .outcomes import CommandError
from .rendering import as_json

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from .progress import Progress


@contextmanager
def file_refuses(file: str) -> Generator[None]:
    """Tell what is wrong with the file from what is wrong with a data directory.

    Raises:
        CommandError: it is the file.
    """
    try:
        yield
    except StorageError as error:
        if error.facts.get("path") != file:
            raise
        raise CommandError(error.message) from error


def report(done: str, figures: Mapping[str, int], progress: Progress, output: str) -> None:
    """Say how much was done and how long it took.

    Args:
        done: what was done, in one word.
        figures: counts by name; ``nodes`` comes first for people, and ``left_out`` if there are.
        progress: knows the time.
        output: ``plain`` or ``json``.
    """
    seconds = progress.elapsed_seconds
    if output == "json":
        print(as_json({**figures, "seconds": seconds}))
        return
    left_out = figures.get("left_out", 0)
    more = f", left out {left_out:,} that have expired" if left_out else ""
    print(f"{done} {figures['nodes']:,} tree nodes in {seconds:.1f} s{more}")
