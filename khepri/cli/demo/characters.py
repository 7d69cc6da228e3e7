"""The Unicode character database that every Python carries: for machines without dpkg.

The tree looks like::

    /characters/GREEK/03B1/name        "GREEK SMALL LETTER ALPHA"
    /characters/GREEK/03B1/category    "Ll"
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from .document import Document, Question

if TYPE_CHECKING:
    from khepri.cli.json_document import Json

_LAST_CODE_POINT = 0x2FFF  # beyond it come the ideographs, whose names only repeat their numbers
_QUESTIONS = (
    Question("What is the Greek letter alpha called?", "/characters/GREEK/03B1/name"),
    Question("What is there in the Cherokee script?", "/characters/CHEROKEE/*/name"),
    Question("Which characters have a numeric value?", "/characters/*/*/numeric"),
    Question("Which characters are made of others?", "/characters/**/decomposition"),
)


def read_characters() -> Document:
    """Read the characters up to the ideographs, grouped by the first word of their names."""
    groups: dict[str, Json] = {}
    count = 0
    for code_point in range(_LAST_CODE_POINT + 1):
        name = unicodedata.name(chr(code_point), "")
        if name:
            group = groups.setdefault(name.split()[0], {})
            assert isinstance(group, dict)
            group[f"{code_point:04X}"] = _character(chr(code_point), name)
            count += 1
    return Document(
        title=f"{count:,} characters of Unicode {unicodedata.unidata_version}",
        content={"characters": groups},
        questions=_QUESTIONS,
    )


def _character(character: str, name: str) -> Json:
    """Give what is known about one character; what says nothing is left out."""
    facts: dict[str, Json] = {
        "name": name,
        "category": unicodedata.category(character),
        "bidirectional": unicodedata.bidirectional(character),
        "decomposition": unicodedata.decomposition(character),
        "numeric": unicodedata.numeric(character, None),
    }
    return {fact: value for fact, value in facts.items() if value not in ("", None)}
