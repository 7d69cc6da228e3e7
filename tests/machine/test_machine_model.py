"""Random operations on the machine and on a naive second tree must agree in everything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from khepri.errors import KeepWhileConditionsNotMetError, MismatchingNodeError, NodeNotFoundError
from khepri.machine import (
    children,
    commands,
    edit,
    expiry_index,
    operations,
    snapshot_reader,
    snapshot_writer,
    sorted_families,
    unread_family,
    working_tree,
)
from khepri.machine.conditions import (
    IfAll,
    IfChildListLength,
    IfDataMatches,
    IfHasPayload,
    IfNameMatches,
    IfNodeExists,
    IfPathMatches,
    IfPayloadVersion,
)
from khepri.machine.edit import Edit
from khepri.machine.keep_while import EMPTY_INDEX
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, PathPattern, resolve_path
from khepri.machine.values import decode_value
from tests.machine import naive_model
from tests.machine.machine_helpers import ALL, Origin, nodes, snapshot_bytes, value
from tests.machine.naive_model import KeepWhile, NaiveTree, Names, Payload, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.conditions import Component, Condition
    from khepri.machine.tree import TreeNode

Expected = dict[Names, dict[str, Any]] | str

names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=4).map(tuple)
values = st.sampled_from([0, 1, 1.0, "x", None, [1, 2]])
conditions = st.one_of(
    st.tuples(st.just("exists"), st.booleans()),
    st.tuples(st.just("has_payload"), st.booleans()),
    st.tuples(st.just("children"), st.integers(0, 2)),
    st.tuples(st.just("version"), st.integers(1, 2)),
    st.tuples(st.just("data"), st.sampled_from([0, 1, 1.0, "x"])),
)
selections = st.tuples(st.sampled_from(["has_payload"]), st.booleans())
patterns = st.lists(st.one_of(names, st.sampled_from(["*", "**"]), selections), max_size=3).map(
    tuple
)
watches = st.lists(st.tuples(st.one_of(paths, st.just(()), patterns), conditions), max_size=2).map(
    lambda items: tuple(dict(items).items())
)
payloads = st.one_of(st.none(), values.map(lambda it: (it,)))
ttls = st.sampled_from([0, 100, 250, 1_000])
batches = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "clear", "increment", "touch", "create", "move"]),
        paths,
        values,
    ),
    min_size=1,
    max_size=5,
)
EXAMPLES = int(os.environ.get("KHEPRI_MODEL_EXAMPLES", "200"))
"""Random programs of 30 operations each; thousands of them take minutes."""


def real_condition(condition: naive_model.Condition) -> Condition:
    kind, argument = condition
    make: dict[str, Callable[[Any], Condition]] = {
        "exists": IfNodeExists,
        "has_payload": IfHasPayload,
        "children": IfChildListLength,
        "version": IfPayloadVersion,
        "data": IfDataMatches,
    }
    return make[kind](argument)


def real_pattern(pattern: naive_model.Pattern) -> Path | PathPattern:
    return resolve_path([real_component(component) for component in pattern])


def real_component(component: naive_model.Component) -> Component:
    if component == "*":
        return IfNameMatches()
    if component == "**":
        return IfPathMatches()
    return component if isinstance(component, str) else real_condition(component)


def real_keep_while(keep_while: KeepWhile) -> KeepWhileOption:
    return {real_pattern(pattern): real_condition(it) for pattern, it in keep_while}


def real_payload(payload: Payload) -> bytes | None:
    return None if payload is None else value(payload[0])


class MachineAndModel(RuleBasedStateMachine):
    """One operation after the other on both."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveTree()
        self.origin = Origin()
        self.origin.machine.wants_changes = True
        self.in_place = Machine()  # the same log, where plain puts take the short cut

    def both(self, operation: commands.Operation, expected: Expected) -> None:
        """Compare what the machine tells with what the model says, events included."""
        try:
            told = self.origin.run(operation)
        except KeepWhileConditionsNotMetError:
            assert expected == "keep_while"
            return
        except MismatchingNodeError:
            assert expected == "mismatching"
            return
        except NodeNotFoundError:
            assert expected == "not_found"
            return
        if told is not None:
            assert isinstance(expected, dict)
            assert {at: _typed(it) for at, it in told.items()} == {
                at: _typed(it) for at, it in expected.items()
            }
            assert list(told) == sorted(told)
        self.compare_changes()

    def kinds(self) -> list[tuple[Names, str]]:
        """Give the change events of the last entry."""
        return [
            (at, "create" if old is None else "delete" if new is None else "update")
            for at, old, new, _reason in self.origin.last.changes  # type: ignore[union-attr]  # it ran
        ]

    def compare_changes(self) -> None:
        kinds = self.kinds()
        reasons = {change.path: change.reason for change in self.origin.last.changes}  # type: ignore[union-attr]
        assert {at: reason for at, reason in reasons.items() if reason is not None} == {
            at: reason for at, (_node, reason) in self.naive.deleted.items() if at
        }
        created_and_deleted = {
            at for at, _kind in kinds if at in self.naive.created and at in self.naive.deleted
        }
        assert created_and_deleted <= {at for at, kind in kinds if kind == "delete"}
        assert kinds == self.naive.changes()

    @rule(path=paths, payload=values)
    def put(self, path: Names, payload: object) -> None:
        expected = self.naive.put(path, (payload,))
        self.both(commands.put(Path(path), value(payload)), expected)

    @rule(path=st.one_of(paths, st.just(())), payload=payloads)
    def put_and_tell(self, path: Names, payload: Payload) -> None:
        expected = self.naive.put(path, payload)
        self.both(commands.put(Path(path), real_payload(payload), returning=ALL), expected)

    @rule(path=paths, payload=payloads, keep_while=watches)
    def put_keep_while(self, path: Names, payload: Payload, keep_while: KeepWhile) -> None:
        expected: Expected
        try:
            expected = self.naive.put(path, payload, keep_while)
        except Refused as refused:
            expected = str(refused)
        operation = commands.put(
            Path(path),
            real_payload(payload),
            keep_while=real_keep_while(keep_while),
            returning=ALL,
        )
        self.both(operation, expected)

    @rule(pattern=patterns, payload=payloads)
    def put_many(self, pattern: naive_model.Pattern, payload: Payload) -> None:
        if len(self.naive.nodes) > 40:
            return  # ``**/x`` doubles the tree
        expected = self.naive.put(pattern, payload)
        operation = commands.put(
            real_pattern(pattern), real_payload(payload), many=True, returning=ALL
        )
        self.both(operation, expected)

    @rule(pattern=patterns.filter(len), payload=payloads, keep_while=watches)
    def put_many_keep_while(
        self, pattern: naive_model.Pattern, payload: Payload, keep_while: KeepWhile
    ) -> None:
        if len(self.naive.nodes) > 40:
            return
        expected: Expected
        try:
            expected = self.naive.put(pattern, payload, keep_while)
        except Refused as refused:
            expected = str(refused)
        operation = commands.put(
            real_pattern(pattern),
            real_payload(payload),
            many=True,
            keep_while=real_keep_while(keep_while),
            returning=ALL,
        )
        self.both(operation, expected)

    @rule(path=st.one_of(paths, st.just(())), payload=values, tell=st.booleans())
    def create(self, path: Names, payload: object, tell: bool) -> None:
        expected: Expected
        known = path in self.naive.nodes
        expected = "mismatching" if known else self.naive.put(path, (payload,))
        returning = ALL if tell else None
        self.both(commands.create(Path(path), value(payload), returning=returning), expected)

    @rule(path=st.one_of(paths, st.just(())), payload=values, tell=st.booleans())
    def update(self, path: Names, payload: object, tell: bool) -> None:
        expected: Expected
        known = path in self.naive.nodes
        expected = self.naive.put(path, (payload,)) if known else "not_found"
        returning = ALL if tell else None
        self.both(commands.update(Path(path), value(payload), returning=returning), expected)

    @rule(path=st.one_of(paths, st.just(())), wanted=st.sampled_from([0, 1, 1.0]), payload=values)
    def compare_and_swap(self, path: Names, wanted: object, payload: object) -> None:
        expected: Expected
        if path not in self.naive.nodes:
            expected = "not_found"
        elif not self.naive.holds(path, ("data", wanted)):
            expected = "mismatching"
        else:
            expected = self.naive.put(path, (payload,))
        operation = commands.compare_and_swap(Path(path), wanted, value(payload), returning=ALL)
        self.both(operation, expected)

    @precondition(lambda self: len(self.naive.nodes) > 3)
    @rule(path=paths, tell=st.booleans())
    def delete(self, path: Names, tell: bool) -> None:
        expected = self.naive.delete(path)
        self.both(commands.delete(Path(path), returning=ALL if tell else None), expected)

    @precondition(lambda self: len(self.naive.nodes) > 6)
    @rule(pattern=patterns)
    def delete_many(self, pattern: naive_model.Pattern) -> None:
        expected = self.naive.delete(pattern)
        self.both(commands.delete(real_pattern(pattern), many=True, returning=ALL), expected)

    @rule(path=st.one_of(paths, st.just(())))
    def clear(self, path: Names) -> None:
        expected = self.naive.clear(path)
        self.both(commands.clear_payload(Path(path), returning=ALL), expected)

    @rule(pattern=patterns)
    def clear_many(self, pattern: naive_model.Pattern) -> None:
        expected = self.naive.clear(pattern)
        self.both(
            commands.clear_payload(real_pattern(pattern), many=True, returning=ALL), expected
        )

    @rule(path=paths, payload=payloads, ttl=ttls, keep_while=st.one_of(st.none(), watches))
    def put_for_a_time(
        self, path: Names, payload: Payload, ttl: int, keep_while: KeepWhile | None
    ) -> None:
        expected: Expected
        try:
            expected = self.naive.put(path, payload, keep_while, ttl)
        except Refused as refused:
            expected = str(refused)
        operation = commands.put(
            Path(path),
            real_payload(payload),
            keep_while=None if keep_while is None else real_keep_while(keep_while),
            ttl_milliseconds=ttl,
            returning=ALL,
        )
        self.both(operation, expected)

    @rule(pattern=patterns.filter(len), payload=payloads, ttl=ttls)
    def put_many_for_a_time(
        self, pattern: naive_model.Pattern, payload: Payload, ttl: int
    ) -> None:
        if len(self.naive.nodes) > 40:
            return
        expected = self.naive.put(pattern, payload, None, ttl)
        operation = commands.put(
            real_pattern(pattern),
            real_payload(payload),
            many=True,
            ttl_milliseconds=ttl,
            returning=ALL,
        )
        self.both(operation, expected)

    @rule(path=paths, ttl=st.one_of(st.none(), ttls))
    def touch(self, path: Names, ttl: int | None) -> None:
        expected = self.naive.touch(path, ttl)
        self.both(commands.touch(Path(path), ttl, returning=ALL), expected)

    @rule(milliseconds=st.sampled_from([1, 99, 150, 500]))
    def let_pass(self, milliseconds: int) -> None:
        self.naive.let_pass(milliseconds)
        self.origin.time_milliseconds += milliseconds
        self.origin.append()
        self.compare_changes()

    @rule(path=paths, by=st.integers(-2, 2))
    def increment(self, path: Names, by: int) -> None:
        expected = self.naive.increment(path, by)
        self.both(commands.increment(Path(path), by, returning=ALL), expected)

    @rule(source=paths, place=paths, move=st.booleans())
    def transplant(self, source: Names, place: Names, move: bool) -> None:
        if place[: len(source)] == source or len(self.naive.nodes) > 40:
            return
        expected = self.naive.transplant(source, place, move=move)
        make = commands.move if move else commands.copy
        self.both(make(Path(source), Path(place), returning=ALL), expected)

    @rule(path=paths, condition=conditions, payload=values, tell=st.booleans())
    def put_if(
        self, path: Names, condition: naive_model.Condition, payload: object, tell: bool
    ) -> None:
        """Put to one tree node that must meet a condition; demanded absence lets it be made."""
        expected: Expected
        if path in self.naive.nodes:
            met = self.naive.holds(path, condition)
            expected = self.naive.put(path, (payload,)) if met else "mismatching"
        else:
            may_be_made = condition == ("exists", False)
            expected = self.naive.put(path, (payload,)) if may_be_made else "not_found"
        pattern = resolve_path([*path[:-1], IfAll(path[-1], real_condition(condition))])
        returning = ALL if tell else None
        self.both(commands.put(pattern, value(payload), returning=returning), expected)

    @rule(path=paths, condition=conditions, clear=st.booleans())
    def delete_or_clear_if(
        self, path: Names, condition: naive_model.Condition, clear: bool
    ) -> None:
        """What is not there is done already; an unmet condition is an error of a clear only."""
        met = path in self.naive.nodes and self.naive.holds(path, condition)
        pattern = resolve_path([*path[:-1], IfAll(path[-1], real_condition(condition))])
        if not met:
            self.naive.begin()
        expected: Expected = {}
        if clear:
            if path in self.naive.nodes:
                expected = self.naive.clear(path) if met else "mismatching"
            self.both(commands.clear_payload(pattern, returning=ALL), expected)
        else:
            if met:
                expected = self.naive.delete(path)
            self.both(commands.delete(pattern, returning=ALL), expected)

    @rule(steps=batches)
    def batch(self, steps: list[tuple[str, Names, object]]) -> None:
        """All of some operations or none; each sees, and is told, what those before it did."""
        before = dict(self.naive.nodes)
        told: list[Expected] = []
        events: list[tuple[Names, str]] = []
        operations: list[commands.Operation] = []
        outcome: Expected | None = None
        for kind, path, argument in steps:
            operation, expected = self.batched(kind, path, argument)
            operations.append(operation)
            if isinstance(expected, str):
                outcome = expected
                break
            told.append(expected)
            events.extend(self.naive.changes())
        if outcome is not None:
            self.naive.nodes = before
            self.naive.begin()
            self.both(commands.batch(operations), outcome)
            return
        results = self.origin.run(commands.batch(operations))
        assert len(results) == len(told)
        for found, wanted in zip(results, told, strict=True):
            assert isinstance(wanted, dict)
            assert {at: _typed(it) for at, it in found.items()} == {
                at: _typed(it) for at, it in wanted.items()
            }
        assert self.kinds() == events

    def batched(  # noqa: PLR0911 - one per kind
        self, kind: str, path: Names, argument: Any
    ) -> tuple[commands.Operation, Expected]:
        """Do one operation of a batch on the model."""
        at, number = Path(path), value(argument)
        if kind == "put":
            return commands.put(at, number, returning=ALL), self.naive.put(path, (argument,))
        if kind == "delete":
            return commands.delete(at, returning=ALL), self.naive.delete(path)
        if kind == "clear":
            return commands.clear_payload(at, returning=ALL), self.naive.clear(path)
        if kind == "increment":
            return commands.increment(at, 1, returning=ALL), self.naive.increment(path, 1)
        if kind == "touch":
            return commands.touch(at, 250, returning=ALL), self.naive.touch(path, 250)
        if kind == "create":
            known = path in self.naive.nodes
            expected: Expected = "mismatching" if known else self.naive.put(path, (argument,))
            return commands.create(at, number, returning=ALL), expected
        assert kind == "move"
        place = ("moved", *path)
        expected = self.naive.transplant(path, place, move=True)
        return commands.move(at, Path(place), returning=ALL), expected

    @rule(path=paths)
    def failing_batch(self, path: Names) -> None:
        """A batch whose last operation fails leaves nothing behind, not even in place."""
        operations = [
            commands.put(Path(path), value("lost")),
            commands.delete(Path((path[0],))),
            commands.put(Path((*path, "d")), value("lost too"), ttl_milliseconds=100),
            commands.update(Path(("nowhere",)), value(1)),
        ]
        self.both(commands.batch(operations), "not_found")

    @invariant()
    def the_trees_are_equal(self) -> None:
        found = nodes(self.origin.machine.view.root)
        assert found.keys() == self.naive.nodes.keys()
        for at, node in found.items():
            other = self.naive.nodes[at]
            payload = None if node.payload is None else (decode_value(node.payload),)
            assert naive_model.same(payload, other.payload)
            assert node.payload_version == other.payload_version
            assert node.child_list_version == other.child_list_version
            assert _is_implicit(node) is (other.keep_while == naive_model.IMPLICIT)
            expiry = None if node.keep_while is None else node.keep_while.expiry
            assert expiry == other.expiry

    @invariant()
    def the_index_follows_from_the_tree(self) -> None:
        index = EMPTY_INDEX
        for at, node in nodes(self.origin.machine.view.root).items():
            if node.keep_while is not None:
                index = index.with_watcher(at, node.keep_while)
        assert self.origin.machine._working.seal().watch_index == index

    def teardown(self) -> None:
        for number, data in enumerate(self.origin.log, 1):
            self.in_place.apply(number, 1, data)
        bytes_now = snapshot_bytes(self.origin.machine)
        assert snapshot_bytes(self.in_place) == bytes_now
        nodes(self.in_place.view.root)
        restored = Machine.restore(self.origin.machine.snapshot_chunks())
        assert snapshot_bytes(restored) == bytes_now
        nodes(restored.view.root)


def _is_implicit(node: TreeNode) -> bool:
    return node.keep_while is not None and node.keep_while.is_implicit


def _typed(told: dict[str, Any]) -> dict[str, Any]:
    """Make 1 and 1.0 different in comparisons."""
    return {**told, "data": repr(told["data"])} if "data" in told else told


TestMachineAndModel = MachineAndModel.TestCase
TestMachineAndModel.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, derandomize=True
)


def _do_nothing(*_arguments: object) -> list[object]:
    return []


def test_the_model_notices_what_an_operation_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison must be able to fail: each of these breaks one rule of the machine."""
    broken: list[tuple[object, str]] = [
        (edit, "_is_idle"),
        (Edit, "changes"),
        (operations, "settle"),
        (working_tree.WorkingTree, "_grow"),
        (Edit, "set_keep_while"),
    ]
    for owner, name in broken:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, _do_nothing)
            with pytest.raises(AssertionError):
                run_state_machine_as_test(
                    MachineAndModel,
                    settings=settings(
                        TestMachineAndModel.settings, phases=[Phase.generate], max_examples=200
                    ),
                )


@pytest.fixture
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is made for hundreds and thousands of tree nodes begin with one or two."""
    for module, name, small in (
        (children, "LARGE", 1),
        (working_tree, "LARGE", 1),
        (children, "SMALL_AGAIN", 0),
        (children, "HUGE", 2),
        (unread_family, "LARGEST", 1),
        (snapshot_reader, "LARGEST", 1),
        (snapshot_writer, "CHUNK_NODES", 2),
        (snapshot_writer, "CHUNK_BYTES", 20),
        (snapshot_writer, "_SORTED_AT_ONCE", 1),
        (snapshot_writer, "_BUCKET_SIZE", 1),
        (expiry_index, "_LARGEST", 3),
        (expiry_index, "_SMALL", 2),
        (expiry_index, "_FILLED", 2),
        (sorted_families, "_WORTH_KEEPING", 1),
    ):
        assert getattr(module, name) != small
        monkeypatch.setattr(module, name, small)


@pytest.mark.usefixtures("_small_is_large")
def test_the_ways_of_large_families_agree_with_the_naive_tree_too() -> None:
    run_state_machine_as_test(MachineAndModel, settings=TestMachineAndModel.settings)
