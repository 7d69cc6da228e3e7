"""I1 to I9, I12, I13, I18: what no member may ever do, looked at after every step of every core.

It keeps its own books of leaders, votes, terms, logs and commits, across crashes, and believes
nothing that a member says about itself but what it did before.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from khepri.raft.effects import (
    AppendEntries,
    ConfigurationChanged,
    InstallSnapshot,
    PersistHardState,
    RoleChanged,
    Send,
)
from khepri.raft.leader import Leader
from khepri.raft.messages import (
    AppendEntriesResponse,
    HeartbeatResponse,
    PreVoteRequest,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)
from khepri.raft.types import Configuration, EntryKind, Role
from khepri.testing.simulation_observer import Observer
from tests.sim.durable_log import DurableLog
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.log.interface import Append, RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.messages import Message
    from khepri.raft.types import Entry, HardState, ServerId, SnapshotMeta
    from khepri.testing.simulation_node import SimulatedNode
    from khepri.testing.simulation_server import SimulatedServer

_WITHOUT_TERM = (PreVoteRequest, ReadIndexRequest, ReadIndexResponse)


class _Life:
    """What is known of one server between its start and its end."""

    __slots__ = (
        "applied",
        "commit",
        "configuration",
        "configuration_index",
        "led_last_index",
        "led_last_term",
        "led_term",
        "log",
        "matched",
        "term",
    )

    def __init__(self, server: SimulatedServer, log: DurableLog) -> None:
        core = server.core
        self.log = log
        self.term = core.term
        self.commit = core.commit_index
        self.applied = core.last_applied
        self.led_term = -1
        self.led_last_index = 0
        self.led_last_term = 0
        self.matched: dict[object, int] = {}
        self.configuration = core.configuration
        self.configuration_index: int = core._server.configurations.index


class RaftChecker(Observer):
    """The books of one run."""

    def __init__(self) -> None:
        self.logs: dict[str, DurableLog] = {}
        self.lives: dict[SimulatedServer, _Life] = {}
        self.leaders: dict[int, str] = {}
        self.votes: dict[tuple[str, int], object] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int | None]] = {}
        self.committed: dict[int, int] = {}
        self.commits_of_leaders: dict[int, int] = {}
        self.applied_entries: dict[int, Entry] = {}
        self.versions: dict[int, int] = {}  # of the machine, that each entry was applied by
        self.memberships: list[tuple[int, Configuration]] = []
        self.needed_bytes: Counter[str] = Counter()
        """By node: what of its log peers may need, as of its newest snapshot."""

    # --- disks

    def log_of(self, uid: str) -> DurableLog:
        log = self.logs.get(uid)
        if log is None:
            log = self.logs[uid] = DurableLog()
        return log

    def log_written(self, node: SimulatedNode, appends: Sequence[Append]) -> None:
        self.log_of(node.uid).append(appends)

    def snapshot_durable(self, node: SimulatedNode, meta: SnapshotMeta) -> None:
        known = [(i, c) for i, c in self.memberships if i <= meta.index]
        if known and known[-1][1] != meta.configuration:
            raise ViolationError(
                f"I12: a snapshot of {node.name} at {meta.index} has the members of another index"
            )
        self.log_of(node.uid).snapshot(meta.index, meta.term)
        role = None if node.server is None else node.server.core._server.role
        needed_bytes = role.peers.most_needed_bytes() if isinstance(role, Leader) else 0
        self.needed_bytes[node.name] = needed_bytes

    def persisted(self, server: SimulatedServer, hard_state: HardState) -> None:
        log = self.log_of(server.node.uid)
        term, vote = hard_state
        if term < log.hard_term:
            raise ViolationError(
                f"I3: {server.node.name} persists term {term} after {log.hard_term}"
            )
        log.hard_term, log.hard_vote = term, vote
        if vote is not None:
            self._voted(server, term, vote)

    # --- lives

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        del stored
        self.lives[server] = _Life(server, self.log_of(server.node.uid))

    def ended(self, server: SimulatedServer) -> None:
        self.lives.pop(server, None)

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        self.lives[server].applied = meta.index

    # --- applied entries

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        del applied
        life = self.lives[server]
        if entry.index != life.applied + 1:
            raise ViolationError(
                f"I7: {server.node.name} applies {entry.index} after {life.applied}"
            )
        life.applied = entry.index
        if entry.index not in self.applied_entries and entry.kind is EntryKind.MEMBERSHIP:
            self.memberships.append((entry.index, Configuration.decode(entry.data)))
        self._look_at_version(server, entry)
        known = self.applied_entries.setdefault(entry.index, entry)
        if known is not entry and known != entry:
            raise ViolationError(f"I7: index {entry.index} is {known!r:.120} and {entry!r:.120}")

    def _look_at_version(self, server: SimulatedServer, entry: Entry) -> None:
        name, version = server.node.name, server.machine.version
        if entry.index not in self.versions and entry.kind is EntryKind.NOOP and entry.data:
            for member in server.core.configuration.members:
                other = server.node.world.nodes[member.server_id.node]
                if other.machine_version < version:
                    raise ViolationError(f"I18: {other.name} does not know version {version}")
        if self.versions.setdefault(entry.index, version) != version:
            raise ViolationError(
                f"I18: {name} applies {entry.index} by version {version} of the machine,"
                f" another member by {self.versions[entry.index]}"
            )

    # --- the step

    def stepped(  # noqa: C901, PLR0912 - one case per invariant, at every step
        self, server: SimulatedServer, events: Sequence[Event], effects: Sequence[Effect]
    ) -> None:
        del events
        core, life = server.core, self.lives[server]
        term, commit = core.term, core.commit_index
        if term < life.term:
            raise ViolationError(f"I3: {server.node.name} goes from term {life.term} to {term}")
        life.term = term
        configuration = life.configuration
        if commit < life.commit:
            raise ViolationError(
                f"I8: commit index of {server.node.name} goes from {life.commit} to {commit}"
            )
        written = core.last_written
        if not life.log.holds(written, core._server.log.term_at(written)):
            raise ViolationError(
                f"I9: {server.node.name} takes {written} for written, durable is"
                f" {life.log.last_index}"
            )
        if core._server.configurations.index > core.last_index:
            raise ViolationError(f"I12: {server.node.name} goes by a configuration it has cut off")
        if not core.last_applied <= commit <= core.last_index:
            raise ViolationError(
                f"I8: applied {core.last_applied}, committed {commit}, last {core.last_index}"
            )
        for position, one in enumerate(effects):
            kind = one.__class__
            if kind is Send:
                self._sent(server, life, one.message, one.to)  # type: ignore[union-attr]
            elif kind is AppendEntries:
                self._appended(server, one.entries)  # type: ignore[union-attr]
            elif kind is RoleChanged:
                if one.role is Role.LEADER:  # type: ignore[union-attr]
                    self._elected(server, one.term)  # type: ignore[union-attr]
            elif kind is PersistHardState:
                if position:
                    raise ViolationError("I3: term and vote are persisted after other effects")
            elif kind is InstallSnapshot:
                there = core._server.log.term_at(one.meta.index)  # type: ignore[union-attr]
                if there == one.meta.term:  # type: ignore[union-attr]
                    raise ViolationError("I9: a snapshot replaces a log that agrees with it")
            elif kind is ConfigurationChanged:
                self._configured(server, life, one.configuration, one.index)  # type: ignore[union-attr]
        if core.role is Role.LEADER:
            self._led(server, life, configuration)
        else:
            life.led_term = -1
        life.commit = commit

    def _sent(self, server: SimulatedServer, life: _Life, message: Message, to: ServerId) -> None:
        kind = message.__class__
        if kind in _WITHOUT_TERM:
            return
        term = int(message.term)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
        log = life.log
        if term > log.hard_term:
            raise ViolationError(
                f"I3: {server.node.name} speaks of term {term}, durable is {log.hard_term}"
            )
        if isinstance(message, AppendEntriesResponse | HeartbeatResponse):
            confirms = isinstance(message, HeartbeatResponse) or message.success
            if confirms and not log.holds(message.last_index, message.last_term):
                raise ViolationError(
                    f"I9: {server.node.name} confirms {message.last_index},"
                    f" durable is {log.last_index}"
                )
        elif isinstance(message, RequestVoteResponse):
            if message.granted:
                self._voted(server, term, to)
                # With a higher term durable there will be no other vote in this one.
                if log.hard_term == term and log.hard_vote != to:
                    raise ViolationError(
                        f"I2: a vote of {server.node.name} in {term} is not durable"
                    )
        elif (
            kind is RequestVoteRequest
            and log.hard_term == term
            and log.hard_vote != server.node.server_id
        ):
            raise ViolationError(f"I2: {server.node.name} has not durably voted for itself")

    def _voted(self, server: SimulatedServer, term: int, vote: object) -> None:
        first = self.votes.setdefault((server.node.uid, term), vote)
        if first != vote:
            raise ViolationError(f"I2: {server.node.name} votes for {first} and {vote} in {term}")

    def _appended(self, server: SimulatedServer, entries: Sequence[Entry]) -> None:
        books = self.entries
        previous_term = server.core._server.log.term_at(entries[0].index - 1)
        for entry in entries:
            key = (entry.index, entry.term)
            known = books.get(key)
            if known is None:
                books[key] = (entry, previous_term)
            else:
                other, other_previous = known
                if other is not entry and other != entry:
                    raise ViolationError(f"I5: {key} is {other!r:.120} and {entry!r:.120}")
                if None not in {previous_term, other_previous} and previous_term != other_previous:
                    raise ViolationError(
                        f"I5: before {key} is term {other_previous} and {previous_term}"
                    )
            previous_term = entry.term

    def _elected(self, server: SimulatedServer, term: int) -> None:
        first = self.leaders.setdefault(term, server.node.uid)
        if first != server.node.uid:
            raise ViolationError(f"I1: {first} and {server.node.uid} lead term {term}")
        voters = _voters(server.core.configuration)
        given = sum(self.votes.get((u, term)) == server.node.server_id for _, u in voters)
        if given < len(voters) // 2 + 1:
            raise ViolationError(
                f"I1: {server.node.name} leads term {term} with {given} of {len(voters)} votes"
            )
        committed = [i for t, i in self.commits_of_leaders.items() if t < term]
        last = max(committed, default=0)
        log = server.core._server.log
        if last > log.base_index and log.term_at(last) != self.committed[last]:
            raise ViolationError(
                f"I6: {server.node.name} leads term {term} without {last}:{self.committed[last]}"
            )

    def _configured(
        self, server: SimulatedServer, life: _Life, configuration: Configuration, index: int
    ) -> None:
        before, before_index = life.configuration, life.configuration_index
        life.configuration, life.configuration_index = configuration, index
        if server.core.role is not Role.LEADER or index <= before_index:
            return
        if before_index > server.core.commit_index:
            raise ViolationError(
                f"I12: {index} changes the members, {before_index} is not committed"
            )
        if before_index and not self._own_term_committed(server):
            raise ViolationError("I12: members are changed by a leader that has committed nothing")
        old, new = _voters(before), _voters(configuration)
        if old and len(old) // 2 + 1 + len(new) // 2 + 1 <= len(old | new):
            raise ViolationError(
                f"I12: majorities of {sorted(old)} and {sorted(new)} need not meet"
            )

    def _own_term_committed(self, server: SimulatedServer) -> bool:
        log, commit = server.core._server.log, server.core.commit_index
        return log.term_at(commit) == server.core.term

    # --- leaders

    def _led(self, server: SimulatedServer, life: _Life, before: Configuration) -> None:
        core = server.core
        raft = core._server
        log = raft.log
        led_before = life.led_term == core.term
        if led_before:
            if log.last_index < life.led_last_index:
                raise ViolationError(
                    f"I4: leader {server.node.name} cuts its log to {log.last_index}"
                )
            there = log.term_at(life.led_last_index)
            if there is not None and there != life.led_last_term:
                raise ViolationError(
                    f"I4: leader {server.node.name} changes {life.led_last_index}"
                )
        else:
            life.led_term = core.term
            life.matched = {}
        life.led_last_index, life.led_last_term = log.last_index, log.last_term
        role = raft.role
        assert isinstance(role, Leader)
        matched = life.matched
        for progress in role.peers.all.values():
            peer, match_index = progress.uid, progress.match_index
            if matched.get(peer, 0) != match_index:
                matched[peer] = match_index
                self._matched(server, progress.uid, match_index)
        if core.commit_index > life.commit:
            if led_before and log.term_at(core.commit_index) != core.term:
                raise ViolationError(
                    f"I6: leader {server.node.name} commits {core.commit_index} of an older term"
                )
            self._committed(server, life, before)

    def _matched(self, server: SimulatedServer, uid: str, index: int) -> None:
        log = self.log_of(uid)
        there = server.core._server.log.term_at(index)
        if log.hard_term <= server.core.term and not log.holds(index, there):
            raise ViolationError(
                f"I13: leader {server.node.name} counts {index}:{there} for {uid},"
                f" which holds {log.last_index}"
            )

    def _committed(self, server: SimulatedServer, life: _Life, before: Configuration) -> None:
        core = server.core
        log = core._server.log
        last = core.commit_index
        term_there = log.term_at(last)
        # A promotion is appended after the counting, in the same step.
        for configuration in {before, core.configuration}:
            voters = _voters(configuration)
            holders = sum(self.log_of(uid).holds(last, term_there) for _, uid in voters)
            if holders >= len(voters) // 2 + 1:
                break
        else:
            raise ViolationError(
                f"I9: {last}:{term_there} is committed by {server.node.name} and not durable on"
                f" a majority of {sorted(_voters(core.configuration))}"
            )
        for index in range(life.commit + 1, last + 1):
            term = log.term_at(index)
            assert term is not None
            known = self.committed.setdefault(index, term)
            if known != term:
                raise ViolationError(f"I7: {index}:{known} and {index}:{term} are committed")
        earlier = self.commits_of_leaders.get(core.term, 0)
        self.commits_of_leaders[core.term] = max(earlier, last)
        for other, its_life in self.lives.items():
            if its_life.led_term > core.term:
                its_log = other.core._server.log
                if last > its_log.base_index and its_log.term_at(last) != term_there:
                    raise ViolationError(f"I6: leader {other.node.name} lacks {last}:{term_there}")


def _voters(configuration: Configuration) -> set[tuple[str, str]]:
    members = configuration.members
    return {(m.server_id.node, m.uid) for m in members if m.server_id in configuration.voters}
