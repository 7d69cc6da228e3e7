"""Which appends a server writes in its own thread."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from khepri.actors.command_flow import MAX_BYTES_WRITTEN_HERE, CommandFlow
from khepri.raft.effects import AppendEntries
from khepri.raft.types import Entry, EntryKind, Index, Role, Term


def core(role: Role, members: int) -> Any:
    return SimpleNamespace(role=role, configuration=SimpleNamespace(members=range(members)))


def append(sequence: int, size_bytes: int = 10) -> AppendEntries:
    entry = Entry(Index(sequence), Term(1), EntryKind.COMMANDS, bytes(size_bytes))
    return AppendEntries((entry,), sequence)


def flow_with(*appends: AppendEntries) -> CommandFlow:
    setup: Any = SimpleNamespace(config=SimpleNamespace(max_waiting_bytes=1_000_000))
    flow = CommandFlow(setup, lambda: 0.0)
    for one in appends:
        flow.appended(one)
    return flow


def test_a_follower_writes_what_is_small_itself() -> None:
    follower, small = core(Role.FOLLOWER, 3), append(1)
    assert flow_with(small).may_write_here(small, follower)
    large = append(1, MAX_BYTES_WRITTEN_HERE + 1)
    assert not flow_with(large).may_write_here(large, follower)


def test_a_leader_waits_for_its_disk_only_while_it_has_no_followers() -> None:
    one = append(1)
    assert flow_with(one).may_write_here(one, core(Role.LEADER, 1))
    assert not flow_with(one).may_write_here(one, core(Role.LEADER, 3))


def test_nothing_overtakes_what_is_on_its_way_to_the_wal_writer() -> None:
    first, second, third = append(1), append(2), append(3)
    follower = core(Role.FOLLOWER, 3)
    flow = flow_with(first, second)
    assert not flow.may_write_here(second, follower)
    flow.written(2)
    flow.appended(third)
    assert flow.may_write_here(third, follower)
