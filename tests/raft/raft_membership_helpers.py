"""What the tests of membership changes share: a leader that may make one, joining, leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.events import AddMember, RemoveMember
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Configuration, MemberKind
from tests.raft.raft_helpers import Node, make_leader
from tests.raft.raft_notation import confirmed, member, sid, voters

if TYPE_CHECKING:
    from tests.raft.raft_cluster import Cluster

PROMOTABLE = MemberKind.PROMOTABLE
SMALL = RaftSettings(trailing_entries=2, catch_up_bytes=0, snapshot_chunk_bytes=200)


def ready_leader(names: str = "ABC") -> Node:
    """A leads and may change the members."""
    node = make_leader("A", configuration=voters(names), supporters=names[1:])
    node.sync()
    node.receive_all(*((name, confirmed(1)) for name in names[1:]))
    return node


def kinds(node: Node) -> dict[str, str]:
    return {m.server_id.node: m.kind.name for m in node.core.configuration.members}


def names(node: Node) -> str:
    return "".join(m.server_id.node for m in node.core.configuration.members)


def join(cluster: Cluster, name: str, at: str = "A") -> None:
    """A new member joins as a promotable one, and is waited for."""
    cluster.add(name, Configuration())
    cluster.tell(at, AddMember(member(name, PROMOTABLE), f"add {name}"))
    cluster.run_until(lambda: cluster[name].core.membership is MemberKind.VOTER)


def leave(cluster: Cluster, name: str) -> None:
    """A member is removed, and a leader is waited for."""
    leader = cluster.wait_for_leader()
    cluster.tell(leader.name, RemoveMember(sid(name), f"remove {name}"))
    cluster.run_until(lambda: cluster.answer(leader.name, f"remove {name}"))
    cluster.wait_for_leader()
