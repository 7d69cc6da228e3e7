"""What a server tells about itself: `khepri.cluster.status`, and a word in the logs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from khepri.raft.core import RaftCore
    from khepri.raft.types import ServerId

    from .access import StoreAccess
    from .server_snapshots import ServerSnapshots

_logger = logging.getLogger("khepri.actors.ra_server")


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """Another member, as the leader sees it.

    Attributes:
        server_id: which.
        kind: ``voter``, ``promotable`` while it catches up to become one, or ``non_voter``.
        match_index: up to here it has the leader's log on its disk, as far as it has said.
        state: ``replicate``, or ``probe`` while the leader finds out where their logs part, or
            ``snapshot`` while it is sent one.
        is_reachable: whether it has answered within the longest election timeout.
        has_forgotten: whether it lacks what it has confirmed, as when an old copy of its
            directory was put back. Delete the directory and let the node join again.
        machine_version: the highest version of the machine that its release knows, 0 until it has
            said so. The lowest of all members is the store's.
    """

    server_id: ServerId
    kind: str
    match_index: int
    state: str
    is_reachable: bool
    has_forgotten: bool
    machine_version: int


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server at one moment.

    Attributes:
        server_id: which.
        role: ``follower``, ``pre_candidate``, ``candidate`` or ``leader``.
        kind: as of `PeerStatus`; None if it is no member as far as it knows.
        term: its current term.
        leader: who leads, as far as it knows.
        members: the configuration in effect, sorted.
        kinds: of each of these, as of `PeerStatus`, in the same order.
        commit_index: the highest index it knows to be committed.
        last_applied: the highest index its machine has applied.
        last_index: the highest index in its log.
        last_written: the highest index of its log that is on its disk.
        snapshot_index: the index of its newest snapshot, 0 without.
        snapshot_bytes: the size of that snapshot's file.
        tree_nodes: how many tree nodes there are, the root included.
        machine_version: the version of the machine that applies the log here; it rises when all
            members run a release that knows a higher one.
        peers: the other members, sorted, with how far they are; the leader alone knows, so it is
            empty elsewhere.
    """

    server_id: ServerId
    role: str
    kind: str | None
    term: int
    leader: ServerId | None
    members: tuple[ServerId, ...]
    kinds: tuple[str, ...]
    commit_index: int
    last_applied: int
    last_index: int
    last_written: int
    snapshot_index: int
    snapshot_bytes: int
    tree_nodes: int
    machine_version: int
    peers: tuple[PeerStatus, ...]


def server_status(access: StoreAccess, core: RaftCore, snapshots: ServerSnapshots) -> ServerStatus:
    """Describe a server."""
    view = access.view
    assert view is not None
    return ServerStatus(
        server_id=access.server_id,
        role=core.role.value,
        kind=None if core.membership is None else core.membership.name.lower(),
        term=core.term,
        leader=core.leader,
        members=tuple(member.server_id for member in core.configuration.members),
        kinds=tuple(member.kind.name.lower() for member in core.configuration.members),
        commit_index=core.commit_index,
        last_applied=core.last_applied,
        last_index=core.last_index,
        last_written=core.last_written,
        snapshot_index=snapshots.last_index,
        snapshot_bytes=snapshots.last_bytes,
        tree_nodes=view.root.size,
        machine_version=core.machine_version,
        peers=_peers(core),
    )


def _peers(core: RaftCore) -> tuple[PeerStatus, ...]:
    known = core.peers
    return tuple(
        PeerStatus(
            member.server_id,
            member.kind.name.lower(),
            peer.match_index,
            peer.state,
            peer.is_reachable,
            peer.has_forgotten,
            peer.machine_version,
        )
        for member in core.configuration.members
        if (peer := known.get(member.server_id)) is not None
    )


class ForgetfulPeers:
    """Tells the logs once of each peer that lacks what it has confirmed. The server's thread."""

    def __init__(self) -> None:
        """Begin with nobody under suspicion."""
        self._suspected: set[ServerId] = set()
        self._told: set[ServerId] = set()

    def look(self, core: RaftCore) -> None:
        """Look at the peers; who is seen twice is told, since a late message can look like it."""
        seen = {server_id for server_id, peer in core.peers.items() if peer.has_forgotten}
        self._told &= seen
        for server_id in (seen & self._suspected) - self._told:
            self._told.add(server_id)
            _logger.error(
                "%s has less on its disk than it has confirmed, as after an old copy was put"
                " back; it is sent nothing more: delete its directory there and let it join again",
                server_id.node,
            )
        self._suspected = seen
