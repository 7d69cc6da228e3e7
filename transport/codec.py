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
_OF_ONE_MESSAGE: Final = 1 + _HEADER_SCALARS + _MESSAGE_SCALARS
_KNOWN_PARTIES: Final = 64
"""So many headers that were checked are remembered; with more peers all are checked anew."""


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
        self._known: dict[tuple[object, ...], tuple[NodeIncarnation, NodeIncarnation]] = {}

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
                sender, receiver = self._known_parties(scalars)
                return _batch(sender, receiver, scalars)
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

    def _known_parties(self, scalars: list[Any]) -> tuple[NodeIncarnation, NodeIncarnation]:
        """Give from and for whom messages are. A peer says the same each time: checked once."""
        header = tuple(scalars[1 : 1 + _HEADER_SCALARS])
        try:
            known = self._known.get(header)
        except TypeError as error:  # an empty container
            raise FrameError(Drop.GARBLED) from error
        if known is None:
            known = _parties(scalars)
            if len(self._known) >= _KNOWN_PARTIES:
                self._known.clear()
            self._known[header] = known
        return known

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


def _batch(sender: NodeIncarnation, receiver: NodeIncarnation, scalars: list[Any]) -> Batch:
    """Check all messages at once, column by column: in C, without a step per message."""
    if len(scalars) == _OF_ONE_MESSAGE:
        return Batch(sender, receiver, [_only_message(sender, receiver, scalars)])
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


def _only_message(
    sender: NodeIncarnation, receiver: NodeIncarnation, scalars: list[Any]
) -> Envelope:
    """Check the message of a frame that holds one: most do when little is going on."""
    cluster, store, kind, body = scalars[1 + _HEADER_SCALARS :]
    if (
        type(cluster) is not bytes
        or type(store) is not str
        or type(kind) is not int
        or type(body) is not bytes
        or len(cluster) > IDENTIFIER_BYTES
        or len(store) > TEXT_LENGTH
        or not 0 <= kind <= MAXIMUM_KIND
    ):
        raise FrameError(Drop.GARBLED)
    return Envelope(*sender, *receiver, cluster, store, kind, body)
