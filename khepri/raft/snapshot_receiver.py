"""A snapshot coming in: pieces are stored in order, the whole is installed.

Here: which piece is wanted, when to give up, what happens at the end (Raft §7, figure 13).
Not here: sending (`snapshot_sender.py`), storing (the shell).

Entries go on arriving beside the pieces, and an election may happen; only while the snapshot is
being *installed* the log stands still. A log that already holds the snapshot's last entry is
never replaced: it agrees with the snapshot up to there (log matching), so the snapshot only says
how far it is committed, and what follows is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import InstallSnapshot, StoreSnapshotChunk
from .messages import InstallSnapshotRequest, InstallSnapshotResponse

if TYPE_CHECKING:
    from .server import Server
    from .types import ServerId, SnapshotMeta


@dataclass(slots=True)
class _Acceptance:
    """One transfer that is being accepted.

    Attributes:
        sender: the leader it comes from.
        transfer_id: its name.
        meta: what the snapshot stands for.
        next_offset: everything before is stored.
        storing: a piece is on its way to the disk.
        complete: that piece, or the last one stored, is the last of the snapshot.
    """

    sender: ServerId
    transfer_id: int
    meta: SnapshotMeta
    next_offset: int = 0
    storing: bool = False
    complete: bool = False


class SnapshotReceiver:
    """What a member knows about the snapshot that is coming in. Any role; volatile.

    Attributes:
        installing: the snapshot is complete and about to replace log and machine: until that is
            done the log must not change, nothing is applied, and this member does not campaign.
        deadline: when to give up; `math.inf` if nothing is coming in or being installed.
    """

    def __init__(self, server: Server) -> None:
        """Start with nothing coming in."""
        self._server = server
        self._acceptance: _Acceptance | None = None
        self.installing = False
        self.deadline = math.inf

    def on_request(self, sender: ServerId, request: InstallSnapshotRequest) -> None:
        """Take a piece from the leader of this term."""
        acceptance = self._acceptance
        if request.meta.machine_version > self._server.machine_version:
            pass  # nobody here could read it, and the leader is told so with each heartbeat
        elif self.installing:
            if acceptance is not None and acceptance.transfer_id == request.transfer_id:
                self._respond(acceptance)
        elif self._is_covered(request.meta):
            self.abandon()
        elif acceptance is not None and acceptance.transfer_id == request.transfer_id:
            self._take(acceptance, request)
        elif acceptance is not None and request.transfer_id < acceptance.transfer_id:
            pass  # a late piece of an older attempt
        elif request.offset > 0:
            # We were restarted, or gave up: the attempt cannot go on from here.
            self._refuse(sender, request.transfer_id)
        else:
            self.abandon()
            self._acceptance = _Acceptance(sender, request.transfer_id, request.meta)
            self._take(self._acceptance, request)

    def _is_covered(self, meta: SnapshotMeta) -> bool:
        """Tell whether our log holds all the snapshot stands for; the leader is told so."""
        server = self._server
        if meta.index > server.commit_index:
            if server.log.term_at(meta.index) != meta.term:
                return False
            server.commit_to(meta.index)
        server.role.on_shown_committed()
        return True

    def _take(self, acceptance: _Acceptance, request: InstallSnapshotRequest) -> None:
        """Store the piece if it is the one wanted; say again which one is, otherwise."""
        if acceptance.storing or acceptance.complete:
            return  # the answer goes out when it is stored
        if request.offset != acceptance.next_offset:
            self._respond(acceptance)
            return
        acceptance.storing = True
        acceptance.complete = request.done
        self._extend_deadline()
        self._server.effects.append(
            StoreSnapshotChunk(request.transfer_id, request.meta, request.offset, request.data)
        )

    def on_stored(self, transfer_id: int, next_offset: int) -> None:
        """Ask for the next piece, or have the whole installed."""
        acceptance = self._acceptance
        if acceptance is None or acceptance.transfer_id != transfer_id or self.installing:
            return
        acceptance.storing = False
        acceptance.next_offset = next_offset
        self._extend_deadline()
        self._respond(acceptance)
        if acceptance.complete:
            self._install(acceptance)

    def _install(self, acceptance: _Acceptance) -> None:
        meta = acceptance.meta
        if self._is_covered(meta):  # entries have brought us as far meanwhile
            self.abandon()
            return
        self.installing = True
        self.deadline = math.inf
        self._server.effects.append(InstallSnapshot(acceptance.transfer_id, meta))

    def on_installed(self, meta: SnapshotMeta) -> None:
        """Take the snapshot in place of the log."""
        acceptance = self._acceptance
        if not self.installing or acceptance is None or acceptance.meta != meta:
            return
        self._forget()
        self._server.snapshot_installed(meta)
        self._server.role.on_shown_committed()

    def on_failed(self, transfer_id: int) -> None:
        """Tell the sender that this attempt came to nothing."""
        acceptance = self._acceptance
        if acceptance is not None and acceptance.transfer_id == transfer_id:
            self._refuse(acceptance.sender, transfer_id)
            if self.installing:
                # The log may be void on disk already from the snapshot's index on: write it again.
                self._server.written.cut_from(acceptance.meta.index)
            self._forget()

    def on_deadline(self) -> None:
        """Give up: the sender has stopped sending."""
        self.abandon()

    def abandon(self) -> None:
        """Throw away what came in so far, unless it is complete and being installed.

        What is being installed is committed whoever leads now, so it may as well be finished.
        """
        if self._acceptance is not None and not self.installing:
            self._server.discard_snapshot(self._acceptance.transfer_id)
            self._forget()

    def _forget(self) -> None:
        self._acceptance = None
        self.installing = False
        self.deadline = math.inf

    def _extend_deadline(self) -> None:
        self.deadline = self._server.now + self._server.settings.snapshot_timeout_seconds

    def _respond(self, acceptance: _Acceptance) -> None:
        term, offset = self._server.term, acceptance.next_offset
        answer = InstallSnapshotResponse(term, acceptance.transfer_id, offset, accepted=True)
        self._server.send(acceptance.sender, answer)

    def _refuse(self, sender: ServerId, transfer_id: int) -> None:
        answer = InstallSnapshotResponse(self._server.term, transfer_id, 0, accepted=False)
        self._server.send(sender, answer)
