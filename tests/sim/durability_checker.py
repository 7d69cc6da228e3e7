"""I9 by what really comes back: at each start a member must find what it had confirmed.

The disks lose what was not synced before every such start (`MemoryFileSystem.power_loss`), so
this looks at disk images and not at memory. Also: files may be called damaged only if bits were
really flipped, and flipped bits may be repaired or refused, but never believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.testing.simulation_observer import Observer
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from khepri.errors import StorageError
    from khepri.log.interface import RecoveredStore
    from khepri.testing.simulation_node import SimulatedNode
    from khepri.testing.simulation_server import SimulatedServer
    from tests.sim.durable_log import DurableLog
    from tests.sim.raft_checker import RaftChecker


class DurabilityChecker(Observer):
    """Compares recoveries with what was confirmed before."""

    def __init__(self, raft: RaftChecker) -> None:
        self._raft = raft
        self._unconfirmed: dict[str, int] = {}

    def ended(self, server: SimulatedServer) -> None:
        """Note from where on an unconfirmed write may have changed the disk."""
        writer = server.node.wal_writer
        firsts = [write.entries[0].index for write in writer.unwritten]
        if writer.voiding is not None:
            firsts.append(writer.voiding)
        log = self._raft.log_of(server.node.uid)
        self._unconfirmed[server.node.uid] = min([*firsts, log.last_index + 1])

    def damaged(self, node: SimulatedNode, error: StorageError) -> None:
        if not node.disk.is_rotten:
            raise ViolationError(f"I9: {node.name} calls its own files damaged: {error}")

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        name, log = server.node.name, self._raft.log_of(stored.uid)
        found = stored.hard_state
        if (found.term, found.voted_for) != (log.hard_term, log.hard_vote):
            ahead = found.term > log.hard_term or (
                found.term == log.hard_term and log.hard_vote is None
            )
            if not ahead:  # a write that was not confirmed may be there
                raise ViolationError(
                    f"I3: {name} wakes up with {found}, not {log.hard_term}, {log.hard_vote}"
                )
            log.hard_term, log.hard_vote = found.term, found.voted_for
        self._compare_logs(name, stored, log)
        self._adopt(stored, log)

    def _compare_logs(self, name: str, stored: RecoveredStore, log: DurableLog) -> None:
        base = stored.snapshot.index if stored.snapshot is not None else 0
        if base < log.base:
            raise ViolationError(f"I9: {name} wakes up with snapshot {base}, not {log.base}")
        certain = min(log.last_index, self._unconfirmed.get(stored.uid, log.last_index + 1) - 1)
        terms: dict[int, int] = {entry.index: entry.term for entry in stored.entries}
        for index in range(base + 1, certain + 1):
            if not log.holds(index, terms.get(index, -1)):
                raise ViolationError(
                    f"I9: {name} wakes up with {index}:{terms.get(index)},"
                    f" durable was {log.terms[index - log.base - 1]}"
                )

    def _adopt(self, stored: RecoveredStore, log: DurableLog) -> None:
        """What was found counts from here on: recovery has made it durable."""
        if stored.snapshot is not None:
            log.snapshot(stored.snapshot.index, stored.snapshot.term)
        log.terms = [entry.term for entry in stored.entries if entry.index > log.base]
