"""``khepri info``: what a store is and has, for a person; see `khepri.info`."""

from __future__ import annotations

import argparse
import sys

from khepri.describing import store_lines
from khepri.informing import SHOWN, style_for
from khepri.store import Store

from .outcomes import ExitCode
from .reading import add_reading_arguments, open_for_reading
from .remote_store import RemoteStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "--limit",
        type=_limit,
        default=SHOWN,
        metavar="N",
        help=f"so many tree nodes, projections and so on, or 'all' (default: {SHOWN})",
    )
    add_reading_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    style = style_for(sys.stdout, arguments.limit)._replace(for_all="--limit all")
    with open_for_reading(arguments) as store:
        if isinstance(store, RemoteStore):
            lines = store.lines(style)
        else:
            assert isinstance(store, Store)
            lines = store_lines(store, style)
        for line in lines:
            print(line)
    return ExitCode.DONE


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, or 'all', not {text!r}")
    return int(text)
