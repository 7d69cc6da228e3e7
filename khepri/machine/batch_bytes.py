"""The operations of a batch as bytes, added one by one.

Many batches are puts to one family in a row: a program loads a file, or writes all it knows of one
thing. From the second on these puts go as one operation, `PUT_FAMILY`, that has their path once:
less is encoded, less is written, and the machine looks the family up once.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from khepri.encoding import pack

from .command_bytes import encode, encode_batch, encode_put, encode_put_at
from .command_codes import PUT_FAMILY
from .paths import PLAIN_PATH_LENGTH, Path, is_plain_name, resolve_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command_codes import Operation
    from .paths import PathLike
    from .tree import Names


_DEEPEST_FAMILY: Final = 16
"""Puts to deeper ones go one by one. Each costs the machine by its depth if it is watched, so the
size of a command has to bound how many there are."""


class BatchBytes:
    """Operations, encoded as they come. One thread, whose signal handlers may add as well."""

    __slots__ = ("_family", "_parts")

    def __init__(self) -> None:
        """Begin with none."""
        # The family of a put, its name and its payload; or None, nothing, and the bytes of another
        # operation. One addition for each, so that nothing comes between what belongs together.
        self._parts: list[tuple[str | Names | None, str, bytes]] = []
        # Whose puts need no look at their path: what stands before the last slash of a text, or
        # a parent. Of the last put, unless something else came since.
        self._family: str | Names | None = None

    @property
    def count(self) -> int:
        """How many there are, each put of a family counted."""
        return len(self._parts)

    def add(self, operation: Operation) -> None:
        """Add any operation."""
        self._parts.append((None, "", encode(operation)))
        self._family = None

    def put(self, path: PathLike, payload: bytes) -> bool:
        """Add a put without options.

        Returns:
            whether it was added; not if a plain put cannot say all of it: the path is a pattern,
            or has conditions.

        Raises:
            InvalidPathError: see `khepri.machine.paths.parse_path`.
        """
        family: str | Names | None = None
        command: bytes | None
        if type(path) is str and len(path) <= PLAIN_PATH_LENGTH:
            before, _, name = path.rpartition("/")
            if is_plain_name(name):
                if before == self._family:
                    self._parts.append((before, name, payload))
                    return True
                if before.count("/") < _DEEPEST_FAMILY:
                    family = before
            command = encode_put_at(path, payload)
        else:
            where = resolve_path(path)
            if type(where) is not Path:
                return False
            if 0 < len(where) <= _DEEPEST_FAMILY:
                family = where[:-1]
                if family == self._family:
                    self._parts.append((family, where[-1], payload))
                    return True
            command = encode_put(where, payload)
        if command is None:
            return False
        self._parts.append((None, "", command))
        self._family = family
        return True

    def encode(self) -> bytes:
        """Give the command bytes of a batch of all of them."""
        operations: list[bytes] = []
        for family, its in groupby(self._parts, itemgetter(0)):
            if family is None:
                operations += [operation for _, _, operation in its]
            else:
                names, payloads = zip(*[(name, payload) for _, name, payload in its], strict=True)
                operations.append(_family_bytes(family, names, payloads))
        return encode_batch(operations)


def _family_bytes(family: str | Names, names: Sequence[str], payloads: Sequence[bytes]) -> bytes:
    parent: Sequence[object] = family if isinstance(family, tuple) else ()
    if isinstance(family, str):
        # The first put of the family has shown that this is no pattern.
        parent = resolve_path(f"{family}/{names[0]}")[:-1]
    return pack((PUT_FAMILY, parent, names, payloads))
