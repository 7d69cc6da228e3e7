"""What dpkg knows: the metadata of all installed packages, and which package owns which file.

``/var/lib/dpkg/status`` has a paragraph per package, and ``/var/lib/dpkg/info/*.list`` the files
of each. The tree made of them looks like::

    /packages/bash/Version              "5.2.15-2+b2"
    /packages/bash/Installed-Size       7164
    /packages/bash/Pre-Depends/libc6    "libc6 (>= 2.36)"
    /files/usr/bin/bash                 "bash"
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .document import TREE_NODES_MAX, Document, Question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.cli.json_document import Json

DPKG = Path("/var/lib/dpkg")

_NUMBERS = {"Installed-Size"}
_RELATIONS = {"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances"} | {
    "Breaks",
    "Conflicts",
    "Replaces",
    "Provides",
}
_FIELD = re.compile(r"^(\S+):[ \t]*((?:.*)(?:\n[ \t].*)*)", re.MULTILINE)
_QUESTIONS = (
    Question("Which packages depend directly on libc6?", "/packages/*/Depends/libc6"),
    Question("Which versions of Python's packages are there?", "/packages/python3*/Version"),
    Question("Who wants a library with ssl in its name, and how?", "/packages/*/*/lib*ssl*"),
    Question("Which packages own programs in /usr/bin?", "/files/usr/bin/*"),
    Question("Where are copyright notices, anywhere below /files?", "/files/**/copyright"),
)


def read_packages(dpkg: Path = DPKG) -> Document:
    """Read dpkg's files; on a machine without any the document is empty."""
    status_file = dpkg / "status"
    status = status_file.read_text("utf-8", "replace") if status_file.exists() else ""
    packages = dict(_paragraphs(status))
    content: dict[str, Json] = {"packages": packages}
    owners = _owners(dpkg / "info")
    if owners:
        content["files"] = owners
    return Document(
        title=f"the {len(packages):,} packages that dpkg knows here, and which has which file",
        content=content,
        questions=_QUESTIONS,
    )


def _paragraphs(status: str) -> Iterator[tuple[str, Json]]:
    """Give name and fields of each package; a second architecture of one gets a longer name."""
    seen: set[str] = set()
    for paragraph in status.split("\n\n"):
        fields: dict[str, str] = dict(_FIELD.findall(paragraph))
        name = fields.pop("Package", None)
        if name is None:
            continue
        if name in seen:
            name = f"{name}:{fields.get('Architecture', 'other')}"
        seen.add(name)
        yield name, {field: _field_value(field, text) for field, text in fields.items()}


def _field_value(field: str, text: str) -> Json:
    if field in _NUMBERS and text.isdecimal():
        return int(text)
    if field in _RELATIONS:
        return dict(_relations(text))
    return text


def _relations(text: str) -> Iterator[tuple[str, Json]]:
    """Give each package named in ``a (>= 1), b | c`` with the clause that names it."""
    for clause in text.split(","):
        for alternative in clause.split("|"):
            words = alternative.split()
            if words:
                yield words[0], " ".join(clause.split())


def _owners(info: Path) -> dict[str, Json]:
    """Give the tree of all packaged files, each with the package it belongs to."""
    owner_of: dict[str, str] = {}
    for listing in sorted(info.glob("*.list")):
        lines = listing.read_text("utf-8", errors="replace").splitlines()
        owner_of.update(dict.fromkeys(lines, listing.stem))
        if len(owner_of) > TREE_NODES_MAX:
            break
    tree: dict[str, Json] = {}
    # Backwards, what is below a directory comes before the directory itself.
    for path in sorted(owner_of, reverse=True):
        _insert(tree, [name for name in path.split("/") if name], owner_of[path])
    return tree


def _insert(tree: dict[str, Json], names: list[str], owner: str) -> None:
    """Put one file where it belongs; a directory that something is in is no file."""
    if not names or names == ["."]:
        return
    for name in names[:-1]:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree.setdefault(names[-1], owner)
