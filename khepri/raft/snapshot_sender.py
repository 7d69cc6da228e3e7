"""A snapshot going out to one peer, piece by piece (Raft §7, figure 13).

Here: which piece is next, when to repeat it, when to give up and for how long. Not here: that a
peer needs one (`replication.py`), receiving (`snapshot_receiver.py`), reading (the shell).

One piece is on its way at a time. A piece not acknowledged is read and sent again, but not before
the peer has answered a heartbeat that was sent behind it: until then the piece may still be on a
slow link, where one more would only lengthen the queue. The last one is repeated also while the
peer installs, since its answer shows that it is alive. The end comes as an ordinary confirmation
of entries, by whatever way: the snapshot installed, or found unnecessary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import EndSnapshotSend, ReadSnapshotChunk
from .messages import InstallSnapshotRequest, InstallSnapshotResponse
from .types import Index

if TYPE_CHECKING:
    from .events import SnapshotChunkRead
    from .progress import Progress
    from .server import Server
    from .types import SnapshotMeta


@dataclass(slots=True)
class SnapshotTransfer:
    """One attempt to send a snapshot to one peer. Leader only, volatile.

    Attributes:
        transfer_id: its name; grows from attempt to attempt.
        meta: what the snapshot stands for; a newer one does not replace it midway.
        followed_by_bytes: how much data of the log followed it when it was begun.
        progressed_at: when the peer last asked for more.
        resend_at: when the piece is read and sent again.
        offset: of the piece being read or waiting to be acknowledged.
        end: where the snapshot ends; None until the last piece was read.
        delivered: whether the peer has stored it all and only has to install it.
        on_its_way: whether the piece was sent, and no heartbeat behind it has been answered.
        round_behind: the first heartbeat round that went out behind the piece; None before.
    """

    transfer_id: int
    meta: SnapshotMeta
    followed_by_bytes: int
    progressed_at: float
    resend_at: float
    offset: int = 0
    end: int | None = None
    delivered: bool = False
    on_its_way: bool = False
    round_behind: int | None = None


class SnapshotSender:
    """Sends the newest snapshot to peers that need it."""

    def __init__(self, server: Server) -> None:
        """Keep the shared state; there is none beside the transfers in each `Progress`."""
        self._server = server

    def start(self, progress: Progress) -> None:
        """Begin with the newest snapshot, unless the peer is silent or is to be left alone.

        Nor if its machine is of a release that could not read it.
        """
        server = self._server
        if not self._answers(progress) or server.now < progress.backoff_until:
            return
        assert server.snapshot is not None, "entries are only dropped under a snapshot"
        if not progress.knows(server.snapshot.machine_version):
            return
        transfer = SnapshotTransfer(
            server.next_id(),
            server.snapshot,
            server.log.bytes_after(server.snapshot.index),
            server.now,
            server.now,
        )
        progress.become_snapshot(transfer)
        self._read(transfer)

    def _answers(self, progress: Progress) -> bool:
        """Tell whether the peer has answered lately; reading for a silent one is in vain."""
        silence_seconds = self._server.now - progress.last_contact
        longest = self._server.settings.election_timeout_max_seconds
        return progress.heard and silence_seconds <= longest

    def _read(self, transfer: SnapshotTransfer) -> None:
        settings = self._server.settings
        transfer.resend_at = self._server.now + settings.snapshot_retransmit_seconds
        self._server.effects.append(
            ReadSnapshotChunk(
                transfer.transfer_id,
                transfer.meta,
                transfer.offset,
                settings.snapshot_chunk_bytes,
            )
        )

    def on_chunk_read(self, progress: Progress, chunk: SnapshotChunkRead) -> None:
        """Send the piece that was read, if it is still the one wanted."""
        server, transfer = self._server, progress.transfer
        assert transfer is not None, "the caller found the transfer"
        if chunk.offset != transfer.offset:
            return
        if chunk.done:
            transfer.end = chunk.offset + len(chunk.data)
        transfer.resend_at = server.now + server.settings.snapshot_retransmit_seconds
        transfer.on_its_way, transfer.round_behind = True, None
        request = InstallSnapshotRequest(
            server.term,
            transfer.transfer_id,
            transfer.meta,
            chunk.offset,
            chunk.data,
            chunk.done,
        )
        server.send(progress.server_id, request)

    def on_response(self, progress: Progress, response: InstallSnapshotResponse) -> None:
        """Go on with the next piece; answers to other attempts mean nothing."""
        transfer = progress.transfer
        if transfer is None or response.transfer_id != transfer.transfer_id:
            return
        if not response.accepted:
            self.fail(progress)
            return
        if transfer.delivered:
            transfer.progressed_at = self._server.now
        elif response.next_offset > transfer.offset:
            transfer.progressed_at = self._server.now
            progress.catch_up_bytes = transfer.followed_by_bytes + response.next_offset
            if transfer.end is not None and response.next_offset >= transfer.end:
                transfer.delivered = True
            else:
                transfer.offset = response.next_offset
                transfer.on_its_way = False
                self._read(transfer)

    def heartbeat_sent(self, progress: Progress, heartbeat_round: int) -> None:
        """Note that a heartbeat goes out behind the piece."""
        transfer = progress.transfer
        if transfer is not None and transfer.on_its_way and transfer.round_behind is None:
            transfer.round_behind = heartbeat_round

    def heartbeat_answered(self, progress: Progress, heartbeat_round: int) -> None:
        """Note what shows that the piece has arrived, or is lost.

        Links may reorder, so both can be wrong; then a piece goes out twice.
        """
        transfer = progress.transfer
        if transfer is None or transfer.round_behind is None:
            return
        if heartbeat_round >= transfer.round_behind:
            transfer.on_its_way, transfer.round_behind = False, None
            # The acknowledgement follows when the disk has the piece.
            patience_seconds = self._server.settings.snapshot_retransmit_seconds / 2
            transfer.resend_at = max(transfer.resend_at, self._server.now + patience_seconds)

    def tick(self, progress: Progress) -> None:
        """Repeat a piece, or give up."""
        server, transfer = self._server, progress.transfer
        if transfer is None:
            return
        if server.now - transfer.progressed_at >= server.settings.snapshot_timeout_seconds:
            self.fail(progress)
        elif (
            not transfer.on_its_way
            and server.now >= transfer.resend_at
            and self._answers(progress)
        ):
            self._read(transfer)

    def on_unreadable(self, progress: Progress) -> None:
        """Send the snapshot that has replaced this one, at once; if there is none, try later.

        The peer has done nothing wrong. To leave it alone for a while would be to miss the next
        snapshots too, where they are taken faster than that.
        """
        assert progress.transfer is not None, "the caller found the transfer"
        if progress.transfer.meta == self._server.snapshot:
            self.fail(progress)
            return
        self.end(progress)
        progress.become_probe(progress.next_index)
        self.start(progress)

    def fail(self, progress: Progress) -> None:
        """Give this attempt up and leave the peer alone for a while, longer each time."""
        settings = self._server.settings
        pause = max(progress.backoff_seconds, settings.snapshot_backoff_min_seconds)
        progress.backoff_until = self._server.now + pause
        progress.backoff_seconds = min(2 * pause, settings.snapshot_backoff_max_seconds)
        self.end(progress)
        progress.become_probe(progress.next_index)

    def finish(self, progress: Progress) -> None:
        """Go back to sending entries: the peer has what the snapshot stands for."""
        self.end(progress)
        progress.backoff_seconds = 0.0
        progress.become_probe(Index(progress.match_index + 1))

    def end(self, progress: Progress) -> None:
        """Have the reader closed, if there is one."""
        if progress.transfer is not None:
            self._server.effects.append(EndSnapshotSend(progress.transfer.transfer_id))
            progress.transfer = None
