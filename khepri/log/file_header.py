"""The first frame of every file: which format, which version, and the facts of the file.

Here: writing and checking that frame, and files that consist of nothing else (identity,
registry). Not here: what follows the header in logs, segments and snapshots.

A header whose checksum is right and whose version is not known is `UnknownFormatError`: a newer
release wrote it, and nothing may be touched. Everything else that is wrong is corruption.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import DataCorruptionError, UnknownFormatError

from .framing import SALT_BYTES, FrameKind, decode_frame, encode_frame
from .paths import folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .file_system import FileSystem

NO_SALT = bytes(SALT_BYTES)
"""For files of one frame: nothing could be mixed up."""

TEMPORARY_SUFFIX = ".new"
"""Of files that are being written; one that is found was left by a crash."""


class FileFormat(NamedTuple):
    """A kind of file and the version this release writes."""

    name: str
    version: int


class FileHeader(NamedTuple):
    """The header of a file that passed its checksums."""

    salt: bytes
    facts: list[object]
    end: int
    """Offset behind the header frame."""


def corrupt(path: str, offset: int, reason: str) -> DataCorruptionError:
    """Give the error for damage at an offset of a file."""
    return DataCorruptionError(
        f"{path} is damaged at offset {offset}: {reason}", path=path, offset=offset, reason=reason
    )


def encode_file_header(file_format: FileFormat, salt: bytes, facts: Sequence[object]) -> bytes:
    """Give the header frame of a file."""
    payload = pack([file_format.name, file_format.version, list(facts)])
    return encode_frame(FrameKind.FILE_HEADER, 0, salt, payload)


def decode_file_header(data: memoryview, file_format: FileFormat, path: str) -> FileHeader:
    """Check the header frame at the beginning of a file.

    Raises:
        DataCorruptionError: there is no whole header, or of another kind of file.
        UnknownFormatError: written by another release.
    """
    frame = decode_frame(data, 0)
    if frame is None or frame.kind != FrameKind.FILE_HEADER:
        raise corrupt(path, 0, f"no header of a {file_format.name} file")
    try:
        name, version, facts = unpack(frame.payload)
    except (EncodingError, TypeError, ValueError) as error:
        raise corrupt(path, 0, "the header cannot be decoded") from error
    if name != file_format.name:
        raise corrupt(path, 0, f"it is a {name} file, not a {file_format.name} file")
    if version != file_format.version:
        raise UnknownFormatError(
            f"{path} has format version {version}; this release knows {file_format.version}",
            path=path,
            version=version,
        )
    return FileHeader(frame.salt, facts, frame.end)


def write_record_file(
    file_system: FileSystem,
    path: str,
    file_format: FileFormat,
    facts: Sequence[object],
    *,
    about_to_replace: Callable[[], None] | None = None,
) -> None:
    """Write a file of one frame in place of the old one, durably and at once.

    `about_to_replace` is called when the old one may be gone from then on.
    """
    data = encode_file_header(file_format, NO_SALT, facts)
    replace_file(file_system, path, data, about_to_replace=about_to_replace)


def read_record_file(file_system: FileSystem, path: str, file_format: FileFormat) -> list[object]:
    """Give the facts of a file of one frame.

    Raises:
        DataCorruptionError, UnknownFormatError: as `decode_file_header`.
    """
    data = memoryview(read_file(file_system, path))
    header = decode_file_header(data, file_format, path)
    if header.end != len(data):
        raise corrupt(path, header.end, "bytes behind the end")
    return header.facts


def replace_file(
    file_system: FileSystem,
    path: str,
    data: bytes,
    *,
    about_to_replace: Callable[[], None] | None = None,
) -> None:
    """Put a whole file in place of another: temporary file, sync, rename, sync of the folder."""
    temporary = path + TEMPORARY_SUFFIX
    file = file_system.create(temporary)
    try:
        file.pwrite(data, 0)
        file.fdatasync()
    finally:
        file.close()
    if about_to_replace is not None:
        about_to_replace()
    file_system.rename(temporary, path)
    file_system.fsync_directory(folder_of(path))


def read_file(file_system: FileSystem, path: str) -> bytes:
    """Give all bytes of a file."""
    file = file_system.open(path, writable=False)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()
