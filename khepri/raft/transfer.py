"""Handing leadership over (dissertation §3.10).

Here: the state of one transfer and whether it may begin. Not here: when the leader looks at it
(`leader.py`), what the target does (`follower.py`, `candidate.py`).

1. The leader stops taking proposals and brings the target's log up to its own.
2. When the target has *confirmed* the last entry, the leader sends `TimeoutNow` with its term.
   From then on it has no lease (`lease.py`), even if nothing comes of it.
3. The target campaigns without pre-vote; its requests say why, so that voters that hear the
   leader all right do not ignore them.
4. The leader makes way when the higher term reaches it. If that does not happen in time it goes
   on in the same term, and takes proposals again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import RejectReason
from .types import MemberKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .progress import Progress
    from .types import Configuration, ServerId


@dataclass(slots=True)
class Transfer:
    """One transfer under way. Leader only, volatile.

    Attributes:
        target: who is to lead.
        ticket: who asked.
        deadline: when it has failed.
        timeout_sent: whether the target was told to campaign since the last heartbeat.
        was_told: whether it was told at all.
    """

    target: ServerId
    ticket: object
    deadline: float
    timeout_sent: bool = False
    was_told: bool = False


def refusal(
    configuration: Configuration, leader: ServerId, target: ServerId
) -> RejectReason | None:
    """Give why leadership cannot go to `target`; None if it can."""
    if target == leader:
        return RejectReason.ALREADY_LEADER
    member = configuration.find(target)
    if member is None:
        return RejectReason.NOT_MEMBER
    return None if member.kind is MemberKind.VOTER else RejectReason.NON_VOTER


def best_target(voters: Iterable[Progress], heard_since: float) -> ServerId | None:
    """Give the voter with the most complete log among those heard lately; None if none was."""
    reachable = [progress for progress in voters if progress.last_contact >= heard_since]
    if not reachable:
        return None
    return max(reachable, key=lambda progress: progress.match_index).server_id
