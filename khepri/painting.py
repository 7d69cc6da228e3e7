"""The text of one tree node in a drawing: its name and the beginning of its payload, on one line.

For ``khepri tree`` and `khepri.info`. How lines become a tree is in ``drawing.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.machine.paths import Path

from .drawing import ASCII, UNICODE, Branches

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAYLOAD_WIDTH_MIN: Final = 20
_SYNTAX: Final = frozenset("/*%")


class Paint:
    """Writes texts, coloured if wanted.

    Attributes:
        colours: whether.
        width: of the terminal, in characters.
    """

    def __init__(self, *, colours: bool, width: int) -> None:
        """Choose colours and a width."""
        self.colours = colours
        self.width = width
        self._bold = "\x1b[1m{}\x1b[0m" if colours else "{}"
        self._dim = "\x1b[2m{}\x1b[0m" if colours else "{}"

    def tree_node(self, name: str, payload: str | None, depth: int = 0) -> str:
        """Write a name and, if there is one, the beginning of a payload.

        Args:
            name: as it is to be shown.
            payload: as text; None for none.
            depth: how many branches stand in front of it.
        """
        shown = self.bold(one_line(name))
        if payload is None:
            return shown
        rest = self.width - len(UNICODE.last) * depth - len(name) - len(": ")
        width = max(_PAYLOAD_WIDTH_MIN, min(self.width // 2, rest))
        return f"{shown}: {self.dim(one_line(shortened(payload, width)))}"

    def bold(self, text: str) -> str:
        """Write something that is looked for."""
        return self._bold.format(text)

    def dim(self, text: str) -> str:
        """Write something that is beside the matter."""
        return self._dim.format(text) if text else ""


def one_line(text: str) -> str:
    """Keep control characters from moving the drawing about."""
    return "".join(c if c.isprintable() else " " for c in text)


def shortened(text: str, width: int) -> str:
    """Cut a text to a width, with a mark where something is missing."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def many(number: int, what: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def name_text(name: str) -> str:
    """Write a name so that it can be seen, and put into a path: most are just themselves."""
    if not name:
        return '""'
    plain = name.isprintable() and name.strip() == name and name[0] != "."
    return name if plain and _SYNTAX.isdisjoint(name) else str(Path.of_valid((name,)))[1:]


def path_text(path: tuple[str, ...]) -> str:
    """Write a path with its names as `name_text` does."""
    return "/" + "/".join(map(name_text, path)) if all(path) else str(Path.of_valid(path))


def natural_order(path: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Give a sort key that puts 2 before 10: list indexes are names too."""
    return [natural_key(name) for name in path]


def natural_key(name: str) -> tuple[int, int, str]:
    """Give the sort key of one name among its siblings; see `natural_order`."""
    return (0, int(name), name) if name.isascii() and name.isdecimal() else (1, 0, name)


def wants_colours(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Colour a terminal unless NO_COLOR is set (https://no-color.org) or it is a dumb one."""
    dumb = environment.get("TERM") == "dumb"
    return is_terminal and not environment.get("NO_COLOR") and not dumb


def branches_for(encoding: str | None) -> Branches:
    """Use the signs that an output of an encoding can carry; None for one that carries any."""
    try:
        UNICODE.last.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return ASCII
    return UNICODE
