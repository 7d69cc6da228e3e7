"""What travels in one piece is small enough for slow links to keep their leader."""

from __future__ import annotations

from khepri.actors.command_pump import MAX_ENTRY_BYTES
from khepri.actors.origin import GROUP_BYTES
from khepri.actors.store_network import PARCEL_BYTES
from khepri.raft.settings import RaftSettings

SLOW_LINK_BYTES_PER_SECOND = 600_000


def test_a_piece_passes_a_slow_link_within_the_shortest_election_timeout() -> None:
    settings = RaftSettings()
    largest = max(
        GROUP_BYTES,
        MAX_ENTRY_BYTES,
        PARCEL_BYTES,
        settings.max_append_bytes,
        settings.snapshot_chunk_bytes,
    )
    seconds = largest / SLOW_LINK_BYTES_PER_SECOND
    assert seconds + settings.heartbeat_interval_seconds < settings.election_timeout_min_seconds
