"""A JSON document as a tree: object keys and list indexes are tree nodes, scalars payloads.

``{"a": {"b": 1}, "c": [true, "x"]}`` becomes::

    /a/b    1
    /c/0    true
    /c/1    "x"

An empty object or list has no children, so it is a payload itself; nothing is lost.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from .outcomes import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Names: TypeAlias = tuple[str, ...]


def parse(text: str, origin: str) -> Json:
    """Read a document.

    Args:
        text: the document.
        origin: what an error message calls it.

    Raises:
        CommandError: the text is not JSON, is nested too deeply to be read, or would lose
            something: an object has a key twice, or a number is beyond what a float can be.
    """

    def without_repetition(pairs: list[tuple[str, Json]]) -> Json:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise CommandError(f"{origin} has an object with the key {twice!a:.100} twice")
        return members

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise CommandError(f"{origin} has the number {number:.100}, which no float can be")
        return value

    try:
        document: Json = json.loads(text, object_pairs_hook=without_repetition, parse_float=finite)
    except json.JSONDecodeError as error:
        raise CommandError(
            f"{origin} is not JSON: {error.msg} in line {error.lineno} column {error.colno}"
        ) from error
    except ValueError as error:  # an integer of thousands of digits
        raise CommandError(f"{origin} cannot be read: {error}") from error
    except RecursionError as error:
        raise CommandError(f"{origin} is nested too deeply") from error
    return document


def flatten(document: Json, under: Names = ()) -> Iterator[tuple[Names, Json]]:
    """Give the names on the way to each payload, and the payload, in the document's order.

    Args:
        document: what `parse` gave.
        under: names to put in front.
    """
    # A stack instead of recursion: documents may be deep.
    waiting = [(under, document)]
    while waiting:
        names, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [((*names, key), child) for key, child in reversed(value.items())]
        elif isinstance(value, list) and value:
            indexed = reversed(list(enumerate(value)))
            waiting += [((*names, str(index)), child) for index, child in indexed]
        else:
            yield names, value
