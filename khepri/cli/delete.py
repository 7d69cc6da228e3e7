"""``khepri delete PATH``: remove a tree node and what is below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .outcomes import ExitCode
from .reading import add_source_arguments
from .writing import open_for_writing

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("path", metavar="PATH", help="such as /services/database")
    parser.add_argument(
        "--many", action="store_true", help="PATH is a pattern; remove all that it matches"
    )
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Remove it; nothing there is no error, as for a program."""
    with open_for_writing(arguments) as store:
        (store.delete_many if arguments.many else store.delete)(arguments.path)
    return ExitCode.DONE
