"""What a transport counts: every drop and every refusal has a reason with a name.

The names are here and nowhere else; docs/explanation/transport.md explains them to operators.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum


class Traffic(StrEnum):
    """What went well."""

    SENT_FRAMES = "sent_frames"
    SENT_MESSAGES = "sent_messages"
    SENT_BYTES = "sent_bytes"
    RECEIVED_FRAMES = "received_frames"
    RECEIVED_MESSAGES = "received_messages"
    RECEIVED_BYTES = "received_bytes"
    LINKS_UP = "links_up"
    LINKS_LOST = "links_lost"


class Drop(StrEnum):
    """Why something was not delivered.

    The first group counts messages on the sending side, the second frames on the receiving side;
    the third is for whoever handles envelopes, who knows stores and clusters.
    """

    QUEUE_FULL = "dropped_queue_full"
    PEER_DOWN = "dropped_peer_down"
    TOO_LARGE = "dropped_too_large"
    BAD_ADDRESS = "dropped_bad_address"
    STOPPED = "dropped_stopped"

    OVERSIZED = "dropped_oversized"
    GARBLED = "dropped_garbled"
    UNKNOWN_VERSION = "dropped_unknown_version"
    FORGED_SENDER = "dropped_forged_sender"
    WRONG_RECEIVER = "dropped_wrong_receiver"
    STALE_SENDER = "dropped_stale_sender"
    STALE_RECEIVER = "dropped_stale_receiver"
    RECEIVER_FAILED = "dropped_receiver_failed"

    LOST_ON_PURPOSE = "dropped_lost_on_purpose"

    WRONG_CLUSTER = "dropped_wrong_cluster"
    UNKNOWN_STORE = "dropped_unknown_store"


class Refusal(StrEnum):
    """Why a connection did not get in. Counts connections."""

    UNKNOWN_KEY = "refused_unknown_key"
    HANDSHAKE_FAILED = "refused_handshake_failed"
    NEVER_IDENTIFIED = "refused_never_identified"
    """It ended before it had proved who it was, for whatever reason: those above included."""
    TOO_MANY_STRANGERS = "refused_too_many_strangers"
    ACCEPT_FAILED = "refused_accept_failed"
    """The system would not have it; the process has too few descriptors, mostly. Counts tries."""


class Counters:
    """Named counts that only grow. Any thread may count and look."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._sent = [0, 0, 0]
        self._received = [0, 0, 0]

    def add(self, what: str, number: int = 1) -> None:
        """Count `what`, `number` times.

        Args:
            what: one of `Drop`, `Refusal`, or a name of the caller's own.
            number: how many to add.
        """
        with self._lock:
            self._counts[what] += number

    def sent(self, messages: int, size_bytes: int) -> None:
        """Count a frame that went out; only the transport calls this, from any thread."""
        with self._lock:
            _count_frame(self._sent, messages, size_bytes)

    def received(self, messages: int, size_bytes: int) -> None:
        """Count a frame that came in. Only the transport calls this, from its I/O thread.

        That is why it needs no lock; it is in the way of every frame.
        """
        _count_frame(self._received, messages, size_bytes)

    def __getitem__(self, what: str) -> int:
        """Give the count of `what`, 0 if there was none."""
        return self.snapshot().get(what, 0)

    def snapshot(self) -> dict[str, int]:
        """Give a copy of all counts, by name in alphabetical order."""
        with self._lock:
            counts = {str(name): number for name, number in self._counts.items()}
        frames = (*self._sent, *self._received)
        counts |= {str(name): count for name, count in zip(_OF_FRAMES, frames, strict=True)}
        return dict(sorted(counts.items()))


_OF_FRAMES = (
    Traffic.SENT_FRAMES,
    Traffic.SENT_MESSAGES,
    Traffic.SENT_BYTES,
    Traffic.RECEIVED_FRAMES,
    Traffic.RECEIVED_MESSAGES,
    Traffic.RECEIVED_BYTES,
)


def _count_frame(counts: list[int], messages: int, size_bytes: int) -> None:
    counts[0] += 1
    counts[1] += messages
    counts[2] += size_bytes
