"""Frames to bytes and back, without trust in the bytes.

Encoding is one call of the msgpack packer for a whole batch: a batch is flattened, so no object is
made per message. Decoding reads scalars one by one and never a container, so that a frame cannot
claim more than it holds: depth is one, the number of elements is bounded, extensions are refused.
"""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, Final

import msgpack

from khepri.encoding import pack

from .address import NODE_NAME_BYTES
from .counters import Drop
from .interface import Envelope, Message, NodeIncarnation
from .wire import (
    IDENTIFIER_BYTES,
    MAXIMUM_KIND,
    MAXIMUM_MESSAGES,
    PROTOCOL_VERSION,
    TEXT_LENGTH,
    Batch,
    Frame,
    FrameError,
    FrameType,
    Hello,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER_SCALARS: Final = 4
_MESSAGE_SCALARS: Final = len(Message._fields)
_MESSAGE_TYPES: Final = {(bytes, str, int, bytes)}
_MAXIMUM_SCALARS: Final = 2 + _HEADER_SCALARS + _MESSAGE_SCALARS * MAXIMUM_MESSAGES


def encode_hello(sender: NodeIncarnation, to_node: str) -> bytes:
    """Give the bytes of a `Hello`."""
    return pack([PROTOCOL_VERSION, FrameType.HELLO, *sender, to_node])


def encode_welcome(sender: NodeIncarnation, receiver: NodeIncarnation) -> bytes:
    """Give the bytes of a `Welcome`."""
    return pack([PROTOCOL_VERSION, FrameType.WELCOME, *sender, *receiver])


def encode_messages(
    sender: NodeIncarnation, receiver: NodeIncarnation, messages: Sequence[Message]
) -> bytes:
    """Give the bytes that `FrameReader` gives back as a `Batch`."""
    assert len(messages) <= MAXIMUM_MESSAGES
    header = (PROTOCOL_VERSION, FrameType.MESSAGES, *sender, *receiver)
    return pack([*header, *chain.from_iterable(messages)])


class FrameReader:
    """Decodes frames. One thread only: it keeps its buffer from frame to frame."""

    def __init__(self, frame_bytes: int) -> None:
        """Set the limit.

        Args:
            frame_bytes: larger frames are refused unread.
        """
        self._frame_bytes = frame_bytes
        self._unpacker = self._new_unpacker()

    def read(self, data: bytes | memoryview) -> Frame:
        """Decode one frame.

        Raises:
            FrameError: it is too large, of another version, or not a frame.
        """
        if len(data) > self._frame_bytes:
            raise FrameError(Drop.OVERSIZED)
        try:
            scalars = self._scalars(data)
        except FrameError:
            self._unpacker = self._new_unpacker()  # what is left of the frame stays in the old one
            raise
        _require(type(scalars[0]) is int)
        match scalars[0]:
            case FrameType.MESSAGES:
                return _batch(scalars)
            case FrameType.HELLO:
                return _hello(scalars)
            case FrameType.WELCOME:
                return _welcome(scalars)
            case _:
                raise FrameError(Drop.GARBLED)

    def _new_unpacker(self) -> msgpack.Unpacker:
        # Containers and extensions of any size above zero make the unpacker raise; empty
        # containers come back as such, and the checks of types below refuse them.
        return msgpack.Unpacker(
            max_buffer_size=self._frame_bytes,
            max_array_len=0,
            max_map_len=0,
            max_ext_len=0,
        )

    def _scalars(self, data: bytes | memoryview) -> list[Any]:
        """Give the elements of the array after the version."""
        unpacker = self._unpacker
        start = unpacker.tell()
        try:
            unpacker.feed(data)
            claimed = unpacker.read_array_header() - 1
            version = unpacker.unpack()
            if type(version) is not int or not 0 < claimed <= _MAXIMUM_SCALARS:
                raise FrameError(Drop.GARBLED)
            if version != PROTOCOL_VERSION:
                raise FrameError(Drop.UNKNOWN_VERSION)
            scalars = list(islice(unpacker, claimed))
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            raise FrameError(Drop.GARBLED) from error
        if len(scalars) != claimed or unpacker.tell() - start != len(data):
            raise FrameError(Drop.GARBLED)
        return scalars


def _require(holds: object) -> None:
    if not holds:
        raise FrameError(Drop.GARBLED)


def _node_name(value: object) -> str:
    _require(type(value) is str and 0 < len(value) <= NODE_NAME_BYTES)
    return str(value)


def _incarnation(value: object) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= IDENTIFIER_BYTES:
        raise FrameError(Drop.GARBLED)
    return value


def _hello(scalars: list[Any]) -> Hello:
    _require(len(scalars) == _HEADER_SCALARS)
    _, node, incarnation, to_node = scalars
    return Hello(NodeIncarnation(_node_name(node), _incarnation(incarnation)), _node_name(to_node))


def _parties(scalars: list[Any]) -> tuple[NodeIncarnation, NodeIncarnation]:
    _require(len(scalars) > _HEADER_SCALARS)
    _, node, incarnation, to_node, to_incarnation = scalars[: 1 + _HEADER_SCALARS]
    sender = NodeIncarnation(_node_name(node), _incarnation(incarnation))
    return sender, NodeIncarnation(_node_name(to_node), _incarnation(to_incarnation))


def _welcome(scalars: list[Any]) -> Welcome:
    _require(len(scalars) == 1 + _HEADER_SCALARS)
    return Welcome(*_parties(scalars))


def _batch(scalars: list[Any]) -> Batch:
    """Check all messages at once, column by column: in C, without a step per message."""
    sender, receiver = _parties(scalars)
    del scalars[: 1 + _HEADER_SCALARS]
    if not scalars:
        return Batch(sender, receiver, [])
    _require(len(scalars) % _MESSAGE_SCALARS == 0)
    types_of_messages = set(zip(*[map(type, scalars)] * _MESSAGE_SCALARS, strict=True))
    _require(types_of_messages == _MESSAGE_TYPES)
    clusters, stores, kinds, bodies = (scalars[offset::_MESSAGE_SCALARS] for offset in range(4))
    _require(max(map(len, clusters)) <= IDENTIFIER_BYTES)
    _require(max(map(len, stores)) <= TEXT_LENGTH)
    _require(min(kinds) >= 0)
    _require(max(kinds) <= MAXIMUM_KIND)
    rows = zip(*map(repeat, (*sender, *receiver)), clusters, stores, kinds, bodies, strict=False)
    return Batch(sender, receiver, list(map(Envelope._make, rows)))
