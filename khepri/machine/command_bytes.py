"""Commands as bytes: what goes to the log, the wire and every member.

Plain puts are most of what programs write, and they write many to each family. So the part of
such a command that stands before the last name is kept for the families that were written last:
half a microsecond for a put in place of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.encoding import pack, pack_array

from .command_codes import BATCH, PUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command_codes import Operation
    from .paths import Path

_KEPT_BEGINNINGS: Final = 4_096
_KEPT_BYTES: Final = 300  # of one beginning, so that all take two megabytes at most

_LAST: Final = ("", b"")  # of a put: a name and a payload
_LAST_BYTES: Final = len(pack(_LAST)) - 1

_beginnings: dict[tuple[str, ...], bytes] = {}


def encode(operation: Operation) -> bytes:
    """Give the command bytes of an operation."""
    return pack(operation)


def encode_put(path: Path, payload: bytes) -> bytes:
    """Give the same as `encode` of the most frequent operation, a put without options.

    Any thread may call this.
    """
    if not path:
        return pack((PUT, path, payload))
    family = path[:-1]
    beginning = _beginnings.get(family) or _beginning_of_puts(family)
    return beginning + pack((path[-1], payload))[1:]  # without the mark of a list


def encode_batch(operations: Sequence[bytes]) -> bytes:
    """Give the command bytes of a batch of operations that are encoded already."""
    return pack_array((pack(BATCH), pack_array(operations)))


def _beginning_of_puts(family: tuple[str, ...]) -> bytes:
    name, payload = _LAST
    beginning = pack((PUT, (*family, name), payload))[:-_LAST_BYTES]
    if len(beginning) <= _KEPT_BYTES:
        if len(_beginnings) >= _KEPT_BEGINNINGS:
            _beginnings.clear()  # who writes to so many families gains nothing, and pays little
        _beginnings[family] = beginning
    return beginning
