"""``khepri get PATH``: print the payload of one tree node."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .outcomes import ExitCode
from .reading import add_reading_arguments, open_for_reading
from .rendering import as_json, as_plain

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("path", metavar="PATH", help="such as /packages/bash/Version")
    add_reading_arguments(parser)
    parser.add_argument(
        "--output",
        choices=("plain", "json"),
        default="plain",
        help="plain (default) prints text and bytes as they are and all else as JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it; a tree node without payload prints nothing in plain and null in JSON."""
    with open_for_reading(arguments) as store:
        value: object = store.get(arguments.path)
        is_empty = value is None and not store.has_data(arguments.path)
    if arguments.output == "json":
        print(as_json(value))
    elif isinstance(value, bytes):
        sys.stdout.buffer.write(value)
    elif not is_empty:
        print(as_plain(value))
    return ExitCode.DONE
