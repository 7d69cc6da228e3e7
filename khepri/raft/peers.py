"""All peers of a leader: what their answers teach, and what a majority of them has.

Here: who the peers are, finding agreement with each, by entries or a snapshot, majorities.
Not here: one peer's indexes and states (`progress.py`), sending (`replication.py`,
`snapshot_sender.py`), conclusions (`leader.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .progress import PeerState, Progress, ProgressState
from .quorum import quorum_size, quorum_value
from .types import Index, MemberKind

if TYPE_CHECKING:
    from .events import SnapshotChunkRead
    from .lease import Lease
    from .messages import AppendEntriesResponse, HeartbeatResponse, InstallSnapshotResponse
    from .server import Server
    from .snapshot_sender import SnapshotSender
    from .types import Configuration, Member, ServerId, Term


class Peers:
    """What a leader knows about the others. Leader only, volatile, new in each term.

    Attributes:
        all: each other member, and each removed one that may not know it yet.
        voters: those of them that vote.
        promotable: those that are to become voters.
        counts_itself: whether the leader is a voter. Not while its own removal is under way.
        recount: whether something that counts for the commit index has moved.
    """

    def __init__(self, server: Server, snapshots: SnapshotSender, lease: Lease) -> None:
        """Know the members of the configuration in effect, and nothing about them."""
        self._server = server
        self._snapshots = snapshots
        self._lease = lease
        self.all: dict[ServerId, Progress] = {}
        self.voters: list[Progress] = []
        self.promotable: list[Progress] = []
        self.counts_itself = False
        self.recount = False
        self.configuration_changed()

    def configuration_changed(self) -> None:
        """Follow the members of the configuration now in effect, and count by it."""
        server = self._server
        current = server.configuration
        for progress in list(self.all.values()):
            member = current.find(progress.server_id)
            if member is None:
                progress.departure_index = server.configurations.index
            elif member.uid != progress.uid:
                self.forget(progress)
        self.voters, self.promotable = [], []
        for member in current.members:
            if member.server_id == server.server_id:
                continue
            peer = self.all.get(member.server_id) or self._meet(member)
            peer.departure_index = None
            if member.kind is MemberKind.VOTER:
                self.voters.append(peer)
            elif member.kind is MemberKind.PROMOTABLE:
                self.promotable.append(peer)
        self.counts_itself = server.kind is MemberKind.VOTER
        self.recount = True
        self._lease.recount(self.voters, counts_itself=self.counts_itself)

    def _meet(self, member: Member) -> Progress:
        next_index = Index(self._server.log.last_index + 1)
        peer = Progress(member.server_id, member.uid, next_index, self._server.now)
        self.all[member.server_id] = peer
        return peer

    def forget(self, progress: Progress) -> None:
        """Drop a peer."""
        self._snapshots.end(progress)
        del self.all[progress.server_id]

    def follow_out(self) -> None:
        """Drop the removed peers that know it, or cannot be told."""
        commit_index = self._server.commit_index
        for progress in list(self.all.values()):
            departure_index = progress.departure_index
            if departure_index is None or departure_index > commit_index:
                continue
            knows = progress.commit_sent >= departure_index
            unreachable = progress.last_contact < self.heard_since
            if knows or unreachable or progress.state is ProgressState.SNAPSHOT:
                self.forget(progress)

    def first_needed(self) -> int:
        """Give the first index that a peer needs which is reachable and catches up.

        A peer that a snapshot is on its way to needs what follows it; otherwise the next one might
        be taken before this one has arrived, and so on for as long as others write. Such a peer
        may be silent for as long as a slow link carries a piece; a transfer has its own timeout.
        """
        needed = self._server.log.last_index + 1
        for progress in self.all.values():
            transfer = progress.transfer
            if transfer is not None or progress.last_contact >= self.heard_since:
                held = progress.match_index if transfer is None else transfer.meta.index
                if held:
                    needed = min(needed, held + 1)
        return needed

    def most_needed_bytes(self) -> int:
        """Give how much data of the log may be kept for those that catch up.

        Whoever is sent a snapshot has a share that grows with what arrives of it, so that it
        catches up, however long that takes, if only its link carries more than is written.
        """
        shares = [progress.catch_up_bytes for progress in self.all.values()]
        return max([self._server.settings.catch_up_bytes, *shares])

    # --- answers ---------------------------------------------------------------------------

    @property
    def heard_since(self) -> float:
        """From when on an answer shows that a peer is reachable."""
        return self._server.now - self._server.settings.election_timeout_max_seconds

    def contact(self, sender: ServerId) -> Progress | None:
        """Note that a peer has answered in this term; None if it is none."""
        progress = self.all.get(sender)
        if progress is not None:
            if progress.last_contact < self.heard_since:  # it is back: no need to wait
                progress.backoff_seconds, progress.backoff_until = 0.0, -math.inf
            progress.contact(self._server.now)
        return progress

    def on_append_entries_response(
        self, sender: ServerId, response: AppendEntriesResponse
    ) -> None:
        """Learn what a peer holds, or where the logs part (Raft §5.3)."""
        progress = self.contact(sender)
        if progress is None:
            return
        if not response.success:
            self._refused(progress, response)
        elif self._confirmed(progress, response.last_index, response.last_term) and (
            progress.state is ProgressState.PROBE
        ):
            progress.become_replicate()

    def on_heartbeat_response(self, sender: ServerId, response: HeartbeatResponse) -> None:
        """Learn that a peer follows, and what it lacks."""
        progress = self.contact(sender)
        if progress is not None:
            validated_index = min(response.validated_index, self._server.log.last_index)
            progress.answered(response.round, validated_index)
            progress.machine_version = response.machine_version
            self._snapshots.heartbeat_answered(progress, response.round)
            self._lease.answered(progress, response.round, response.promise_milliseconds)
            self._lease.recount(self.voters, counts_itself=self.counts_itself)
            self._confirmed(progress, response.last_index, response.last_term)

    def _confirmed(self, progress: Progress, index: Index, term: Term) -> bool:
        """Count what a peer has made durable; tell whether it is an entry of ours.

        Where ours is compacted it was committed, and the follower has compared.
        """
        log = self._server.log
        our_term = log.term_at(index)
        if index > log.last_index or our_term not in (None, term):
            return False
        if index >= progress.match_index:
            progress.has_forgotten = False
        if progress.confirmed(index):
            self.recount = True
        transfer = progress.transfer
        if transfer is not None and (our_term is not None or index >= transfer.meta.index):
            self._snapshots.finish(progress)  # by whatever way it got there
        return True

    def _refused(self, progress: Progress, response: AppendEntriesResponse) -> None:
        """Try again where the logs can agree, by the hint and by what we hold.

        A refusal is old, and ignored, if what it refuses is confirmed by now, or if it is not
        what was asked last.
        """
        previous = response.previous_log_index
        answers_probe = (
            progress.state is ProgressState.PROBE and previous == progress.next_index - 1
        )
        if answers_probe and response.last_index < progress.match_index:
            progress.has_forgotten = True
        asked = answers_probe or progress.state is ProgressState.REPLICATE
        if previous <= progress.match_index or not asked:
            return
        log = self._server.log
        agreed, term = log.last_with_term_at_most(response.last_index, response.last_term)
        if response.last_index < log.base_index or term > response.last_term:
            next_index = log.base_index  # only below what we hold: for this a snapshot is sent
        else:
            next_index = Index(min(agreed + 1, previous))
        progress.become_probe(max(next_index, Index(progress.match_index + 1)))

    def on_install_snapshot_response(
        self, sender: ServerId, response: InstallSnapshotResponse
    ) -> None:
        """Send the next piece."""
        progress = self.contact(sender)
        if progress is not None:
            self._snapshots.on_response(progress, response)

    def on_chunk_read(self, chunk: SnapshotChunkRead) -> None:
        """Send the piece that was read."""
        progress = self._find_transfer(chunk.transfer_id)
        if progress is not None:
            self._snapshots.on_chunk_read(progress, chunk)

    def on_chunk_unreadable(self, transfer_id: int) -> None:
        """Try again with the newest snapshot: at once if it is another one, later if not."""
        progress = self._find_transfer(transfer_id)
        if progress is not None:
            self._snapshots.on_unreadable(progress)

    def _find_transfer(self, transfer_id: int) -> Progress | None:
        for progress in self.all.values():
            if progress.transfer is not None and progress.transfer.transfer_id == transfer_id:
                return progress
        return None

    def reachable(self, progress: Progress) -> bool:
        """Tell whether a peer has answered lately."""
        return progress.heard and progress.last_contact >= self.heard_since

    def states(self) -> dict[ServerId, PeerState]:
        """Give how far each is."""
        return {
            server_id: PeerState(
                progress.match_index,
                progress.state.value,
                self.reachable(progress),
                progress.has_forgotten,
                progress.machine_version,
            )
            for server_id, progress in self.all.items()
        }

    def lowest_machine_version(self) -> int:
        """Give the highest version of the machine that all members know; 0 if one has not said."""
        return min(
            [self._server.machine_version]
            + [it.machine_version for it in self.all.values() if it.departure_index is None]
        )

    # --- majorities ------------------------------------------------------------------------

    def can_do_with(self, planned: Configuration) -> bool:
        """Tell whether a configuration with fewer voters has a majority that answers now.

        It is in effect at once, and is undone by nobody: where it cannot be committed, no member
        leads any more, though a majority of the former voters lives.
        """
        if len(planned.voters) >= len(self._server.configuration.voters):
            return True
        answering = {self._server.server_id}
        answering.update(of for of, progress in self.all.items() if self.reachable(progress))
        return len(answering.intersection(planned.voters)) >= quorum_size(len(planned.voters))

    @property
    def somebody_is_ahead(self) -> bool:
        """Whether a voter, if there is another, holds more than is committed."""
        committed = self._server.commit_index
        for progress in self.voters:
            if progress.match_index > committed:
                return True
        return not self.voters

    def majority_holds(self) -> Index:
        """Give the highest index that a majority of the voters has on disk.

        The leader is counted like any voter: if it is one, with what its own disk has confirmed.
        """
        own = [self._server.written.last_index] if self.counts_itself else []
        if not self.voters:
            return own[0] if own else Index(0)
        return Index(quorum_value([*own, *[progress.match_index for progress in self.voters]]))

    def majority_answered(self, newest_round: int) -> int:
        """Give the newest heartbeat round that a majority of the voters has answered.

        Args:
            newest_round: what the leader counts for itself.
        """
        answered = [progress.read_round for progress in self.voters]
        if self.counts_itself:
            answered.append(newest_round)
        return quorum_value(answered)

    def majority_heard(self) -> bool:
        """Tell whether a majority has answered lately (check-quorum, dissertation §6.2)."""
        heard_since = self.heard_since
        heard = sum(progress.last_contact >= heard_since for progress in self.voters)
        voter_count = len(self.voters) + self.counts_itself
        return heard + self.counts_itself >= quorum_size(voter_count)
