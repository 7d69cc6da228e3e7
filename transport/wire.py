"""What goes over the wire: three frames, their limits, and how a frame can be wrong.

A frame is one ZeroMQ message part holding one msgpack array, flat: version, frame type, then
scalars. Nothing nests, so no frame can unfold into more than its own size in objects.
`codec` turns these types into bytes and back.

=========  =====================================================================================
HELLO      sender's node and incarnation, receiver's node. Over the door key; asks to be let in.
WELCOME    sender's node and incarnation, receiver's node and incarnation. The answer.
MESSAGES   the same four, then four scalars for each `interface.Message`, perhaps none.
=========  =====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .counters import Drop
    from .interface import Envelope, NodeIncarnation

PROTOCOL_VERSION = 1
"""Rises when a frame changes its meaning. Other versions are dropped and counted."""

MAXIMUM_MESSAGES = 4096
"""Messages in one frame."""
IDENTIFIER_BYTES = 64
"""The longest incarnation and the longest cluster id."""
TEXT_LENGTH = 1024
"""The longest store id, in characters."""
MAXIMUM_KIND = 255


class FrameType(IntEnum):
    """The second element of every frame."""

    HELLO = 1
    WELCOME = 2
    MESSAGES = 3


@dataclass(frozen=True, slots=True)
class Hello:
    """A node asks a peer to let its own key in, and says which life it is in."""

    sender: NodeIncarnation
    to_node: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """A node has let a peer in, and says which life it is in."""

    sender: NodeIncarnation
    receiver: NodeIncarnation


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one node for one peer, as received. May be empty: the link is up."""

    sender: NodeIncarnation
    receiver: NodeIncarnation
    envelopes: list[Envelope]


Frame = Hello | Welcome | Batch


class FrameError(Exception):
    """A received frame is not one. Stays inside the transport, which counts it."""

    def __init__(self, reason: Drop) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason
