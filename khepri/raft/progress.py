"""What a leader knows about one peer, and how much it may send it.

Here: one peer's indexes, its window, its three states (the shape is etcd's: probe, replicate,
snapshot). Not here: building messages (`replication.py`), the pieces of a snapshot
(`snapshot_sender.py`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .machine_versions import FIRST_VERSION
from .types import Index

if TYPE_CHECKING:
    from .settings import RaftSettings
    from .snapshot_sender import SnapshotTransfer
    from .types import ServerId


class ProgressState(Enum):
    """How entries go to a peer."""

    PROBE = "probe"
    """Where the logs agree is a guess: one message at a time, until one succeeds."""
    REPLICATE = "replicate"
    """They agree: messages go out without waiting, as far as the window allows."""
    SNAPSHOT = "snapshot"
    """The peer needs entries that are gone: a snapshot is on its way."""


@dataclass(frozen=True, slots=True)
class PeerState:
    """One peer at one moment, for those who watch a cluster.

    Attributes:
        match_index: up to here the peer has confirmed the leader's log.
        state: ``probe``, ``replicate`` or ``snapshot``, see `ProgressState`.
        is_reachable: whether it has answered within the longest election timeout.
        has_forgotten: whether it lacks what it has confirmed, see `Progress`.
        machine_version: the highest that it knows; 0 until it has said so.
    """

    match_index: Index
    state: str
    is_reachable: bool
    has_forgotten: bool
    machine_version: int


class Progress:
    """One peer, as the leader of this term sees it. Leader only, volatile, new in each term.

    Attributes:
        server_id: who.
        uid: which incarnation; another one starts from nothing.
        state: see `ProgressState`.
        match_index: up to here the peer's log is durable and equal to ours; never goes down.
        next_index: what to send next. Invariant: match_index < next_index.
        sent_index: the last index sent since the last guess; 0 if nothing was.
        probe_sent: in PROBE, whether the one message is out.
        last_contact: when it last answered in this term; when the term began, before that.
        heard: whether it has answered in this term at all.
        read_round: the newest heartbeat round it has answered in this term.
        trusted_until: so long its promise to elect nobody else can be trusted; see `lease.py`.
        commit_sent: the commit index it was last told.
        machine_version: the highest version of the machine that it knows; 0 until it has said so.
        transfer: the snapshot on its way; set exactly in SNAPSHOT.
        catch_up_bytes: how much data of the log may be kept for it since it is sent a snapshot:
            what followed that when it was begun, and as much as has arrived of it.
        backoff_seconds: how long the pause after the next failed snapshot will be.
        backoff_until: no snapshot is sent before.
        has_forgotten: whether it has refused what it had confirmed: its disk holds less than it
            did, as after an old copy of it was put back. What it confirmed stays counted, and
            nothing new is counted on it in this term.
        departure_index: where the log removes it; None while it is a member. It is followed
            until it knows, so that it does not campaign for ever.
    """

    def __init__(self, server_id: ServerId, uid: str, next_index: Index, now: float) -> None:
        """Begin with a guess: its log ends where ours did."""
        self.server_id = server_id
        self.uid = uid
        self.state = ProgressState.PROBE
        self.match_index = Index(0)
        self.next_index = next_index
        self.sent_index = Index(0)
        self.probe_sent = False
        self.last_contact = now
        self.heard = False
        self.read_round = 0
        self.trusted_until = -math.inf
        self.commit_sent = Index(0)
        self.machine_version = 0
        self.transfer: SnapshotTransfer | None = None
        self.catch_up_bytes = 0
        self.backoff_seconds = 0.0
        self.backoff_until = -math.inf
        self.has_forgotten = False
        self.departure_index: Index | None = None
        self._inflight: deque[tuple[Index, int]] = deque()
        self._inflight_bytes = 0
        # The heartbeat round whose answer shows whether messages were lost, and the last index
        # that had been sent when it went out.
        self._loss_check_round = 0
        self._loss_check_index = Index(0)

    def knows(self, machine_version: int) -> bool:
        """Tell whether it is known to apply entries by a version of the machine."""
        return max(self.machine_version, FIRST_VERSION) >= machine_version

    def become_probe(self, next_index: Index) -> None:
        """Go back to guessing, from `next_index` on."""
        assert next_index > self.match_index, "what matched needs no guess"
        self.state = ProgressState.PROBE
        self.next_index = next_index
        self.sent_index = Index(0)
        self.probe_sent = False
        self.transfer = None
        self._inflight.clear()
        self._inflight_bytes = 0

    def become_replicate(self) -> None:
        """Stop guessing: the peer has confirmed that the logs agree."""
        self.state = ProgressState.REPLICATE
        self.transfer = None

    def become_snapshot(self, transfer: SnapshotTransfer) -> None:
        """Stop sending entries: a snapshot is on its way."""
        self.become_probe(self.next_index)
        self.state = ProgressState.SNAPSHOT
        self.transfer = transfer
        self.catch_up_bytes = transfer.followed_by_bytes

    def has_room(self, settings: RaftSettings) -> bool:
        """Tell whether another message fits in the window."""
        return (
            len(self._inflight) < settings.max_inflight_messages
            and self._inflight_bytes < settings.max_inflight_bytes
        )

    def sent(self, last_index: Index, size_bytes: int) -> None:
        """Note a message with entries up to `last_index`, or with none behind it."""
        self.sent_index = last_index
        if self.state is ProgressState.PROBE:
            self.probe_sent = True
        else:
            self.next_index = Index(last_index + 1)
            self._inflight.append((last_index, size_bytes))
            self._inflight_bytes += size_bytes

    def confirmed(self, index: Index) -> bool:
        """Note that the peer holds all up to `index`; tell whether that is news."""
        if index <= self.match_index:
            return False
        self.match_index = index
        self.next_index = max(self.next_index, Index(index + 1))
        while self._inflight and self._inflight[0][0] <= index:
            self._inflight_bytes -= self._inflight.popleft()[1]
        return True

    def expect_answer(self, heartbeat_round: int) -> None:
        """Note that heartbeat `heartbeat_round` goes out behind all that was sent so far."""
        if self.read_round >= self._loss_check_round:
            self._loss_check_round = heartbeat_round
            self._loss_check_index = self.sent_index

    def answered(self, heartbeat_round: int, validated_index: Index) -> None:
        """Note an answer to a heartbeat, and what it shows to be lost, or not.

        Links may reorder, so "lost" can be wrong; then some entries go out twice.

        Args:
            heartbeat_round: which heartbeat it answers.
            validated_index: up to where the peer's log is proven to be ours.
        """
        is_check = self.read_round < self._loss_check_round <= heartbeat_round
        lost = is_check and validated_index < self._loss_check_index
        self.read_round = max(self.read_round, heartbeat_round)
        if self.state is ProgressState.SNAPSHOT:
            return
        if validated_index < self.match_index:  # it was restarted, and must be shown again
            self.become_probe(Index(self.match_index + 1))
        elif self.state is ProgressState.REPLICATE:
            if lost:
                self.become_probe(Index(max(self.match_index, validated_index) + 1))
        elif validated_index >= self.next_index - 1:  # what a probe is to find out
            self.next_index = Index(validated_index + 1)
            self.become_replicate()
        elif lost:
            self.probe_sent = False

    def contact(self, now: float) -> None:
        """Note that the peer has answered something in this term."""
        self.last_contact = now
        self.heard = True
