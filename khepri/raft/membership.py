"""Who belongs to the cluster: the configurations in the log, and which change is allowed next.

Here: the history of configurations since the last snapshot, and the rules for adding, removing,
promoting one member at a time (dissertation §4). Not here: when a change may be proposed at all,
and what is sent to whom (`leader.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .effects import RejectReason
from .types import Configuration, Index, Member, MemberKind

if TYPE_CHECKING:
    from .types import ServerId


class ConfigurationHistory:
    """The configurations in the log, each in effect from its index on, committed or not.

    A change takes effect when it is in the log and is undone when it is cut from the log
    (dissertation §4.1), so the older ones are kept down to the newest snapshot. That also gives
    the snapshot taken at an index the configuration as of that index, and no later one.

    Attributes:
        current: the one in effect.
        index: where it stands; 0 for an initial configuration that is in no log yet.
    """

    def __init__(self, index: Index, configuration: Configuration) -> None:
        """Start with what a snapshot or the first start gives."""
        self._history = [(index, configuration)]
        self._publish()

    def _publish(self) -> None:
        self.index, self.current = self._history[-1]

    def add(self, index: Index, configuration: Configuration) -> None:
        """Put a newer one into effect."""
        assert index > self.index, "configurations come in order"
        self._history.append((index, configuration))
        self._publish()

    def cut_from(self, index: Index) -> bool:
        """Undo those at `index` and behind; tell whether there was one."""
        before = self._history[-1]
        while self._history[-1][0] >= index and len(self._history) > 1:
            self._history.pop()
        self._publish()
        return self._history[-1] is not before

    def at(self, index: Index) -> Configuration:
        """Give the one that was in effect at `index`."""
        for start, configuration in reversed(self._history):
            if start <= index:
                return configuration
        raise AssertionError("nothing is known from before the newest snapshot")

    def forget_before(self, index: Index) -> None:
        """Drop those that were replaced at or below `index`: a snapshot covers them."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]


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
