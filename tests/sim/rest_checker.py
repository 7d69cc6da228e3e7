"""I14 and I16: what must be equal and what must be small when a run is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.encoding import pack
from khepri.raft.leader import Leader
from khepri.raft.types import EntryKind, Role
from tests.sim.client_checker import payloads_of
from tests.sim.linearizability import Verdict, search
from tests.sim.register_events import events_of
from tests.sim.violation import check

if TYPE_CHECKING:
    from khepri.testing.simulation import Simulation
    from khepri.testing.simulation_server import SimulatedServer
    from tests.sim.call_checker import CallChecker
    from tests.sim.client_checker import ClientChecker
    from tests.sim.linearizability import Event
    from tests.sim.raft_checker import RaftChecker

MOST_SEARCHED = 60
"""Histories longer than this are left to the witness order."""


def check_rest(
    world: Simulation, raft: RaftChecker, clients: ClientChecker, calls: CallChecker
) -> int:
    """Check a settled cluster; give how many keys' histories were searched."""
    leader = world.leader()
    assert leader is not None, "the cluster is settled"
    members = leader.core.configuration.members
    expected_tree = clients.model.tree_at(leader.core.commit_index)
    sessions = pack(leader.machine._sessions.to_plain())
    for member in members:
        server = world.nodes[member.server_id.node].server
        assert server is not None
        name, core = server.node.name, server.core
        check(core.commit_index == leader.core.commit_index, "I14", f"commit index of {name}")
        check(
            core.configuration == leader.core.configuration, "I14", f"members as {name} sees them"
        )
        check(payloads_of(server.machine.view.root) == expected_tree, "I14", f"the tree of {name}")
        check(pack(server.machine._sessions.to_plain()) == sessions, "I14", f"sessions of {name}")
        check((core.role is Role.LEADER) == (server is leader), "I14", f"the role of {name}")
        calls.check_rest(server)
        _check_bounds(world, raft, server)
    for data, index in clients.model.applied_at.items():
        kind = raft.applied_entries[index].kind
        check(kind is EntryKind.COMMANDS, "I10", f"{data!r:.60} is applied at {index}")
    return _search_small_histories(clients)


def _check_bounds(world: Simulation, raft: RaftChecker, server: SimulatedServer) -> None:
    node = server.node
    core = server.core
    settings = world.settings
    log = core._server.log
    unsnapshotted = core.last_index - server.cadence.last_index
    below = log.between(log.base_index + 1, max(server.cadence.last_index, log.base_index))
    role = core._server.role
    piece_bytes = settings.raft.snapshot_chunk_bytes  # one or two may have come since
    needed_bytes = max(
        settings.raft.catch_up_bytes, raft.needed_bytes[node.name] + 2 * piece_bytes
    )
    is_bounded = (
        len(below) <= settings.raft.trailing_entries
        or sum(len(entry.data) for entry in below) <= needed_bytes
    )
    check(is_bounded, "I16", f"the log {node.name} has in memory")
    files = node.disk.contents()
    check(node.segment_writer.waiting <= 2, "I16", f"log files of {node.name} that wait")
    names = [path.rsplit("/", 1)[-1] for path in files]
    check(len(names) <= 24 + unsnapshotted // 4, "I16", f"files of {node.name}: {names}")
    check(
        node.disk.open_files <= 6 + server.worker.open_readers,
        "I16",
        f"open files of {node.name}",
    )
    if isinstance(role, Leader):
        check(
            role._unapplied_bytes == 0, "I16", f"bytes that wait at rest: {role._unapplied_bytes}"
        )
        for progress in role.peers.all.values():
            check(len(progress._inflight) == 0, "I16", "messages in flight at rest")


def _search_small_histories(clients: ClientChecker) -> int:
    by_key: dict[str, list[Event]] = {}
    operations = {operation.number: operation for operation in clients.history}
    for operation in clients.model.commands.values():
        operations.setdefault(operation.number, operation)
    brief = {
        str(part.path[-1])
        for operation in operations.values()
        for part in operation.parts
        if part.ttl_milliseconds
    }
    for operation in operations.values():
        for key, event in events_of(operation):
            by_key.setdefault(key, []).append(event)
    searched = 0
    for key, events in sorted(by_key.items()):
        if len(events) > MOST_SEARCHED or key in brief:
            continue  # what expires does so by nobody's operation
        searched += 1
        verdict = search(events)
        check(verdict is not Verdict.VIOLATION, "I11", f"the history of key {key} has no order")
    return searched
