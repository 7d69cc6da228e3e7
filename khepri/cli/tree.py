"""``khepri tree [PATH]``: draw a store, or what is below one tree node."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING

from khepri.drawing import Line, draw
from khepri.machine.names import MAX_PATH_COMPONENTS
from khepri.machine.paths import Path
from khepri.machine.unix_paths import STAR, STAR_STAR
from khepri.painting import Paint, branches_for, name_text, natural_order, wants_colours

from .outcomes import CommandError, ExitCode
from .reading import add_reading_arguments, open_for_reading
from .rendering import as_plain

if TYPE_CHECKING:
    from khepri.machine.paths import PathPattern
    from khepri.machine.properties import NodeProperties

    from .reading import Readable

Found = dict[Path, "NodeProperties"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("path", nargs="?", default="/", metavar="PATH", help="where (default: /)")
    add_reading_arguments(parser)
    parser.add_argument("--depth", type=_depth, metavar="N", help="how many levels (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Draw it."""
    top = Path(arguments.path)
    with open_for_reading(arguments) as store:
        found = _find(store, top, arguments.depth)
    if top not in found:
        raise CommandError(f"there is no tree node {top}", ExitCode.NOT_FOUND)
    colours = wants_colours(os.environ, is_terminal=sys.stdout.isatty())
    paint = Paint(colours=colours, width=shutil.get_terminal_size().columns)
    below = sorted((path for path in found if path != top), key=natural_order)
    lines: list[Line] = []
    for path in below:
        depth = len(path) - len(top)
        lines.append(Line(depth, _line(paint, name_text(path.name), found[path], depth)))
    print(_line(paint, str(top), found[top]))
    for line in draw(lines, branches_for(sys.stdout.encoding)):
        print(line)
    return ExitCode.DONE


def _find(store: Readable, top: Path, depth: int | None) -> Found:
    """Collect a tree node and what is below it, down to a depth."""

    def collect(path: Path, properties: NodeProperties, found: Found) -> Found:
        found[path] = properties
        return found

    found: Found = store.fold(top, collect, {})
    if depth is None:
        return store.fold(top / STAR_STAR, collect, found)
    pattern: Path | PathPattern = top
    for _ in range(min(depth, MAX_PATH_COMPONENTS - len(top))):
        pattern /= STAR
        found = store.fold(pattern, collect, found)
    return found


def _line(paint: Paint, name: str, properties: NodeProperties, depth: int = 0) -> str:
    """Write a tree node; payloads as JSON has them."""
    payload = as_plain(properties["data"]) if "data" in properties else None
    return paint.tree_node(name, payload, depth)


def _depth(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"a whole number from 0 up, not {text!r}")
    return int(text)
