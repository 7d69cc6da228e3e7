"""``khepri put PATH VALUE``: create a tree node or replace its payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .json_document import parse
from .outcomes import CommandError, ExitCode
from .reading import add_source_arguments
from .standard_input import read_standard_input
from .writing import open_for_writing

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("path", metavar="PATH", help="such as /services/database/port")
    parser.add_argument(
        "value", metavar="VALUE", help="the payload as JSON, such as 5432; - is standard input"
    )
    parser.add_argument("--text", action="store_true", help="the payload is VALUE itself, a text")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Put it; when it returns, it is on disk."""
    text: str = arguments.value
    if text == "-":
        text = read_standard_input(is_json=not arguments.text)
    value: object = text if arguments.text else _value(text)
    with open_for_writing(arguments) as store:
        store.put(arguments.path, value)
    return ExitCode.DONE


def _value(text: str) -> object:
    try:
        return parse(text, "the value")
    except CommandError as error:
        raise CommandError(f"{error} (with --text it is a text)", ExitCode.MISUSE) from error
