"""Sending entries to the peers (Raft §5.3).

Here: which message a peer gets next. Not here: what is known about a peer (`progress.py`), what
its answers do (`peers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .messages import NO_ANSWER, AppendEntriesRequest, Heartbeat
from .progress import ProgressState
from .types import Index

if TYPE_CHECKING:
    from .progress import Progress
    from .server import Server
    from .snapshot_sender import SnapshotSender


class Replication:
    """Brings the peers' logs up to the leader's, as far as their windows allow."""

    def __init__(self, server: Server, snapshots: SnapshotSender) -> None:
        """Keep the shared state."""
        self._server = server
        self._snapshots = snapshots
        # Peers that are equally far get the same message object, so that its entries are gathered
        # once: (next index, commit index, last index) -> message and its size.
        self._shared_key = (Index(0), Index(0), Index(0))
        self._shared: tuple[AppendEntriesRequest, int] | None = None

    def advance(self, progress: Progress) -> None:
        """Send the peer all it can take now."""
        server = self._server
        if progress.state is ProgressState.PROBE and not progress.probe_sent:
            self._send_entries(progress)
        elif progress.state is ProgressState.REPLICATE:
            while (
                progress.next_index <= server.log.last_index
                and progress.has_room(server.settings)
                and self._send_entries(progress)
            ):
                pass
            self._send_commit_index(progress)

    def _send_entries(self, progress: Progress) -> bool:
        """Send one message from the next index on; a snapshot if the log no longer has it."""
        server = self._server
        if server.log.term_at(progress.next_index - 1) is None:
            self._snapshots.start(progress)
            return False
        request, size_bytes = self._request_from(progress.next_index)
        server.send(progress.server_id, request)
        last_sent = Index(progress.next_index + len(request.entries) - 1)
        progress.sent(last_sent, size_bytes)
        progress.commit_sent = max(progress.commit_sent, min(last_sent, server.commit_index))
        return True

    def _request_from(self, first: Index) -> tuple[AppendEntriesRequest, int]:
        """Give the message with the entries from `first` on, and how much data it holds."""
        server = self._server
        key = (first, server.commit_index, server.log.last_index)
        if self._shared is None or self._shared_key != key:
            settings = server.settings
            entries, size_bytes = server.log.batch(
                first, settings.max_append_entries, settings.max_append_bytes
            )
            previous_term = server.log.term_at(first - 1)
            assert previous_term is not None, "the caller has looked"
            request = AppendEntriesRequest(
                server.term, Index(first - 1), previous_term, server.commit_index, entries
            )
            self._shared, self._shared_key = (request, size_bytes), key
        return self._shared

    def _send_commit_index(self, progress: Progress) -> None:
        """Tell a peer the commit index at once if no entries carried it."""
        known = min(progress.match_index, self._server.commit_index)
        if known > progress.commit_sent:
            progress.commit_sent = known
            self._server.send(progress.server_id, Heartbeat(self._server.term, known, NO_ANSWER))

    def send_heartbeat(self, progress: Progress, heartbeat_round: int) -> None:
        """Tell a peer that we lead, and ask it to confirm that."""
        known = min(progress.match_index, self._server.commit_index)
        progress.commit_sent = max(progress.commit_sent, known)
        progress.expect_answer(heartbeat_round)
        self._snapshots.heartbeat_sent(progress, heartbeat_round)
        self._server.send(progress.server_id, Heartbeat(self._server.term, known, heartbeat_round))
