"""The numbers the core is tuned by, checked when made, never changed afterwards.

Not here: anything about files, sockets or threads; those are settings of the rooms that have them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from khepri.errors import InvalidOptionError


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """All settings of `RaftCore`. Times in seconds of the clock that `step` is given.

    Attributes:
        heartbeat_interval_seconds: a leader speaks to each peer at least this often.
        election_timeout_min_seconds: a follower waits at least this long for its leader, and
            refuses to help replacing a leader it has heard within this time.
        election_timeout_max_seconds: the random wait is below this; a leader that has heard no
            quorum for this long steps down.
        hold_back_seconds: so late at most entries go to those peers that no majority needs
            (`reserve.py`); 0 sends everything to everybody at once.
        max_append_entries: most entries in one message.
        max_append_bytes: most bytes of entry data in one message; one larger entry goes alone.
            What a link takes longer for than an election timeout makes its follower campaign.
        max_inflight_messages: unanswered append messages per peer.
        max_inflight_bytes: unanswered bytes of entry data per peer.
        max_uncommitted_bytes: above this much data that waits to be applied, proposals are
            rejected as OVERLOADED.
        max_waiting_reads: when so many reads wait to be confirmed, further ones are rejected as
            OVERLOADED; a leader holds twice as many at most, and one question of each follower.
        max_apply_entries: most entries in one `ApplyEntries`, so that a long catching-up does not
            keep the shell from its heartbeats.
        promotion_lag_entries: a promotable member is made a voter when it is at most this far
            behind the commit index.
        leadership_transfer_timeout_seconds: how long proposals stop for a transfer at most.
        snapshot_chunk_bytes: size of one piece of a snapshot.
        snapshot_retransmit_seconds: a piece not acknowledged for this long is sent again, unless
            it may still be on its way.
        snapshot_timeout_seconds: a transfer without progress for this long is given up, by its
            sender and by its receiver.
        snapshot_backoff_min_seconds: pause after the first failed transfer to a peer; doubles.
        snapshot_backoff_max_seconds: the longest such pause.
        trailing_entries: most entries kept in memory below the newest snapshot, so that a
            follower slightly behind needs no snapshot.
        trailing_bytes: most bytes of data kept in them.
        catch_up_bytes: most bytes of data kept in memory below the newest snapshot for a reachable
            follower that lacks them, so that it need not be sent one snapshot after the other. If
            it is sent one: what followed that, and as much as has arrived of it, if that is more.
        read_leases: whether a leader answers reads without asking the others, as long as a
            majority has promised not to elect anybody else; that trusts the clocks (`lease.py`).
    """

    heartbeat_interval_seconds: float = 0.1
    election_timeout_min_seconds: float = 0.6
    election_timeout_max_seconds: float = 1.2
    hold_back_seconds: float = 0.0
    max_append_entries: int = 1024
    max_append_bytes: int = 1 << 18
    max_inflight_messages: int = 16
    max_inflight_bytes: int = 8 << 20
    max_uncommitted_bytes: int = 64 << 20
    max_waiting_reads: int = 65_536
    max_apply_entries: int = 4096
    promotion_lag_entries: int = 64
    leadership_transfer_timeout_seconds: float = 2.0
    snapshot_chunk_bytes: int = 1 << 18
    snapshot_retransmit_seconds: float = 1.0
    snapshot_timeout_seconds: float = 30.0
    snapshot_backoff_min_seconds: float = 1.0
    snapshot_backoff_max_seconds: float = 60.0
    trailing_entries: int = 4096
    trailing_bytes: int = 16 << 20
    catch_up_bytes: int = 16 << 20
    read_leases: bool = True

    def __post_init__(self) -> None:
        """Check every number and the order among the times.

        Raises:
            InvalidOptionError: one is out of range; names it.
        """
        may_be_zero = {
            "hold_back_seconds",
            "trailing_entries",
            "trailing_bytes",
            "catch_up_bytes",
            "promotion_lag_entries",
        }
        for setting in fields(self):
            if setting.name == "read_leases":
                continue
            value: float = getattr(self, setting.name)
            lowest_allowed = value >= 0 if setting.name in may_be_zero else value > 0
            if not math.isfinite(value) or not lowest_allowed:
                raise _invalid(setting.name, value, "is out of range")
        if self.election_timeout_min_seconds < 2 * self.heartbeat_interval_seconds:
            raise _invalid(
                "election_timeout_min_seconds",
                self.election_timeout_min_seconds,
                "is less than two heartbeat intervals",
            )
        if self.election_timeout_max_seconds <= self.election_timeout_min_seconds:
            raise _invalid(
                "election_timeout_max_seconds",
                self.election_timeout_max_seconds,
                "is not above election_timeout_min_seconds",
            )
        if self.snapshot_backoff_max_seconds < self.snapshot_backoff_min_seconds:
            raise _invalid(
                "snapshot_backoff_max_seconds",
                self.snapshot_backoff_max_seconds,
                "is below snapshot_backoff_min_seconds",
            )


def _invalid(option: str, value: float, why: str) -> InvalidOptionError:
    return InvalidOptionError(f"{option}={value} {why}", option=option, value=value)
