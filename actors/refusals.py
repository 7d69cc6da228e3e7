"""Replies of a server that are not the machine's: what they mean to a caller."""

from __future__ import annotations

from typing import Any, Final

from khepri.errors import (
    AlreadyMemberError,
    ClusterChangeNotPermittedError,
    DiskFailedError,
    KhepriError,
    NotDoneError,
    OverloadedError,
)
from khepri.raft.effects import RejectReason

from .server_messages import Refusal

_SENTENCES: Final = {
    RejectReason.OVERLOADED: "too much waits for a majority already; this was not done",
    RejectReason.NOT_MEMBER: "there is no such member, or no other voter that answers",
    RejectReason.LAST_VOTER: (
        "the last voter cannot be removed; khepri.cluster.reset ends it once no member without a"
        " vote is left"
    ),
    RejectReason.NON_VOTER: "the member is no voter yet",
    RejectReason.LEADERSHIP_LOST: "it leads no more: it hears no majority, or another one leads",
    RejectReason.TRANSFER_TIMED_OUT: "the member did not take over in time",
    RejectReason.CLUSTER_CHANGE_NOT_PERMITTED: "another change of the members is under way",
    RejectReason.NO_MAJORITY_LEFT: "no majority of the members that would be left answers",
    RejectReason.ALREADY_MEMBER: "the member is one already",
}
"""What a person is told about the reasons that need more than their name."""


def value_or_error(reply: object) -> Any:  # noqa: ANN401 - the question decides
    """Give a reply, or raise what it stands for.

    Raises:
        KhepriError: the reply is an error or a refusal.
    """
    if isinstance(reply, KhepriError):
        # One instance may answer many callers; each raises its own.
        raise type(reply)(reply.message, **reply.facts)
    if isinstance(reply, Refusal):
        raise refusal_error(reply)
    return reply


def refusal_error(refusal: Refusal) -> KhepriError:
    """Make the error for a refusal."""
    text = _SENTENCES.get(refusal.reason, f"the server answered {refusal.reason.value}")
    if refusal.detail:
        text = f"{text}: {refusal.detail}"
    leader = None if refusal.leader is None else refusal.leader.node
    facts: dict[str, Any] = {"reason": refusal.reason.value, "leader": leader}
    match refusal.reason:
        case RejectReason.DISK_FAILED:
            return DiskFailedError(text, **facts)
        case RejectReason.OVERLOADED:
            return OverloadedError(text, **facts)
        case RejectReason.CLUSTER_CHANGE_NOT_PERMITTED | RejectReason.NO_MAJORITY_LEFT:
            return ClusterChangeNotPermittedError(text, **facts)
        case RejectReason.ALREADY_MEMBER:
            return AlreadyMemberError(text, **facts)
        case _:
            return NotDoneError(text, **facts)
