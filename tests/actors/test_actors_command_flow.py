"""Which appends a server writes itself, and when it waits for those of the WalWriter."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from khepri.actors.command_flow import (
    MAX_BYTES_PREPARED,
    MAX_BYTES_WRITTEN_HERE,
    MAX_COMMANDS_PREPARED,
    MAX_COMMANDS_WRITTEN_AWAY,
    MAX_COMMANDS_WRITTEN_HERE,
    MAX_COMMITTED_UNWRITTEN,
    MAX_UNWRITTEN_APPENDS,
    CommandFlow,
)
from khepri.errors import DiskFullError
from khepri.raft.effects import AppendEntries
from khepri.raft.types import Entry, EntryKind, Index, Role, Term


def core(role: Role, members: int, *, waits_for_own_disk: bool = False) -> Any:
    configuration = SimpleNamespace(members=range(members))
    return SimpleNamespace(
        role=role, configuration=configuration, waits_for_own_disk=waits_for_own_disk
    )


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
    assert flow_with(small).may_write_here(small, follower, can_leave=False)
    large = append(1, MAX_BYTES_WRITTEN_HERE + 1)
    assert not flow_with(large).may_write_here(large, follower, can_leave=False)


def test_a_leader_with_followers_waits_for_its_disk_only_where_others_can_take_its_turns() -> None:
    one = append(1)
    for can_leave in (True, False):
        assert flow_with(one).may_write_here(one, core(Role.LEADER, 1), can_leave=can_leave)
        of_three = flow_with(one).may_write_here(one, core(Role.LEADER, 3), can_leave=can_leave)
        assert of_three == can_leave


@pytest.mark.parametrize(
    ("members", "most_commands"), [(1, MAX_COMMANDS_WRITTEN_HERE), (3, MAX_COMMANDS_WRITTEN_AWAY)]
)
def test_a_leader_with_much_in_flight_has_the_wal_writer_write(
    members: int, most_commands: int
) -> None:
    one, leader = append(1), core(Role.LEADER, members)
    for commands in (most_commands, most_commands + 1):
        flow = flow_with(one)
        flow.pump.origin.open_session(1)
        flow.take_all([(b"command", None)] * commands)
        flow.pump.origin.take_group()
        is_little = commands == most_commands
        assert flow.may_write_here(one, leader, can_leave=True) == is_little


def test_a_leader_works_out_what_it_writes_while_little_is_in_flight() -> None:
    one, two = append(1), append(2)
    for members in (1, 3):
        leader = core(Role.LEADER, members)
        assert flow_with(one).entry_to_prepare(one, (), leader) is one.entries[0]
    both = AppendEntries((*one.entries, *two.entries), 2)
    assert flow_with(both).entry_to_prepare(both, (), leader) is None
    busy = flow_with(one)
    busy.pump.origin.open_session(1)
    busy.take_all([(b"command", None)] * (MAX_COMMANDS_PREPARED + 1))
    busy.pump.origin.take_group()
    assert busy.entry_to_prepare(one, (), leader) is None


def test_a_follower_works_out_what_is_committed_while_it_writes_what_follows() -> None:
    follower, written = core(Role.FOLLOWER, 3), append(3)
    committed = append(1).entries + append(2).entries
    flow = flow_with(written)
    assert flow.entry_to_prepare(written, committed, follower) is committed[0]
    assert flow.entry_to_prepare(written, (), follower) is None
    much = append(1, MAX_BYTES_PREPARED + 1).entries
    assert flow.entry_to_prepare(written, much, follower) is None, "it may not be brief"


def test_nothing_overtakes_what_is_on_its_way_to_the_wal_writer() -> None:
    first, second, third = append(1), append(2), append(3)
    follower = core(Role.FOLLOWER, 3)
    flow = flow_with(first, second)
    assert not flow.may_write_here(second, follower, can_leave=True)
    flow.written(2)
    flow.appended(third)
    assert flow.may_write_here(third, follower, can_leave=True)


def test_a_leader_is_not_woken_for_its_own_disk_while_nothing_depends_on_it() -> None:
    leader = core(Role.LEADER, 3)
    assert not flow_with(append(1)).awaits_disk(leader)
    assert flow_with(append(1)).awaits_disk(core(Role.LEADER, 3, waits_for_own_disk=True))


def test_r21_a_leader_proposes_on_while_its_disk_stalls_if_others_commit() -> None:
    appends = [append(sequence) for sequence in range(1, MAX_COMMITTED_UNWRITTEN + 1)]
    leader = core(Role.LEADER, 3)
    for unwritten, committed, goes_on in (
        (MAX_UNWRITTEN_APPENDS - 1, 0, True),
        (MAX_UNWRITTEN_APPENDS, 0, False),
        (MAX_UNWRITTEN_APPENDS, MAX_UNWRITTEN_APPENDS, True),
        (MAX_COMMITTED_UNWRITTEN - 1, MAX_COMMITTED_UNWRITTEN - 1, True),
        (MAX_COMMITTED_UNWRITTEN, MAX_COMMITTED_UNWRITTEN, False),
    ):
        flow = flow_with(*appends[:unwritten])
        flow.pump.origin.open_session(1)
        flow.take_all([(b"command", None)])
        leader.last_index, leader.commit_index = unwritten, committed
        assert (flow.due(leader) < inf) == goes_on, (unwritten, committed)


def test_a_leader_that_holds_commands_back_for_its_disk_is_woken() -> None:
    appends = [append(sequence) for sequence in range(1, MAX_UNWRITTEN_APPENDS + 1)]
    flow = flow_with(*appends)
    assert flow.awaits_disk(core(Role.LEADER, 3))
    flow.written(1)
    assert not flow.awaits_disk(core(Role.LEADER, 3))


def test_followers_and_whoever_has_a_failed_disk_are_woken() -> None:
    assert flow_with().awaits_disk(core(Role.FOLLOWER, 3))
    flow = flow_with(append(1))
    flow.disk_failed(DiskFullError("full", path="/data"))
    assert flow.awaits_disk(core(Role.LEADER, 3))
