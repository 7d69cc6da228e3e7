"""The core of one member: events in, effects out.

Under construction: the signatures are settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .effects import Effect
    from .events import Event
    from .settings import RaftSettings
    from .types import (
        Configuration,
        Entry,
        HardState,
        Index,
        MemberKind,
        Role,
        ServerId,
        SnapshotMeta,
        Term,
    )


class RaftCore:
    """The consensus of one member; a pure object for one thread."""

    def __init__(
        self,
        *,
        server_id: ServerId,
        uid: str,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
        configuration: Configuration,
        settings: RaftSettings,
        random: Callable[[], float],
    ) -> None:
        """Start from what is on disk.

        Args:
            server_id: who this member is.
            uid: its incarnation, the one its `Member` line in the configuration carries.
            hard_state: the newest durable term and vote; `NO_HARD_STATE` for a fresh store.
            snapshot: what the newest durable snapshot stands for; the machine is restored from
                it already.
            entries: the durable entries after the snapshot, contiguous.
            configuration: the initial configuration of a fresh store, the same on all initial
                members and given again at every restart (the log and the snapshot win once they
                hold one). `Configuration()` for a newcomer that waits to be added.
            settings: the numbers.
            random: gives floats in [0, 1), different on each member.
        """
        raise NotImplementedError

    def step(self, events: Sequence[Event], now: float) -> list[Effect]:
        """Take a batch of events, give what is to be done, in order.

        Call it once at the start, when something happened, and at `next_deadline` at the latest.

        Args:
            events: all that waits, in order of arrival; may be empty.
            now: monotonic seconds, read *after* the batch was taken from the mailbox.
        """
        raise NotImplementedError

    def next_deadline(self) -> float:
        """Give the `now` at which `step` wants to be called at the latest; `math.inf` if never.

        Before the first step, and while more waits to be applied than fits one step, it is
        `-math.inf`: call at once.
        """
        raise NotImplementedError

    def snapshot_meta(self, index: Index) -> SnapshotMeta:
        """Give what a snapshot of the machine as of `index` stands for.

        Args:
            index: between the newest snapshot's index and the last applied one.
        """
        raise NotImplementedError

    @property
    def role(self) -> Role:
        """What this member is at the moment."""
        raise NotImplementedError

    @property
    def term(self) -> Term:
        """The current term."""
        raise NotImplementedError

    @property
    def leader(self) -> ServerId | None:
        """The leader of the current term, where known."""
        raise NotImplementedError

    @property
    def commit_index(self) -> Index:
        """The highest index known to be committed."""
        raise NotImplementedError

    @property
    def last_applied(self) -> Index:
        """The highest index handed out for applying."""
        raise NotImplementedError

    @property
    def last_index(self) -> Index:
        """The index of the last entry in memory, written or not."""
        raise NotImplementedError

    @property
    def last_written(self) -> Index:
        """The last index known to be durable here."""
        raise NotImplementedError

    @property
    def configuration(self) -> Configuration:
        """The configuration in effect, committed or not."""
        raise NotImplementedError

    @property
    def membership(self) -> MemberKind | None:
        """How this member takes part; None if the configuration does not name this incarnation."""
        raise NotImplementedError
