"""How a bug is planted: one attribute of the product replaced for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Planted(NamedTuple):
    """A bug that can be switched on.

    Attributes:
        name: what is wrong, as a sentence.
        owner: the class or module that has the attribute.
        attribute: its name.
        replacement: what is put in its place.
    """

    name: str
    owner: Any
    attribute: str
    replacement: Any

    def planted(self) -> AbstractContextManager[object]:
        """Have the bug in the product as long as the context lasts."""
        if isinstance(self.owner, dict):
            return patch.dict(self.owner, self.replacement())  # pyright: ignore[reportUnknownMemberType]
        return patch.object(self.owner, self.attribute, self.replacement)


def planted(
    bugs: list[Planted],
) -> Callable[[str, Any, str], Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Give a decorator that adds a replacement to a list of bugs."""

    def plant(
        name: str, owner: Any, attribute: str
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def add(replacement: Callable[..., Any]) -> Callable[..., Any]:
            bugs.append(Planted(name, owner, attribute, replacement))
            return replacement

        return add

    return plant
