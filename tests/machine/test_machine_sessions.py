"""Exactly once: groups, duplicates, gaps, acknowledgements, expiry (dissertation §6.3)."""

from __future__ import annotations

import pytest

from khepri.machine import commands
from khepri.machine.entries import Group, encode_entry
from khepri.machine.machine import Machine, MachineSettings
from khepri.machine.replies import raise_or_return
from khepri.machine.sessions import (
    DEFAULT_EXPIRY_MILLISECONDS,
    NO_SESSION,
    GroupStatus,
    SessionTable,
    checked_row,
)
from khepri.machine.working_tree import WorkingTree
from tests.machine.machine_helpers import ALL, Origin, error_of, path, snapshot_bytes, value


@pytest.fixture
def origin() -> Origin:
    return Origin()


def put(unix: str, something: object) -> bytes:
    return commands.encode(commands.put(path(unix), value(something)))


def tell(unix: str, something: object) -> bytes:
    return commands.encode(commands.put(path(unix), value(something), returning=ALL))


def test_a_group_is_applied_and_answered_in_order(origin: Origin) -> None:
    group = Group(origin.session_id, 1, 1, [tell("/a", 1), tell("/a", 2), tell("/a", 3)])
    (result,) = origin.append(group).groups
    assert (result.session_id, result.first_sequence) == (origin.session_id, 1)
    assert result.status is GroupStatus.APPLIED
    told = [raise_or_return(reply)[path("/a")].get("data") for reply in result.replies]
    assert told == [None, 1, 2]


def test_a_duplicate_group_is_answered_from_memory(origin: Origin) -> None:
    group = Group(origin.session_id, 1, 1, [tell("/a", 1), tell("/a", 2)])
    first = origin.append(group).groups[0].replies
    again = origin.append(group).groups[0]
    assert again.status is GroupStatus.APPLIED
    assert again.replies == first
    assert origin.versions("/a") == (2, 1)


def test_only_the_new_part_of_an_overlapping_group_is_applied(origin: Origin) -> None:
    origin.append(Group(origin.session_id, 1, 1, [tell("/a", 1), tell("/a", 2)]))
    overlapping = Group(origin.session_id, 2, 1, [tell("/a", 2), tell("/a", 3), tell("/a", 4)])
    replies = origin.append(overlapping).groups[0].replies
    told = [raise_or_return(reply)[path("/a")]["payload_version"] for reply in replies]
    assert told == [2, 3, 4]


def test_a_group_behind_a_gap_is_ignored_as_a_whole(origin: Origin) -> None:
    result = origin.append(Group(origin.session_id, 2, 1, [put("/a", 1)])).groups[0]
    assert (result.status, list(result.replies)) == (GroupStatus.GAP, [])
    assert origin.tree() == {}
    origin.append(Group(origin.session_id, 1, 1, [put("/b", 1), put("/a", 1)]))
    assert origin.tree() == {"/a": 1, "/b": 1}


def test_two_groups_of_one_session_may_share_an_entry(origin: Origin) -> None:
    first = Group(origin.session_id, 1, 1, [put("/a", 1)])
    second = Group(origin.session_id, 2, 1, [put("/a", 2)])
    results = origin.append(first, first, second).groups
    assert [result.status for result in results] == [GroupStatus.APPLIED] * 3
    assert origin.versions("/a") == (2, 1)


def test_an_unknown_session_is_told_so(origin: Origin) -> None:
    result = origin.append(Group(12345, 1, 1, [put("/a", 1)])).groups[0]
    assert (result.status, list(result.replies)) == (GroupStatus.SESSION_EXPIRED, [])
    assert origin.tree() == {}


def test_every_session_has_an_id_of_its_own(origin: Origin) -> None:
    command = commands.encode(commands.open_session(b"t"))
    applied = origin.append(
        Group(NO_SESSION, 0, 0, [command, command]), Group(NO_SESSION, 0, 0, [command])
    )
    ids = [raise_or_return(reply)[1] for group in applied.groups for reply in group.replies]
    assert len({*ids, origin.session_id}) == 4


def test_without_a_session_only_sessions_are_opened(origin: Origin) -> None:
    applied = origin.append(Group(NO_SESSION, 0, 0, [put("/a", 1), b"\xc1", b""]))
    assert len(applied.groups[0].replies) == 3
    assert all("failed" in str(error_of(reply)) for reply in applied.groups[0].replies)
    assert origin.tree() == {}


def test_acknowledged_replies_are_forgotten(origin: Origin) -> None:
    session = origin.machine._sessions.sessions[origin.session_id]
    origin.append(Group(origin.session_id, 1, 1, [tell("/a", 1)]))
    origin.append(Group(origin.session_id, 2, 1, [tell("/a", 2)]))
    assert len(session.replies) == 2
    origin.append(Group(origin.session_id, 3, 2, []))
    assert len(session.replies) == 1
    duplicate = origin.append(Group(origin.session_id, 1, 2, [tell("/a", 1)])).groups[0]
    assert duplicate.replies == [None]
    assert origin.versions("/a") == (2, 1)


def test_an_origin_cannot_acknowledge_what_was_not_applied(origin: Origin) -> None:
    origin.append(Group(origin.session_id, 1, 99, [tell("/a", 1)]))
    again = origin.append(Group(origin.session_id, 2, 99, [tell("/a", 2)])).groups[0]
    assert raise_or_return(again.replies[0]) == {
        path("/a"): {"data": 1, "payload_version": 2, "child_list_version": 1}
    }


def test_a_silent_session_expires_by_log_time(origin: Origin) -> None:
    other = origin.open_session()
    origin.time_milliseconds += DEFAULT_EXPIRY_MILLISECONDS
    applied = origin.append(Group(origin.session_id, 1, 1, []))
    assert applied.expired_sessions == []
    origin.time_milliseconds += 1
    applied = origin.append(Group(origin.session_id, 1, 1, []))
    assert applied.expired_sessions == [other]
    assert origin.append(Group(other, 1, 1, [put("/a", 1)])).groups[0].status is (
        GroupStatus.SESSION_EXPIRED
    )


def test_an_empty_group_keeps_a_session_alive(origin: Origin) -> None:
    for _ in range(5):
        origin.time_milliseconds += DEFAULT_EXPIRY_MILLISECONDS
        result = origin.append(Group(origin.session_id, 1, 1, [])).groups[0]
        assert (result.status, list(result.replies)) == (GroupStatus.APPLIED, [])


def test_the_expiry_is_a_setting() -> None:
    origin = Origin(Machine(MachineSettings(session_expiry_milliseconds=10)))
    origin.time_milliseconds += 11
    assert origin.append().expired_sessions == [origin.session_id]


def test_log_time_never_goes_back(origin: Origin) -> None:
    origin.time_milliseconds += 5_000
    origin.append()
    origin.time_milliseconds -= 4_000
    origin.append()
    assert origin.machine.time_milliseconds == 6_000


def test_sessions_survive_a_snapshot(origin: Origin) -> None:
    origin.append(Group(origin.session_id, 1, 1, [tell("/a", 1), tell("/a", 2)]))
    origin.append(Group(origin.session_id, 3, 2, [tell("/a", 3)]))
    restored = Machine.restore(origin.machine.snapshot_chunks())
    duplicate = Group(origin.session_id, 2, 2, [tell("/a", 2), tell("/a", 3), tell("/a", 4)])
    data = encode_entry(origin.time_milliseconds, [duplicate])
    index = len(origin.log) + 1
    expected = origin.machine.apply(index, 1, data).groups[0].replies
    assert restored.apply(index, 1, data).groups[0].replies == expected
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)


def test_a_restored_machine_expires_sessions_at_the_same_time(origin: Origin) -> None:
    restored = Machine.restore(origin.machine.snapshot_chunks())
    data = encode_entry(origin.time_milliseconds + DEFAULT_EXPIRY_MILLISECONDS + 1, [])
    for machine in (origin.machine, restored):
        assert machine.apply(2, 1, data).expired_sessions == [origin.session_id]


# --- commands that fail ---


def test_a_command_that_raises_has_no_effect_and_the_others_do(origin: Origin) -> None:
    group = Group(
        origin.session_id,
        1,
        1,
        [
            put("/a", 1),
            commands.encode([commands.PUT, ["b", 7], value(1)]),
            put("/a/c", 2),
            commands.encode([commands.PUT, ["d"], 5]),
            commands.encode([commands.PUT_MATCHING, ["d"], value(1), 5]),
            commands.encode([99, "unknown"]),
            b"\xc1",
            b"",
            put("/a", 3),
        ],
    )
    replies = origin.append(group).groups[0].replies
    assert [reply is None for reply in replies] == [
        True, False, True, False, False, False, False, False, True,
    ]  # fmt: skip
    assert origin.tree() == {"/a": 3, "/a/c": 2}
    assert "unknown command 99" in str(error_of(replies[5]))


def test_a_put_that_raises_half_way_leaves_nothing_behind(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in nodes this entry owns: everything since the last sealed state is done again."""
    original = WorkingTree._grow
    calls: list[int] = []

    def fail_once(working: WorkingTree, at: tuple[str, ...], count: int) -> None:
        calls.append(count)
        if len(calls) == 3:
            raise ZeroDivisionError
        original(working, at, count)

    monkeypatch.setattr(WorkingTree, "_grow", fail_once)
    group = Group(origin.session_id, 1, 1, [put(f"/{name}", name) for name in "abcd"])
    replies = origin.append(group).groups[0].replies
    assert [reply is None for reply in replies] == [True, True, False, True]
    assert origin.tree() == {"/a": "a", "/b": "b", "/d": "d"}
    assert origin.versions("/") == (1, 4)
    assert "ZeroDivisionError" in str(error_of(replies[2]))


def test_running_out_of_memory_is_not_an_answer(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise MemoryError

    monkeypatch.setattr(WorkingTree, "put", fail)
    with pytest.raises(MemoryError):
        origin.put("/a", 1)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x01", b"\x92\x01\x02", b"\x92\x01\x91\x92\x01\x02", b"\x92\xa1x\x90"]
)
def test_a_garbled_entry_has_no_effect(origin: Origin, data: bytes) -> None:
    origin.put("/a", 1)
    applied = origin.machine.apply(len(origin.log) + 1, 2, data)
    assert applied.garbled
    assert origin.tree() == {"/a": 1}
    assert (origin.machine.view.index, origin.machine.view.term) == (len(origin.log) + 1, 2)


def test_entries_without_commands_move_the_applied_index(origin: Origin) -> None:
    origin.machine.skip(7, 3)
    assert (origin.machine.view.index, origin.machine.view.term) == (7, 3)


def test_an_entry_is_never_applied_twice(origin: Origin) -> None:
    with pytest.raises(AssertionError):
        origin.machine.apply(1, 1, origin.log[0])
    with pytest.raises(AssertionError):
        origin.machine.skip(1, 1)


def test_a_published_tree_never_changes(origin: Origin) -> None:
    origin.put("/a/b", 1)
    root = origin.machine.view.root
    before = snapshot_bytes(origin.machine)
    clone = Machine.restore([*origin.machine.snapshot_chunks()])
    operations = [commands.put(path(f"/a/{name}"), value(name)) for name in "bcd"]
    origin.replies(*operations, commands.delete(path("/a/b")), *operations)
    origin.put("/a", 5)
    assert root.children["a"].children["b"].payload == value(1)
    assert len(root.children["a"].children) == 1
    assert root.children["a"].payload is None
    assert snapshot_bytes(clone) == before


def test_a_row_of_a_snapshot_holds_the_replies_that_are_owed_and_no_others() -> None:
    table = SessionTable()
    table.open(1, 0)
    nothing = bytes(1)
    table.apply(1, 1, 1, [nothing] * 5, lambda some: [None] * len(some), 0)
    table.apply(1, 6, 3, [], lambda _: [], 0)
    (row,) = table.to_plain()
    assert row == [1, 5, 3, 0, [None, None, None]]
    assert checked_row(row) == row
    for count in (0, 2, 4):
        with pytest.raises(ValueError, match="replies"):
            checked_row([*row[:-1], [None] * count])
