"""A document for the demonstration: real data that nobody made for khepri."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from khepri.cli.json_document import flatten

if TYPE_CHECKING:
    from khepri.cli.json_document import Json

TREE_NODES_MIN = 10_000
TREE_NODES_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Question:
    """Something a person would ask of the document, and the pattern that answers it."""

    text: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Document:
    """A title, a tree of plain values, and questions it can answer."""

    title: str
    content: dict[str, Json]
    questions: tuple[Question, ...]

    @property
    def payload_count(self) -> int:
        """How many payloads the content has when it is made a tree."""
        return sum(1 for _ in flatten(self.content))
