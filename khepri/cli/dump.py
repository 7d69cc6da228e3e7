"""``khepri dump [PATTERN]``: print tree nodes, one line each, as the tree is walked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .outcomes import ExitCode
from .reading import add_reading_arguments, open_for_reading
from .rendering import as_json

if TYPE_CHECKING:
    import argparse

    from khepri.machine.paths import Path
    from khepri.machine.properties import NodeProperties


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "pattern", nargs="?", default="/**", metavar="PATTERN", help="which (default: /**, all)"
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--output",
        choices=("json", "plain"),
        default="json",
        help='json (default): {"path": ..., "data": ...}; plain: path, tabulator, JSON payload',
    )


def run(arguments: argparse.Namespace) -> int:
    """Print each tree node as it is found, so that a dump of any size needs no memory."""
    line = _json_line if arguments.output == "json" else _plain_line

    def show(path: Path, properties: NodeProperties, count: int) -> int:
        print(line(str(path), properties))
        return count + 1

    with open_for_reading(arguments) as store:
        store.fold(arguments.pattern, show, 0)
    return ExitCode.DONE


def _json_line(path: str, properties: NodeProperties) -> str:
    """Leave "data" out where there is no payload: a payload may be null."""
    start = f'{{"path": {json.dumps(path)}'
    return (
        f'{start}, "data": {as_json(properties["data"])}}}'
        if "data" in properties
        else start + "}"
    )


def _plain_line(path: str, properties: NodeProperties) -> str:
    return f"{path}\t{as_json(properties['data'])}" if "data" in properties else path
