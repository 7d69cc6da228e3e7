"""Frames: how bytes of every file of this room are told from what was not written.

A frame is 32 bytes of header and a payload::

    offset  size  what
    0       3     "khp"
    3       1     kind, one of `FrameKind`
    4       4     length of the payload, unsigned, little-endian as all numbers
    8       8     sequence number: of batches through the whole log, of blocks in a file
    16      8     salt: drawn anew for each file
    24      4     CRC-32 of the payload
    28      4     CRC-32 of the 28 bytes before

The salt makes frames of another file worthless in this one: what an old file left in recycled
space, or a user's value that looks like a frame, is never taken for one. The length stands under
the header's own CRC and is compared with what is left of the file before anything is allocated.

Not here: what payloads mean, and what a bad frame means (`log_file`, `block_file`, ...).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

from khepri.errors import ValueTooLargeError

_MAGIC = b"khp"
_FIELDS = struct.Struct("<3sBIQ8sI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size
SALT_BYTES = 8
MAX_PAYLOAD_BYTES = 1 << 30
"""What one frame may carry. A batch near it would hold up every store for seconds."""


class FrameKind(IntEnum):
    """What a frame is."""

    FILE_HEADER = 1
    """First in every file: format, version, facts."""
    BATCH = 2
    """Write-ahead log: appends, synced together."""
    CONFIRMED = 3
    """Write-ahead log: the batch of this sequence number has been synced. No payload."""
    BLOCK = 4
    """Segment: entries. Snapshot: a chunk."""
    END = 5
    """Last in a segment or snapshot. No payload."""
    SLOT = 6
    """Meta: term and vote."""


class FrameHeader(NamedTuple):
    """The header of a frame that passed its own checksum."""

    kind: int
    length: int
    sequence: int
    salt: bytes
    payload_crc: int


class Frame(NamedTuple):
    """A frame that passed its checksums."""

    kind: int
    sequence: int
    salt: bytes
    payload: memoryview
    end: int
    """Offset of the first byte behind it."""


def encode_frame(kind: FrameKind, sequence: int, salt: bytes, payload: bytes = b"") -> bytes:
    """Give the bytes of a frame.

    Raises:
        ValueTooLargeError: more than `MAX_PAYLOAD_BYTES`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueTooLargeError(
            f"{len(payload)} bytes in one batch; {MAX_PAYLOAD_BYTES} is the limit",
            size_bytes=len(payload),
            limit_bytes=MAX_PAYLOAD_BYTES,
        )
    fields = _FIELDS.pack(_MAGIC, kind, len(payload), sequence, salt, crc32(payload))
    return b"".join((fields, _CRC.pack(crc32(fields)), payload))


def decode_header(data: bytes | memoryview, offset: int = 0) -> FrameHeader | None:
    """Give the header at `offset`, or None if there is no valid one."""
    if len(data) - offset < HEADER_BYTES:
        return None
    magic, kind, length, sequence, salt, payload_crc = _FIELDS.unpack_from(data, offset)
    (header_crc,) = _CRC.unpack_from(data, offset + _FIELDS.size)
    if magic != _MAGIC or header_crc != crc32(data[offset : offset + _FIELDS.size]):
        return None
    return FrameHeader(kind, length, sequence, salt, payload_crc)


def payload_matches(header: FrameHeader, payload: bytes | memoryview) -> bool:
    """Whether the payload is the one the header was written for."""
    return len(payload) == header.length and crc32(payload) == header.payload_crc


def decode_frame(data: memoryview, offset: int) -> Frame | None:
    """Give the frame at `offset`, or None if there is no valid one. Copies nothing."""
    header = decode_header(data, offset)
    if header is None:
        return None
    start = offset + HEADER_BYTES
    end = start + header.length
    if end > len(data):
        return None
    payload = data[start:end]
    if not payload_matches(header, payload):
        return None
    return Frame(header.kind, header.sequence, header.salt, payload, end)
