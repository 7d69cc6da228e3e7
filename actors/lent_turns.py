"""What a server handles in the thread that brings it, instead of waking its own.

Of each write of a leader there is a notice of its disk and an answer of each follower, and what
the core has to do with one takes less than waking a thread. So the thread of the WalWriter or of
the transport has it done, if the server sleeps (`KhepriActor.lend`). Both serve other stores too:
no term may change here and no timer be due, since that may touch the server's disk, and nothing
is applied, since nobody knows how long that takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.encoding import EncodingError
from khepri.raft.events import LogWritten, MessageReceived
from khepri.raft.messages import AppendEntriesResponse, HeartbeatResponse
from khepri.raft.types import Role

from .server_messages import FrameFrom, MessageFrom
from .store_network import RAFT

if TYPE_CHECKING:
    from khepri.raft.core import RaftCore
    from khepri.raft.events import Event

    from .server_setup import Network

MAX_FRAME_BYTES: Final = 512
"""Confirmations are far smaller; others need not be opened to see that they are none."""


def quick_events(message: object, core: RaftCore, network: Network, now: float) -> list[Event]:
    """Give the events that a message brings if any thread may handle them; none otherwise.

    Args:
        message: to the server.
        core: of the server.
        network: opens what came from others.
        now: of the server's clock.
    """
    if not isinstance(message, FrameFrom | LogWritten):
        return []
    if isinstance(message, FrameFrom) and len(message.body) > MAX_FRAME_BYTES:
        return []
    if (
        core.role is not Role.LEADER
        or len(core.configuration.members) == 1
        or now >= core.next_deadline()
    ):
        return []
    if isinstance(message, LogWritten):
        return [message]
    return _confirmations(message, core, network)


def _confirmations(frame: FrameFrom, core: RaftCore, network: Network) -> list[Event]:
    if frame.kind != RAFT:
        return []
    try:
        messages = network.open(frame)
    except EncodingError:
        return []  # the server says so
    events: list[Event] = []
    for message in messages:
        if not (
            isinstance(message, MessageFrom)
            and isinstance(message.message, AppendEntriesResponse | HeartbeatResponse)
            and message.message.term == core.term
        ):
            return []
        events.append(MessageReceived(message.sender, message.message, message.sender_uid))
    return events
