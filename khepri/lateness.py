"""What is said when a store has not answered in time: what was asked, and who is known to lead.

Only made when it is too late; a call that is answered pays nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.actors.actor_errors import ReplyTimeoutError
from khepri.actors.server_messages import (
    AskCore,
    ConsistentRead,
    GetStatus,
    LowPriority,
    WaitForLeader,
    WaitForMachineVersion,
    WaitUntilApplied,
    WaitUntilVoter,
)

if TYPE_CHECKING:
    from khepri.actors.access import StoreAccess

_OPERATIONS: Final[dict[type, str]] = {
    bytes: "the write",
    LowPriority: "the write of low priority",
    AskCore: "the change of the cluster",
    ConsistentRead: "the question what is committed",
    WaitUntilApplied: "the wait for a place in the log",
    WaitForLeader: "the wait for a leader",
    WaitUntilVoter: "the wait to become a voter",
    WaitForMachineVersion: "the wait for a version of the machine",
    GetStatus: "the question for the status",
}


def late_error(
    access: StoreAccess, message: object, timeout_seconds: float | None
) -> ReplyTimeoutError:
    """Make the error of a call that was not answered in time.

    Args:
        access: to the store.
        message: what its server was sent.
        timeout_seconds: that there were.
    """
    operation = _OPERATIONS.get(type(message), "the call")
    why = _who_leads(access)
    if isinstance(message, WaitForMachineVersion):
        why = (
            f"the store is of version {access.machine_version}, and not all members are known to"
            f" run a release that knows version {message.version}; {why}"
        )
    return ReplyTimeoutError(
        f"{operation} was not answered within {round(timeout_seconds or 0.0, 3)} seconds: {why}",
        operation=operation,
        timeout_seconds=timeout_seconds,
        outcome="unknown",
    )


def _who_leads(access: StoreAccess) -> str:
    known = access.membership
    count = 0 if known is None else len(known.members)
    if known is None or known.leader is None:
        others = [member.node for member in access.known_members() if member != access.server_id]
        beside = f" and {', '.join(others)}" if others else ""
        return f"no leader of {access.store_id!r} is known here; members are this node{beside}"
    if known.leader != access.server_id:
        return f"the leader is {known.leader.node}, as far as is known here"
    if count == 1:
        return "the leader is here, and busy or waiting for its disk"
    return f"the leader is here, and waits for a majority of the {count} members, or is busy"
