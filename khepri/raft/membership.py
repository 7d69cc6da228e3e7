"""Who belongs to the cluster: the configurations in the log, and which change is allowed next.

Here: the rules for adding, removing, promoting one member at a time (dissertation §4). Not here:
when a change may be proposed at all, and what is sent to whom (`leader.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .effects import RejectReason
from .log_history import LogHistory
from .types import Configuration, Member, MemberKind

if TYPE_CHECKING:
    from .types import ServerId


class ConfigurationHistory(LogHistory[Configuration]):
    """The configurations in the log."""


def plan_addition(current: Configuration, member: Member) -> Configuration | RejectReason:
    """Give the configuration with `member` added, or why it cannot be.

    One without a vote may be asked to become a voter. A member that is there as another
    incarnation is replaced, unless the newcomer is to be a
    voter at once: then the set of voters would look the same while one of them lost its log.
    Replaced otherwise, the voters are fewer by one at most, as with a removal, so that any
    majority of the old and any of the new set meet (dissertation §4.1).
    """
    present = current.find(member.server_id)
    if present is not None and (present.uid == member.uid or member.kind is MemberKind.VOTER):
        kinds = (present.kind, member.kind)
        if present.uid != member.uid or kinds != (MemberKind.NON_VOTER, MemberKind.PROMOTABLE):
            return RejectReason.ALREADY_MEMBER
    planned = current.with_member(member)
    return planned if planned.voters else RejectReason.LAST_VOTER


def plan_removal(current: Configuration, server_id: ServerId) -> Configuration | RejectReason:
    """Give the configuration without that member, or why it cannot be."""
    if current.find(server_id) is None:
        return RejectReason.NOT_MEMBER
    planned = current.without(server_id)
    return planned if planned.voters else RejectReason.LAST_VOTER


def plan_promotion(current: Configuration, server_id: ServerId) -> Configuration:
    """Give the configuration with that promotable member as a voter."""
    member = current.find(server_id)
    assert member is not None, "only a member can be promoted"
    assert member.kind is MemberKind.PROMOTABLE, "a non-voter stays one"
    return current.with_member(member._replace(kind=MemberKind.VOTER))


def kind_of(configuration: Configuration, server_id: ServerId, uid: str) -> MemberKind | None:
    """Give how that incarnation takes part; None if it does not.

    Being named under another uid is not being named: it is somebody else with the same name.
    """
    member = configuration.find(server_id)
    return member.kind if member is not None and member.uid == uid else None
