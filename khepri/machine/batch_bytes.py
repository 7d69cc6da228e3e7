"""The operations of a batch as bytes, added one by one.

Many batches are puts to one family in a row: a program loads a file, or writes all it knows of one
thing. From the second on these puts go as one operation, `PUT_FAMILY`, that has their path once:
less is encoded, less is written, and the machine looks the family up once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.encoding import pack

from .command_bytes import encode, encode_batch, encode_put, encode_put_at
from .command_codes import PUT_FAMILY
from .paths import PLAIN_PATH_LENGTH, Path, is_plain_name, resolve_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command_codes import Operation
    from .paths import PathLike
    from .tree import Names


class BatchBytes:
    """Operations, encoded as they come. One thread.

    Attributes:
        count: how many there are, each put of a family counted.
    """

    __slots__ = ("_family", "_names", "_operations", "_payloads", "count")

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self._operations: list[bytes] = []
        # The parent of the put before, or what stands before the last slash of its text; and what
        # came to that family since.
        self._family: str | Names | None = None
        self._names: list[str] = []
        self._payloads: list[bytes] = []

    def add(self, operation: Operation) -> None:
        """Add any operation."""
        self._end_family()
        self._operations.append(encode(operation))
        self.count += 1

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
                family = before
                if before == self._family:
                    return self._go_on(name, payload)
            command = encode_put_at(path, payload)
        else:
            where = resolve_path(path)
            if type(where) is not Path:
                return False
            if where:
                family = where[:-1]
                if family == self._family:
                    return self._go_on(where[-1], payload)
            command = encode_put(where, payload)
        if command is None:
            return False
        self._end_family()
        self._operations.append(command)
        self._family = family
        self.count += 1
        return True

    def encode(self) -> bytes:
        """Give the command bytes of a batch of all of them."""
        self._end_family()
        return encode_batch(self._operations)

    def _go_on(self, name: str, payload: bytes) -> bool:
        self._names.append(name)
        self._payloads.append(payload)
        self.count += 1
        return True

    def _end_family(self) -> None:
        if self._names:
            family: Sequence[object] | None = self._family
            if isinstance(family, str):
                # The first put of the family has shown that this is no pattern.
                family = resolve_path(f"{family}/{self._names[0]}")[:-1]
            self._operations.append(pack((PUT_FAMILY, family, self._names, self._payloads)))
            self._names, self._payloads = [], []
        self._family = None
