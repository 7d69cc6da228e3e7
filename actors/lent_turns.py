"""What a server handles in the thread that brings it, instead of waking its own.

Of each write of a leader there is a command, a notice of its disk and an answer of each follower,
and what the core has to do with one takes less than waking a thread. So the thread of the caller,
of the WalWriter or of the transport has it done, if the server sleeps (`KhepriActor.lend`). They
have other work or a deadline: no term may change here and no timer be due, since that may touch
the server's disk, and nothing is applied, since nobody knows how long that takes.
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
    from collections.abc import Sequence

    from khepri.raft.core import RaftCore
    from khepri.raft.events import Event

    from .server_setup import Network

MAX_FRAME_BYTES: Final = 512
"""Confirmations are far smaller; others need not be opened to see that they are none."""


def may_lend(core: RaftCore, now: float) -> bool:
    """Tell whether a server may lend a turn at all.

    A server that is alone writes its log itself, and waits for its disk; one without a leader has
    nothing to do with a command. What the core has still to do comes first (`next_deadline`).
    """
    return (
        len(core.configuration.members) > 1
        and core.leader is not None
        and now < core.next_deadline()
    )


def confirmations(message: object, core: RaftCore, network: Network) -> Sequence[Event]:
    """Give the events of a message that confirms something to a leader; none if it does not.

    Args:
        message: to the server.
        core: of the server.
        network: opens what came from others.
    """
    if core.role is not Role.LEADER:
        return ()
    if isinstance(message, LogWritten):
        return (message,)
    if not isinstance(message, FrameFrom) or len(message.body) > MAX_FRAME_BYTES:
        return ()
    return _confirmations_in(message, core, network)


def _confirmations_in(frame: FrameFrom, core: RaftCore, network: Network) -> Sequence[Event]:
    if frame.kind != RAFT:
        return ()
    try:
        messages = network.open(frame)
    except EncodingError:
        return ()  # the server says so
    events: list[Event] = []
    for message in messages:
        if not (
            isinstance(message, MessageFrom)
            and isinstance(message.message, AppendEntriesResponse | HeartbeatResponse)
            and message.message.term == core.term
        ):
            return ()
        events.append(MessageReceived(message.sender, message.message, message.sender_uid))
    return events
