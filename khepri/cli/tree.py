"""``khepri tree [PATH]``: draw a store, or what is below one tree node."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING

from khepri.machine.names import MAX_PATH_COMPONENTS
from khepri.machine.paths import Path
from khepri.machine.unix_paths import STAR, STAR_STAR

from .drawing import ASCII, UNICODE, Branches, Line, draw
from .outcomes import CommandError, ExitCode
from .reading import add_reading_arguments, open_for_reading
from .rendering import as_plain, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from khepri.machine.paths import PathPattern
    from khepri.machine.properties import NodeProperties

    from .reading import Readable

_PAYLOAD_WIDTH_MIN = 20
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
    lines = [Line(len(path) - len(top), paint.text(path.name, found[path])) for path in below]
    print(paint.text(str(top), found[top]))
    for line in draw(lines, _branches()):
        print(line)
    return ExitCode.DONE


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Give a sort key that puts 2 before 10: list indexes are names too."""
    return [
        (0, int(name), name) if name.isascii() and name.isdecimal() else (1, 0, name)
        for name in path
    ]


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


class Paint:
    """Writes the text of a tree node, coloured if wanted."""

    def __init__(self, *, colours: bool, width: int) -> None:
        """Choose colours, and the width of the terminal in characters."""
        self._name = "\x1b[1m{}\x1b[0m" if colours else "{}"
        self._payload = "\x1b[2m{}\x1b[0m" if colours else "{}"
        self._payload_width = max(_PAYLOAD_WIDTH_MIN, width // 2)

    def text(self, name: str, properties: NodeProperties) -> str:
        """Write a name and, if there is one, the beginning of the payload."""
        shown = self._name.format(_one_line(name))
        if "data" not in properties:
            return shown
        payload = shortened(_one_line(as_plain(properties["data"])), self._payload_width)
        return f"{shown}: {self._payload.format(payload)}"


def _one_line(text: str) -> str:
    """Keep control characters from moving the drawing about."""
    return "".join(c if c.isprintable() else " " for c in text)


def wants_colours(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Colour a terminal unless NO_COLOR is set (https://no-color.org) or it is a dumb one."""
    dumb = environment.get("TERM") == "dumb"
    return is_terminal and not environment.get("NO_COLOR") and not dumb


def _branches() -> Branches:
    """Use the signs that the output can carry."""
    try:
        UNICODE.last.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return ASCII
    return UNICODE


def _depth(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"a whole number from 0 up, not {text!r}")
    return int(text)
