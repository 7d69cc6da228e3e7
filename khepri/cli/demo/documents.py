"""The documents that the demonstration can read on this machine, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .characters import read_characters
from .packages import read_packages

if TYPE_CHECKING:
    from collections.abc import Callable

    from .document import Document

DOCUMENTS: Final[dict[str, Callable[[], Document]]] = {
    "packages": read_packages,
    "characters": read_characters,
}
