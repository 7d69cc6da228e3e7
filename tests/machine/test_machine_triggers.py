"""Triggers: which changes ask for a call, what is owed, and how it is kept."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.encoding import pack, unpack
from khepri.errors import (
    CommandFailedError,
    DataCorruptionError,
    InvalidOptionError,
    MismatchingNodeError,
    WrongTypeError,
)
from khepri.machine import commands
from khepri.machine.automaton import visit
from khepri.machine.conditions import IfDataMatches, IfNameMatches, IfNodeExists
from khepri.machine.edit import subtree
from khepri.machine.machine import Machine
from khepri.machine.names import PARENT, THIS
from khepri.machine.paths import Path, PathPattern, resolve_path
from khepri.machine.snapshot_format import FORMAT_VERSION, WITHOUT_TRIGGERS
from khepri.machine.values import ProcedureName
from tests.machine.machine_helpers import Origin, path, snapshot_bytes, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.machine.tree import Names, TreeNode


@pytest.fixture
def origin() -> Origin:
    """Give an origin in whose tree a procedure is stored."""
    origin = Origin()
    origin.put("/procedures/log", ProcedureName("log"))
    return origin


def register(
    origin: Origin,
    trigger_id: str,
    pattern: Path | PathPattern,
    *on_actions: str,
    priority: int = 0,
    procedure: str = "/procedures/log",
) -> None:
    origin.run(
        commands.register_trigger(
            trigger_id, pattern, Path(procedure), on_actions=on_actions, priority=priority
        )
    )


def owed(origin: Origin) -> list[tuple[str, str, str]]:
    """Give what is owed, in order: trigger, kind of change, path."""
    actions = origin.machine.view.state.triggers.actions
    return [
        (it.trigger_id, it.kind, str(resolve_path(it.path))) for _, it in sorted(actions.items())
    ]


def test_a_trigger_asks_for_a_call_for_each_change_it_is_for(origin: Origin) -> None:
    register(origin, "stock", path("/stock/*"))
    origin.put("/stock/oak", 1)
    origin.put("/stock/oak", 2)
    origin.put("/stock/oak", 2)  # changes nothing
    origin.put("/other", 1)
    origin.delete("/stock/oak")
    assert owed(origin) == [
        ("stock", "create", "/stock/oak"),
        ("stock", "update", "/stock/oak"),
        ("stock", "delete", "/stock/oak"),
    ]


def test_only_the_kinds_of_changes_it_was_registered_for_count(origin: Origin) -> None:
    register(origin, "gone", path("/stock/*"), "delete")
    register(origin, "there", path("/stock/*"), "create", "update")
    origin.put("/stock/oak", 1)
    origin.delete("/stock/oak")
    assert owed(origin) == [
        ("there", "create", "/stock/oak"),
        ("gone", "delete", "/stock/oak"),
    ]


def test_a_child_that_comes_or_goes_is_an_update_of_its_parent(origin: Origin) -> None:
    origin.put("/stock", "wood")
    register(origin, "shelf", path("/stock"))
    origin.put("/stock/oak", 1)
    origin.put("/stock/oak", 2)
    origin.delete("/stock/oak")
    assert owed(origin) == [("shelf", "update", "/stock")] * 2


def test_the_root_is_a_tree_node_like_any_other(origin: Origin) -> None:
    register(origin, "root", path("/"))
    origin.put("/", 1)
    origin.put("/stock/oak", 1)
    assert owed(origin) == [("root", "update", "/")] * 2


def test_parents_made_on_the_way_and_what_goes_with_them_count(origin: Origin) -> None:
    register(origin, "all", path("/stock/**"))
    register(origin, "top", path("/stock"), "create", "delete")
    origin.put("/stock/wood/oak", 1)
    origin.delete("/stock/wood/oak")
    assert owed(origin) == [
        ("all", "create", "/stock/wood"),
        ("all", "create", "/stock/wood/oak"),
        ("top", "create", "/stock"),
        ("all", "delete", "/stock/wood"),
        ("all", "delete", "/stock/wood/oak"),
        ("top", "delete", "/stock"),
    ]


def test_what_is_removed_with_another_tree_node_counts(origin: Origin) -> None:
    origin.put("/owner", 1)
    origin.put("/lock", 1, {"/owner": IfNodeExists(exists=True)})
    origin.put("/lock/inside", 1)
    register(origin, "all", path("/**"), "delete")
    origin.delete("/owner")
    assert owed(origin) == [
        ("all", "delete", "/lock"),
        ("all", "delete", "/lock/inside"),
        ("all", "delete", "/owner"),
    ]


def test_what_expires_counts(origin: Origin) -> None:
    register(origin, "gone", path("/lease"), "delete")
    origin.run(commands.put(path("/lease"), value(1), ttl_milliseconds=100))
    origin.time_milliseconds += 100
    origin.append()
    assert owed(origin) == [("gone", "delete", "/lease")]


def test_calls_come_by_priority_then_by_id_then_in_path_order(origin: Origin) -> None:
    register(origin, "b", path("/stock/*"))
    register(origin, "a", path("/stock/*"))
    register(origin, "urgent", path("/stock/oak"), priority=1)
    register(origin, "idle", path("/stock/*"), priority=-1)
    origin.put("/stock/maple", 1)
    origin.put("/stock/oak", 1)
    origin.run(commands.delete(path("/stock/*"), many=True))
    assert [(who, where) for who, kind, where in owed(origin) if kind == "delete"] == [
        ("urgent", "/stock/oak"),
        ("a", "/stock/maple"),
        ("a", "/stock/oak"),
        ("b", "/stock/maple"),
        ("b", "/stock/oak"),
        ("idle", "/stock/maple"),
        ("idle", "/stock/oak"),
    ]


def test_a_condition_is_asked_after_a_change_and_before_a_deletion(origin: Origin) -> None:
    rich = PathPattern(["stock", IfDataMatches(5)])
    register(origin, "rich", resolve_path(rich))
    origin.put("/stock/oak", 1)
    assert owed(origin) == []
    origin.put("/stock/oak", 5)
    origin.delete("/stock/oak")
    assert owed(origin) == [("rich", "update", "/stock/oak"), ("rich", "delete", "/stock/oak")]


def test_a_condition_on_what_is_gone_harms_nothing(origin: Origin) -> None:
    register(origin, "odd", resolve_path([IfNameMatches(), PARENT, "a", "b"]))
    register(origin, "deep", path("/a/*/**"))
    origin.put("/a/b/c", 1)
    origin.delete("/a")
    assert ("odd", "delete", "/a/b") in owed(origin)


def test_a_pattern_with_a_step_up_is_looked_for_once_and_not_for_each_change(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        origin.put(f"/stock/{number}", number)
    register(origin, "odd", resolve_path(["stock", IfNameMatches(), PARENT, "7"]))
    walks: list[object] = []

    def counted(*arguments: Any) -> Any:
        walks.append(arguments)
        return visit(*arguments)

    monkeypatch.setattr("khepri.machine.patterns.visit", counted)
    origin.delete("/stock")
    assert owed(origin) == [("odd", "delete", "/stock/7")]
    assert len(walks) == 2  # to the parents, and from them


def test_a_deletion_far_from_any_trigger_looks_at_nothing_below(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        origin.put(f"/other/{number}", number)
        origin.put(f"/stock/wood/{number}", number)
    register(origin, "stock", path("/stock/*/3"))
    walked: list[Names] = []

    def noted(top: Names, node: TreeNode) -> Iterator[tuple[Names, TreeNode]]:
        walked.append(top)
        return subtree(top, node)

    monkeypatch.setattr("khepri.machine.edit.subtree", noted)
    origin.delete("/other")
    assert walked == []
    origin.delete("/stock")
    assert walked == [("stock",)]
    assert owed(origin) == [("stock", "delete", "/stock/wood/3")]


def test_each_operation_of_a_batch_is_looked_at_by_itself(origin: Origin) -> None:
    register(origin, "stock", path("/stock/*"))
    origin.run(
        commands.batch(
            [
                commands.put(path("/stock/oak"), value(1)),
                commands.delete(path("/stock/oak")),
                commands.put(path("/stock/oak"), value(2)),
            ]
        )
    )
    assert [kind for _, kind, _ in owed(origin)] == ["create", "delete", "create"]


def test_a_batch_that_fails_asks_for_nothing(origin: Origin) -> None:
    register(origin, "stock", path("/stock/*"))
    before = origin.machine.view.state.triggers
    with pytest.raises(MismatchingNodeError):
        origin.run(
            commands.batch(
                [
                    commands.put(path("/stock/oak"), value(1)),
                    commands.create(path("/procedures/log"), value(1)),
                ]
            )
        )
    assert origin.machine.view.state.triggers is before


def test_many_puts_in_one_entry_and_puts_to_a_family_count_one_by_one(origin: Origin) -> None:
    register(origin, "stock", path("/stock/*"), "create")
    origin.put("/stock/first")
    names = [f"wood{number}" for number in range(10)]
    origin.replies(*(commands.put(path(f"/stock/{name}"), value(1)) for name in names))
    origin.replies(
        commands.batch([commands.put(path(f"/stock/more-{name}"), value(1)) for name in names])
    )
    assert len(owed(origin)) == 21


def test_a_call_is_for_the_procedure_that_was_stored_at_that_moment(origin: Origin) -> None:
    register(origin, "stock", path("/stock/*"), procedure="/procedures/later")
    origin.put("/stock/a", 1)  # none is stored: nothing is asked for
    origin.put("/procedures/later", "no procedure")
    origin.put("/stock/b", 1)
    origin.put("/procedures/later", ProcedureName("first"))
    origin.put("/stock/c", 1)
    origin.put("/procedures/later", ProcedureName("second"))
    origin.put("/stock/d", 1)
    origin.delete("/procedures")
    origin.put("/stock/e", 1)
    actions = origin.machine.view.state.triggers.actions
    assert [it.procedure for _, it in sorted(actions.items())] == ["first", "second"]


def test_a_trigger_of_the_same_id_takes_the_place_of_the_one_before(origin: Origin) -> None:
    register(origin, "one", path("/a/*"))
    origin.put("/a/x", 1)
    register(origin, "one", path("/b/*"))
    origin.put("/a/y", 1)
    origin.put("/b/z", 1)
    assert owed(origin) == [("one", "create", "/a/x"), ("one", "create", "/b/z")]


def test_a_registration_is_no_reason_to_call(origin: Origin) -> None:
    origin.put("/a", 1)
    register(origin, "one", path("/**"))
    assert owed(origin) == []


def test_what_was_called_is_owed_no_more_and_may_be_said_twice(origin: Origin) -> None:
    register(origin, "one", path("/a/*"))
    for name in "xyz":
        origin.put(f"/a/{name}", 1)
    first, second, third = sorted(origin.machine.view.state.triggers.actions)
    origin.run(commands.actions_done([second, 77]))
    origin.run(commands.actions_done([second, third]))
    assert list(origin.machine.view.state.triggers.actions) == [first]
    origin.run(commands.actions_done([first]))
    origin.put("/a/w", 1)
    assert min(origin.machine.view.state.triggers.actions) > third


def test_a_trigger_goes_with_what_it_has_asked_for(origin: Origin) -> None:
    register(origin, "one", path("/a/*"))
    register(origin, "other", path("/a/*"))
    origin.put("/a/x", 1)
    assert origin.run(commands.unregister_trigger("one")) is True
    assert origin.run(commands.unregister_trigger("one")) is False
    origin.put("/a/y", 1)
    assert owed(origin) == [("other", "create", "/a/x"), ("other", "create", "/a/y")]


def test_a_trigger_whose_condition_stands_for_this_or_the_parent_is_resolved(
    origin: Origin,
) -> None:
    register(origin, "one", resolve_path([THIS, "a", "b", PARENT]))
    origin.put("/a", 1)
    assert owed(origin) == [("one", "create", "/a")]


@pytest.mark.parametrize("trigger_id", ["", "x" * 256, "\udc80"])
def test_an_impossible_id_is_refused(trigger_id: str) -> None:
    with pytest.raises(InvalidOptionError, match="name of a trigger"):
        commands.unregister_trigger(trigger_id)


def test_impossible_arguments_are_refused_by_name() -> None:
    at = Path("/a")
    with pytest.raises(WrongTypeError, match="name of a trigger"):
        commands.register_trigger(5, at, at)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="vanish"):
        commands.register_trigger("a", at, at, on_actions=["vanish"])
    with pytest.raises(WrongTypeError, match="on_actions"):
        commands.register_trigger("a", at, at, on_actions="create")
    with pytest.raises(WrongTypeError, match="priority"):
        commands.register_trigger("a", at, at, priority=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="priority"):
        commands.register_trigger("a", at, at, priority=1 << 63)


@pytest.mark.parametrize(
    "arguments",
    [
        [commands.REGISTER_TRIGGER, 5, ["a"], 1, 0, ["p"]],
        [commands.REGISTER_TRIGGER, "a", ["a"], 0, 0, ["p"]],
        [commands.REGISTER_TRIGGER, "a", ["a"], 8, 0, ["p"]],
        [commands.REGISTER_TRIGGER, "a", ["a"], 1, 0.5, ["p"]],
        [commands.REGISTER_TRIGGER, "a", [5], 1, 0, ["p"]],
        [commands.REGISTER_TRIGGER, "a", ["a"], 1, 0, [5]],
        [commands.REGISTER_TRIGGER, "a"],
        [commands.UNREGISTER_TRIGGER, 5],
        [commands.ACTIONS_DONE, [1.5]],
        [commands.ACTIONS_DONE, 1],
    ],
)
def test_a_garbled_command_about_triggers_has_no_effect(
    origin: Origin, arguments: list[object]
) -> None:
    before = origin.machine.view.state.triggers
    with pytest.raises(CommandFailedError):
        origin.run(arguments)
    assert origin.machine.view.state.triggers is before


# --- kept


def test_triggers_and_what_they_ask_for_outlive_a_snapshot(origin: Origin) -> None:
    register(origin, "b", resolve_path(["a", IfDataMatches(5)]), "update", priority=-3)
    register(origin, "a", path("/a/**"))
    origin.put("/a/x", 1)
    origin.put("/a/x", 5)
    chunks = list(origin.machine.snapshot_chunks())
    restored = Machine.restore(chunks)
    assert restored.view.state.triggers.by_id == origin.machine.view.state.triggers.by_id
    assert restored.view.state.triggers.actions == origin.machine.view.state.triggers.actions
    assert b"".join(restored.snapshot_chunks()) == b"".join(chunks)
    again = Origin.__new__(Origin)
    again.__dict__.update(origin.__dict__)
    again.machine, again.log = restored, list(origin.log)
    for one in (origin, again):
        one.put("/a/y", 5)
        one.put("/b", 5)
        one.put("/a/y", 6)
    assert snapshot_bytes(again.machine) == snapshot_bytes(origin.machine)


def test_a_store_without_triggers_is_written_for_older_releases_too() -> None:
    origin = Origin()

    def version() -> int:
        return int(unpack(next(iter(origin.machine.snapshot_chunks()))[4:])[0][1])

    assert version() == WITHOUT_TRIGGERS
    register(origin, "a", path("/a"))
    assert version() == FORMAT_VERSION
    origin.run(commands.unregister_trigger("a"))
    assert version() == WITHOUT_TRIGGERS


KINDS = st.lists(st.sampled_from(["create", "update", "delete"]), unique=True)
PATTERNS = st.sampled_from(["/a", "/*", "/a/*", "/a/**", "/**", "/b/a", "/*/a", "/"])
PATHS = st.sampled_from(["/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/b", "/"])


@given(
    st.dictionaries(st.sampled_from("xyz"), st.tuples(PATTERNS, KINDS), min_size=1),
    st.lists(st.tuples(st.sampled_from(["put", "delete", "puts"]), PATHS, st.integers(0, 1))),
)
def test_what_is_asked_for_is_what_the_changes_of_the_machine_say(
    triggers: dict[str, tuple[str, list[str]]], writes: list[tuple[str, str, int]]
) -> None:
    plain, telling = Origin(), Origin()
    telling.machine.wants_changes = True
    for origin in (plain, telling):
        origin.put("/procedures/log", ProcedureName("log"))
        for trigger_id, (pattern, kinds) in triggers.items():
            register(origin, trigger_id, path(pattern), *kinds)
    expected: list[tuple[str, str, str]] = []
    for what, where, number in writes:
        for origin in (plain, telling):
            operation = (
                commands.delete(path("/a" if where == "/" else where))
                if what == "delete"
                else commands.put(path(where), value(number))
            )
            origin.replies(commands.batch([operation]) if what == "puts" else operation)
        expected += sorted(
            (trigger_id, kind, at)
            for kind, at in telling.changes()
            for trigger_id, (pattern, kinds) in triggers.items()
            if _matches(pattern, at) and kind in (kinds or ["create", "update", "delete"])
        )
    # Within one write: by trigger, then by path, which is not the order of the kinds.
    assert sorted(owed(plain)) == sorted(expected)
    assert owed(plain) == owed(telling)
    assert snapshot_bytes(plain.machine) == snapshot_bytes(telling.machine)


def _matches(pattern: str, at: str) -> bool:
    wanted = [part for part in pattern.split("/") if part]
    names = [part for part in at.split("/") if part]
    if wanted[-1:] == ["**"]:
        wanted = wanted[:-1] + ["*"] * max(1, len(names) - len(wanted) + 1)
    return len(wanted) == len(names) and all(
        part in ("*", name) for part, name in zip(wanted, names, strict=True)
    )


@given(st.lists(st.recursive(st.integers(-9, 9) | st.text(max_size=3), st.lists, max_leaves=5)))
def test_a_trigger_record_of_any_shape_is_refused_or_restored(parts: list[object]) -> None:
    machine = Machine()
    header, *rest = machine.snapshot_chunks()
    records = [[6, *parts], [7, *parts], [8, *parts]]
    for record in records:
        checksum = 0
        chunks: list[bytes] = []
        for body in [header[4:], *(chunk[4:] for chunk in rest[:-1]), pack([record, [5]])]:
            checksum = crc32(body, checksum)
            chunks.append(checksum.to_bytes(4, "big") + body)
        with suppress(DataCorruptionError):
            Machine.restore(chunks)
