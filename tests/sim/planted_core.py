"""Bugs planted in the Raft core, and in the pump before it: the net must catch each one.

Each is a mistake somebody could make, or has made. They are patched in for the time of a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.actors.origin import Origin
from khepri.raft import core, election, peers, quorum
from khepri.raft.follower import Follower
from khepri.raft.leader import Leader
from khepri.raft.log_view import LogView
from khepri.raft.machine_versions import VersionHistory
from khepri.raft.membership import ConfigurationHistory
from khepri.raft.peers import Peers
from khepri.raft.progress import Progress
from khepri.raft.quorum import VoteTally, quorum_value
from khepri.raft.reads import LeaderReads
from khepri.raft.reserve import Reserve
from khepri.raft.server import Server
from khepri.raft.snapshot_receiver import SnapshotReceiver
from khepri.raft.types import HardState, Index
from khepri.raft.written import Written
from tests.sim.planting import Planted, planted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from khepri.raft.types import Entry

CORE_BUGS: list[Planted] = []
_plant = planted(CORE_BUGS)


@_plant("a vote is not persisted", core, "HardState")
def _hard_state(term: Any, voted_for: Any) -> HardState:
    del voted_for
    return HardState(term, None)


@_plant("a new term is not persisted", Server, "_advance_term")
def _advance_term(self: Any, term: Any) -> None:
    self.term = term
    self.voted_for = None
    self.receiver.abandon()


@_plant("an entry of an old term is committed by counting", Leader, "_advance_commit_index")
def _advance_commit_index(self: Any) -> None:
    index = self.peers.majority_holds()
    if index > self._server.commit_index:
        self._server.commit_to(index)


@_plant("a vote that comes twice counts twice", VoteTally, "grant")
def _grant(self: Any, voter: Any) -> None:
    self.granted.add((voter, len(self.granted)))


@_plant("half of the voters are a majority", quorum, "quorum_size")
def _quorum_size(voter_count: int) -> int:
    return max(1, voter_count // 2)


@_plant("the log of a candidate is not looked at", election, "_log_is_up_to_date")
def _log_is_up_to_date(server: Any, request: Any) -> bool:
    del server, request
    return True


@_plant("an append cuts what follows it", Follower, "on_append_entries")
def _cut_behind(self: Any, request: Any) -> None:
    server = self._server
    last = request.previous_log_index + len(request.entries)
    if not server.receiver.installing and server.commit_index < last < server.log.last_index:
        server.truncate_from(Index(last + 1))
        self.validated_index = min(self.validated_index, last)
    _on_append_entries(self, request)


_on_append_entries = Follower.on_append_entries


@_plant("a conflict of terms is not noticed", LogView, "find_conflict")
def _find_conflict(self: Any, entries: Sequence[Entry]) -> int:
    for position, entry in enumerate(entries):
        if entry.index > self.last_index:
            return position
    return len(entries)


@_plant("all that is held is taken for the leader's", Follower, "_validated_up_to")
def _validated_up_to(self: Any, index: Any) -> None:
    self.validated_index = max(index, self._server.log.last_index)


@_plant("entries are confirmed before they are written", Follower, "_confirmed")
def _confirmed(self: Any, durable: Any) -> Any:
    del durable
    index = min(self._server.log.last_index, self.validated_index)
    return index, self._server.log.term_at(index)


@_plant("entries are confirmed that are not the leader's", Follower, "_confirmed")
def _confirmed_unproven(self: Any, durable: Any) -> Any:
    return durable, self._server.log.term_at(durable)


@_plant("a leader counts itself before its disk has written", Peers, "majority_holds")
def _majority_holds(self: Any) -> Any:
    held = [int(progress.match_index) for progress in self.voters]
    if self.counts_itself:
        held.append(self._server.log.last_index)
    return Index(quorum_value(held))


@_plant("the best minority counts as the majority", peers, "quorum_value")
def _quorum_value(values: Iterable[int]) -> int:
    ascending = sorted(values)
    return ascending[len(ascending) // 2 if len(ascending) % 2 == 0 else -1] if ascending else 0


@_plant("a leader that was removed counts itself", Peers, "configuration_changed")
def _counts_itself(self: Any) -> None:
    _configuration_changed(self)
    self.counts_itself = True


_configuration_changed = Peers.configuration_changed


@_plant("a replaced member keeps what its former self had", Peers, "forget")
def _forget(self: Any, progress: Any) -> None:
    member = self._server.configuration.find(progress.server_id)
    if member is not None:
        progress.uid = member.uid
    else:
        _peers_forget(self, progress)


_peers_forget = Peers.forget


@_plant("a late notice confirms what was overwritten", Written, "cut_from")
def _cut_from(self: Any, index: Any) -> None:
    self.last_index = min(self.last_index, Index(index - 1))
    self.first_unsubmitted = min(self.first_unsubmitted, index)


@_plant("cutting the log forgets to unconfirm", Written, "cut_from")
def _cut_from_only_submitted(self: Any, index: Any) -> None:
    self.first_unsubmitted = min(self.first_unsubmitted, index)


@_plant("reads do not wait for a majority", LeaderReads, "take_confirmed")
def _take_confirmed(self: Any, number: int) -> Any:
    del number
    confirmed, self.under_way = self.under_way, None
    return confirmed


@_plant("a new leader reads before it has committed", Leader, "_own_term_committed")
def _own_term_committed(self: Any) -> bool:
    del self
    return True


_own_term_committed_property = property(_own_term_committed)
CORE_BUGS[-1] = CORE_BUGS[-1]._replace(replacement=_own_term_committed_property)


@_plant("members are changed while a change is under way", Leader, "_may_change_members")
def _may_change_members(self: Any) -> bool:
    del self
    return True


CORE_BUGS[-1] = CORE_BUGS[-1]._replace(replacement=property(_may_change_members))


@_plant("a change that was cut off stays in effect", ConfigurationHistory, "cut_from")
def _configuration_cut_from(self: Any, index: Any) -> bool:
    del self, index
    return False


@_plant("a snapshot carries the newest configuration", ConfigurationHistory, "at")
def _configuration_at(self: Any, index: Any) -> Any:
    del index
    return self.current


@_plant("the machine version is raised without asking anybody", Peers, "lowest_machine_version")
def _lowest_machine_version(self: Any) -> int:
    return int(self._server.machine_version)


@_plant("a raised machine version is forgotten by a snapshot", VersionHistory, "at")
def _version_at(self: Any, index: Any) -> int:
    del self, index
    return 1


@_plant("an installed snapshot drops a suffix that agrees", SnapshotReceiver, "_is_covered")
def _is_covered(self: Any, meta: Any) -> bool:
    covered = bool(meta.index <= self._server.commit_index)
    if covered:
        self._server.role.on_shown_committed()
    return covered


@_plant("an installed snapshot leaves the commit index", Server, "snapshot_installed")
def _snapshot_installed(self: Any, meta: Any) -> None:
    _installed(self, meta)
    self.last_applied = Index(meta.index - 1)


_installed = Server.snapshot_installed


@_plant("lost appends are never noticed", Progress, "answered")
def _answered(self: Any, heartbeat_round: int, validated_index: Any) -> None:
    _progress_answered(self, heartbeat_round, max(validated_index, self._loss_check_index))


_progress_answered = Progress.answered


@_plant("match index goes up with what was sent", Progress, "confirmed")
def _progress_confirmed(self: Any, index: Any) -> bool:
    return _progress_is_confirmed(self, Index(max(index, self.sent_index)))


_progress_is_confirmed = Progress.confirmed


@_plant("commands are numbered anew when sent again", Origin, "rewind")
def _rewind(self: Any) -> None:
    self._first_in_flight += self._sent
    self._sent = 0


@_plant("what is held back waits for the next race", Reserve, "resting")
def _resting(self: Any) -> Sequence[Progress]:
    if not self._server.settings.hold_back_seconds or self._is_racing():
        return ()
    reserve: Sequence[Progress] = self._reserve
    return reserve
