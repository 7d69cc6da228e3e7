"""Commands as bytes: what goes to the log, the wire and every member.

Plain puts are most of what programs write: to the same places again and again, or to new ones in
the same families. So what such a command begins with is kept, for places and for families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.encoding import pack, pack_array

from .command_codes import BATCH, PUT
from .known_texts import KnownTexts
from .paths import PLAIN_PATH_LENGTH, Path, is_plain_name, resolve_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command_codes import Operation
    from .paths import PathLike

_KEPT_PLACES: Final = 8_192
_KEPT_FAMILIES: Final = 4_096

_LAST: Final = ("", b"")  # of a put: a name and a payload
_LAST_BYTES: Final = len(pack(_LAST)) - 1

_SHORT_BYTES: Final = 0xFF
_SHORT_HEADERS: Final = [pack(bytes(length))[:2] for length in range(_SHORT_BYTES + 1)]

# By the unix form of a path, all of a put's command but the payload.
_places: Final[KnownTexts[bytes]] = KnownTexts(_KEPT_PLACES)
_find_place: Final = _places.values.get
# By what stands before the last slash there, all but the last name and the payload.
_families: Final[dict[str, bytes]] = {}


def encode(operation: Operation) -> bytes:
    """Give the command bytes of an operation."""
    return pack(operation)


def encode_put(path: Path, payload: bytes) -> bytes:
    """Give the same as `encode` of the most frequent operation, a put without options."""
    return pack((PUT, path, payload))


def encode_put_at(path: PathLike, payload: bytes) -> bytes | None:
    """Give the command bytes of a put without options, for a path as a program writes it.

    Any thread may call this.

    Returns:
        None if a plain put cannot say all of it: the path is a pattern, or has conditions.

    Raises:
        InvalidPathError: see `khepri.machine.paths.parse_path`.
    """
    if type(path) is str and len(path) <= PLAIN_PATH_LENGTH:
        return _encode_put_at_text(path, payload)
    where = resolve_path(path)
    return encode_put(where, payload) if type(where) is Path else None


def _encode_put_at_text(path: str, payload: bytes) -> bytes | None:
    beginning = _find_place(path)
    if beginning is not None:
        if len(payload) <= _SHORT_BYTES:
            return beginning + _SHORT_HEADERS[len(payload)] + payload
        return beginning + pack(payload)
    head, _, name = path.rpartition("/")
    is_plain = is_plain_name(name)
    beginning = _families.get(head)
    if beginning is not None and is_plain:
        command = beginning + pack((name, payload))[1:]  # without the mark of a list
    else:
        where = resolve_path(path)
        if type(where) is not Path:
            return None
        command = encode_put(where, payload)
        if is_plain:  # then what is before it stands for the family, whatever it is
            if len(_families) >= _KEPT_FAMILIES:
                _families.clear()  # who writes to so many gains nothing, and pays little
            _families[head] = pack((PUT, (*where[:-1], ""), b""))[:-_LAST_BYTES]
    if _places.comes_again(path):
        _places.keep(path, command[: -len(pack(payload))])
    return command


def encode_batch(operations: Sequence[bytes]) -> bytes:
    """Give the command bytes of a batch of operations that are encoded already."""
    return pack_array((pack(BATCH), pack_array(operations)))
