"""Writes the tables into ``docs/explanation/performance.md``, between markers.

What stands outside the markers is written by people and left alone::

    <!-- bench:puts begin -->
    ... replaced ...
    <!-- bench:puts end -->
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "explanation" / "performance.md"


class MarkerMissingError(Exception):
    """The page has no place for a section."""


def replace_section(page: str, name: str, text: str) -> str:
    """Give the page with a new text between the markers of a section.

    Raises:
        MarkerMissingError: the page does not have both markers once, in order.
    """
    begin, end = f"<!-- bench:{name} begin -->", f"<!-- bench:{name} end -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise MarkerMissingError(f"the page needs '{begin}' and '{end}' once each, in this order")
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    return f"{head}{begin}\n{text}\n{end}{tail}"


def write_sections(sections: dict[str, str], page: Path = PAGE) -> None:
    """Replace sections of the page by name.

    Raises:
        MarkerMissingError: a section has no place; nothing was written.
    """
    text = page.read_text("utf-8")
    for name, section in sections.items():
        text = replace_section(text, name, section)
    page.write_text(text, "utf-8")


def measured_line(runs: int, directory: Path) -> str:
    """Say when and where a table was measured, in one line."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"Measured on {today}, medians of {runs} runs: {machine_facts(directory)}."


def machine_facts(directory: Path) -> str:
    """Describe the machine as far as it matters for the figures."""
    model = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return ", ".join(
        (
            f"{os.cpu_count()} cores ({model[1].strip() if model else platform.machine()})",
            f"{int(memory[1]) / 2**20:.0f} GiB of memory" if memory else "memory unknown",
            f"{_file_system(directory)} on this disk",
            f"Linux {platform.release()}",
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in ("pykka", "msgpack", "immutables")),
        )
    )


def _file_system(directory: Path) -> str:
    """Find the file system that a directory is on: the longest mount point above it."""
    mounted = [line.split()[1:3] for line in _read("/proc/self/mounts").splitlines()]
    above = [
        (len(point), kind) for point, kind in mounted if directory.resolve().is_relative_to(point)
    ]
    return max(above)[1] if above else "unknown file system"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError:
        return ""
