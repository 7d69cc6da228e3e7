"""What is worked out ahead: the same as without, taken over or thrown away, and never seen."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from khepri.machine import commands
from khepri.machine import machine as machine_module
from khepri.machine.conditions import IfDataMatches, IfNodeExists
from khepri.machine.entries import Group, decode_entry, encode_entry
from khepri.machine.machine import Machine
from khepri.machine.operations import OPERATIONS
from khepri.machine.paths import Path, PathPattern, combine_with_conditions, parse_path
from khepri.machine.prepared import MAX_BATCH_BYTES
from khepri.machine.values import ProcedureName
from khepri.machine.working_tree import WorkingTree
from tests.machine.machine_helpers import Origin, path, snapshot_bytes, value
from tests.machine.test_machine_snapshots import random_operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.machine.machine import Applied
    from khepri.machine.tree import TreeNode


def told(applied: Applied) -> tuple[object, ...]:
    """What came of an entry, to be compared."""
    groups = [
        (one.session_id, one.first_sequence, [*one.replies], one.status) for one in applied.groups
    ]
    changes = [(one.path, seen(one.old), seen(one.new), one.reason) for one in applied.changes]
    return groups, changes, [*applied.expired_sessions], applied.garbled


def seen(node: TreeNode | None) -> tuple[object, ...] | None:
    if node is None:
        return None
    return node.payload, node.payload_version, node.child_list_version, node.size


def next_entry(origin: Origin, *operations: commands.Operation) -> bytes:
    """Give an entry that the origin could send now, without sending it."""
    encoded = [commands.encode(operation) for operation in operations]
    group = Group(origin.session_id, origin.next_sequence, origin.next_sequence, encoded)
    return encode_entry(origin.time_milliseconds, [group])


def put(unix: str, something: object) -> commands.Operation:
    return commands.put(path(unix), value(something))


def compare(seed: int, prepared_type: type[Machine] = Machine) -> int:
    """Apply one log with and without preparing, often preparing what is not to come.

    Returns:
        how often something was prepared.
    """
    chance = random.Random(seed)
    origin, plain, preparing = Origin(), Machine(), prepared_type()
    opening = origin.log[0]
    assert told(plain.apply(1, 1, opening)) == told(preparing.apply(1, 1, opening))
    index, how_often = 1, 0
    for _ in range(120):
        origin.time_milliseconds += chance.choice([0, 1, 5, 5, 5, 1_000])
        planned = [
            next_entry(origin, *(random_operation(chance) for _ in range(chance.randint(1, 4))))
            for _ in range(2)
        ]
        plain.wants_changes = chance.random() < 0.5
        preparing.wants_changes = plain.wants_changes or chance.random() < 0.2
        before = snapshot_bytes(preparing), preparing.view
        for _ in range(chance.randint(0, 2)):
            preparing.prepare(chance.choice(planned))
        assert (snapshot_bytes(preparing), preparing.view) == before
        how_often += preparing._prepared is not None
        preparing.wants_changes = plain.wants_changes
        index += 1
        if chance.random() < 0.1:  # another leader had nothing for this place
            plain.skip(index, 1)
            preparing.skip(index, 1)
            continue
        data = chance.choice(planned)
        origin.next_sequence += len(decode_entry(data)[1][0][3])
        assert told(plain.apply(index, 1, data)) == told(preparing.apply(index, 1, data))
        assert snapshot_bytes(plain) == snapshot_bytes(preparing)
    return how_often


@pytest.fixture
def _all_is_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_be_brief(*_: object) -> bool:
        return True

    def ensure_brief(_: object) -> None:
        pass

    monkeypatch.setattr(machine_module, "may_be_brief", may_be_brief)
    monkeypatch.setattr(machine_module, "ensure_brief", ensure_brief)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("_all_is_brief")
def test_what_was_prepared_is_what_is_done(seed: int) -> None:
    assert compare(seed) > 40


class _Forgetless(Machine):
    """Takes over what was prepared whatever is committed."""

    def apply(self, index: int, term: int, data: bytes) -> Applied:
        prepared = self._prepared
        return super().apply(index, term, data if prepared is None else prepared.data)


class _Leaky(Machine):
    """Leaves the tree that it has worked out."""

    def prepare(self, data: bytes) -> None:
        super().prepare(data)
        if self._prepared is not None:
            self._working.replace(self._prepared.state)


@pytest.mark.parametrize("planted", [_Forgetless, _Leaky])
@pytest.mark.usefixtures("_all_is_brief")
def test_a_machine_that_mixes_it_up_is_found(planted: type[Machine]) -> None:
    with pytest.raises(AssertionError):
        compare(1, planted)


def test_what_was_prepared_is_taken_over_without_being_worked_out_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = Origin()
    origin.put("/a/b", 1)
    data = next_entry(origin, put("/a/b", 2), commands.increment(Path(["n"]), 5))
    origin.machine.prepare(data)

    def fail(*_: object) -> Sequence[object]:
        raise AssertionError("it was executed a second time")

    monkeypatch.setattr(Machine, "_execute", fail)
    applied = origin.machine.apply(len(origin.log) + 1, 1, data)
    assert len(applied.groups[0].replies) == 2
    assert origin.tree() == {"/a": None, "/a/b": 2, "/n": 5}


def test_nobody_sees_what_was_prepared_and_another_entry_may_come_in_its_place() -> None:
    origin = Origin()
    origin.put("/a", 1)
    origin.machine.prepare(next_entry(origin, put("/a", "lost"), put("/lost", 1)))
    assert origin.tree() == {"/a": 1}
    origin.put("/b", 2)
    assert origin.tree() == {"/a": 1, "/b": 2}


def test_what_was_prepared_is_void_once_anything_else_is_applied() -> None:
    origin = Origin()
    data = next_entry(origin, commands.increment(Path(["n"]), 1))
    origin.machine.prepare(data)
    other = encode_entry(1_000, [Group(77, 1, 1, [])])
    origin.machine.apply(8, 1, other)
    origin.machine.prepare(other)
    origin.machine.apply(9, 1, data)
    assert origin.tree() == {"/n": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        encode_entry(2_000, []),
        encode_entry(2_000, [Group(77, 1, 1, [])]),
        encode_entry(2_000, [Group(0, 0, 0, [commands.encode(commands.open_session(b"t"))])]),
    ],
    ids=["garbled", "no group", "a session that is not there", "a new session"],
)
def test_what_is_not_simple_is_left_to_be_applied(data: bytes) -> None:
    plain, preparing = Origin(), Origin()
    preparing.machine.prepare(data)
    assert told(preparing.machine.apply(9, 1, data)) == told(plain.machine.apply(9, 1, data))
    assert snapshot_bytes(preparing.machine) == snapshot_bytes(plain.machine)


def test_what_expires_with_an_entry_expires_when_it_is_applied() -> None:
    origin = Origin()
    origin.run(commands.put(path("/short"), value(1), ttl_milliseconds=10))
    origin.time_milliseconds += 20
    data = next_entry(origin, commands.update(path("/short"), value(2)))
    origin.machine.prepare(data)
    assert origin.tree() == {"/short": 1}
    origin.machine.apply(9, 1, data)
    assert origin.tree() == {}


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_running_out_of_memory_or_stack_ahead_of_time_is_of_no_consequence(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin()
    data = next_entry(origin, put("/a", 1), commands.increment(Path(["n"]), 1))

    def run_out(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setitem(OPERATIONS, commands.INCREMENT, run_out)
        origin.machine.prepare(data)
    assert origin.tree() == {}
    origin.machine.apply(9, 1, data)
    assert origin.tree() == {"/a": 1, "/n": 1}


def test_a_put_that_raises_half_way_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Origin()
    origin.put("/a/b", 1)
    data = next_entry(origin, put("/a/b", 2), put("/a/c", 3))

    def half_done(self: WorkingTree, *_: object) -> bool:
        self._own_nothing()
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(WorkingTree, "put", half_done)
        origin.machine.prepare(data)
    assert origin.tree() == {"/a": None, "/a/b": 1}
    origin.machine.apply(9, 1, data)
    assert origin.tree() == {"/a": None, "/a/b": 2, "/a/c": 3}


_EMPTY: commands.Operation = []


def batch_of(count: int) -> commands.Operation:
    return commands.batch([put(f"/b/{number}", number) for number in range(count)])


@pytest.mark.parametrize(
    "operation",
    [
        put("/a/b", 2),
        put("/new/one", bytes(1 << 20)),
        commands.put(path("/a/b"), value(2), ttl_milliseconds=5_000),
        commands.create(path("/c"), value(1)),
        commands.update(path("/a/b"), value(1)),
        commands.compare_and_swap(path("/a/b"), 1, value(2)),
        commands.increment(Path(["n"]), 1),
        batch_of(100),
        commands.batch(
            [
                commands.require(
                    combine_with_conditions(path("/lock"), IfNodeExists(exists=False))
                ),
                commands.put(path("/lock"), value("me"), ttl_milliseconds=5_000),
            ]
        ),
    ],
    ids=lambda operation: str(operation)[:20],
)
def test_what_is_for_one_node_or_a_few_is_worked_out_ahead(operation: commands.Operation) -> None:
    origin = Origin()
    origin.put("/a/b", 1)
    origin.machine.prepare(next_entry(origin, put("/first", 1), operation))
    assert origin.machine._prepared is not None


@pytest.mark.parametrize(
    "operation",
    [
        commands.copy(Path(["a"]), Path(["c"])),
        commands.move(Path(["a"]), Path(["c"])),
        commands.delete(path("/a")),
        commands.put(parse_path("/a/*"), value(2), many=True),
        commands.delete(parse_path("/a/**"), many=True),
        commands.clear_payload(parse_path("/a/*"), many=True),
        commands.put(path("/c"), value(1), keep_while={path("/a"): IfDataMatches(1)}),
        batch_of(MAX_BATCH_BYTES // 4),
        commands.batch([put("/a/b", 2), commands.copy(Path(["a"]), Path(["c"]))]),
    ],
    ids=lambda operation: str(operation)[:20],
)
def test_what_may_take_long_is_not_done_while_nobody_else_can_write(
    operation: commands.Operation,
) -> None:
    origin = Origin()
    origin.put("/a/b", 1)
    origin.machine.prepare(next_entry(origin, put("/first", 1), operation))
    assert origin.machine._prepared is None


@pytest.mark.parametrize(
    "operation",
    [
        _EMPTY,
        cast("commands.Operation", "no command"),
        [commands.BATCH],
        [commands.BATCH, [_EMPTY]],
        [commands.PUT],
        [[commands.PUT]],
        [commands.PUT_MATCHING, ["a"], b"x"],
        [commands.PUT_MATCHING, ["a"], b"x", commands.MANY],
        [commands.PUT_MATCHING, 7, b"x", {}],
        [commands.INCREMENT, ["a"], "b"],
        [99],
    ],
    ids=str,
)
def test_what_is_garbled_is_answered_the_same(operation: commands.Operation) -> None:
    plain, preparing = Origin(), Origin()
    data = next_entry(plain, put("/a/b", 1), operation, put("/a/c", 1))
    preparing.machine.prepare(data)
    assert told(preparing.machine.apply(9, 1, data)) == told(plain.machine.apply(9, 1, data))
    assert snapshot_bytes(preparing.machine) == snapshot_bytes(plain.machine)


def test_nothing_is_worked_out_ahead_where_others_may_go_by_any_change() -> None:
    origin = Origin()
    origin.put("/a", 1)
    origin.run(
        commands.put(path("/b"), value(1), keep_while={PathPattern(["a"]): IfDataMatches(1)})
    )
    origin.machine.prepare(next_entry(origin, put("/a", 2)))
    assert origin.machine._prepared is None
    origin.put("/a", 2)
    assert origin.tree() == {"/a": 2}


@pytest.mark.parametrize("pattern", ["/a/b", "/elsewhere"])
def test_nothing_is_worked_out_ahead_where_any_change_may_ask_for_calls(pattern: str) -> None:
    """Thousands of them, or a walk of the tree for one: the log waits for neither."""
    origin = Origin()
    origin.put("/procedure", ProcedureName("log"))
    origin.run(commands.register_trigger("one", path(pattern), Path("procedure")))
    data = next_entry(origin, put("/a/b", 1), commands.increment(Path(["n"]), 1))
    origin.machine.prepare(data)
    assert origin.machine._prepared is None
    origin.machine.apply(9, 1, data)
    actions = origin.machine.view.state.triggers.actions
    assert len(actions) == (pattern == "/a/b")


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
@pytest.mark.parametrize("command", [commands.increment(Path(["n"]), 1), put("/a", 1)])
def test_a_machine_that_cannot_go_back_to_what_was_before_applies_nothing_more(
    command: commands.Operation, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes the log may take what is raised for trouble of its own, and go on."""
    origin = Origin()
    data = next_entry(origin, command)

    def run_out(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(WorkingTree, "go_back", run_out)
        with suppress(error):
            origin.machine.prepare(data)
    for use in (
        lambda: origin.machine.apply(9, 1, data),
        lambda: origin.machine.prepare(data),
        origin.machine.snapshot_chunks,
    ):
        with pytest.raises(MemoryError):
            use()
