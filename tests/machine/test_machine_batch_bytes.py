"""A batch does the same whether its puts to a family travel together or one by one."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from khepri.encoding import pack, unpack
from khepri.errors import CommandFailedError, InvalidPathError
from khepri.machine import commands
from khepri.machine.batch_bytes import BatchBytes
from khepri.machine.command_codes import BATCH, DELETE, PUT, PUT_FAMILY
from khepri.machine.conditions import IfNodeExists
from khepri.machine.entries import Group
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, resolve_path
from khepri.machine.working_tree import WorkingTree
from tests.machine.machine_helpers import Origin, error_of, nodes, path, snapshot_bytes, value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from khepri.machine.commands import Operation

Put = tuple[Any, bytes]

names = st.sampled_from(["a", "b", "c", "*", "..", ".", "%41", "é", "a b"])
texts = st.tuples(st.sampled_from(["/", "", "//"]), st.lists(names, min_size=1, max_size=4)).map(
    lambda text: text[0] + "/".join(text[1])
)
concrete = st.lists(st.sampled_from(["a", "b", "*", "..", "é"]), max_size=3)
paths = texts | st.sampled_from(["/a/a", "/a/b", "/a/c"]) | concrete


def can_be_named(path_or_pattern: str | list[str]) -> bool:
    try:
        resolve_path(path_or_pattern)
    except InvalidPathError:
        return False
    return True


puts = st.lists(st.tuples(paths.filter(can_be_named), st.integers(0, 2).map(value)), max_size=12)


def together(some: Sequence[Put]) -> BatchBytes:
    """Add puts as a program does; what is no plain put is added as another operation."""
    batch = BatchBytes()
    for at, payload in some:
        if not batch.put(at, payload):
            batch.add(commands.put(resolve_path(at), payload, many=True))
    return batch


def one_by_one(some: Sequence[Put]) -> Operation:
    return commands.batch(
        [
            commands.put(where, payload, many=type(where) is not Path)
            for where, payload in ((resolve_path(at), payload) for at, payload in some)
        ]
    )


def as_text(names: list[str]) -> str:
    return str(Path(names))


def parts_of(batch: BatchBytes) -> list[list[Any]]:
    code, parts = unpack(batch.encode())
    assert code == BATCH
    return list(parts)


def origin_with(watched: int) -> Origin:
    origin = Origin()
    origin.put("/a/a", 1)
    origin.put("/a/b/c", 1)
    if watched == 1:
        origin.put("/w", 1, keep_while={"/a/a": IfNodeExists()})
    if watched == 2:
        origin.put("/w", 1, keep_while={"/a/*": IfNodeExists()})
    return origin


@given(puts, st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_puts_that_travel_together_do_what_they_do_one_by_one(
    some: list[Put], watched: int
) -> None:
    apart, joined = origin_with(watched), origin_with(watched)
    apart.machine.wants_changes = joined.machine.wants_changes = watched == 3
    batch = together(some)
    assert batch.count == len(some)
    replies = joined.replies(list(unpack(batch.encode())))
    assert replies == apart.replies(one_by_one(some))
    assert joined.changes() == apart.changes()
    assert nodes(joined.machine.view.root).keys() == nodes(apart.machine.view.root).keys()
    assert snapshot_bytes(joined.machine) == snapshot_bytes(apart.machine)


@pytest.mark.parametrize("path_of", [str, Path, list])
def test_from_the_second_put_on_a_family_is_one_operation(path_of: Callable[..., Any]) -> None:
    batch = together([(path_of(Path(["f", name])), value(name)) for name in "abc"])
    assert parts_of(batch) == [
        [PUT, ["f", "a"], value("a")],
        [PUT_FAMILY, ["f"], ["b", "c"], [value("b"), value("c")]],
    ]


def test_what_comes_between_keeps_its_place() -> None:
    batch = together([("/f/a", value(1)), ("/f/b", value(1))])
    batch.add(commands.delete(path("/f/b")))
    for at in ("/f/b", "/f/c", "/g/a", "/f/a"):
        assert batch.put(at, value(2))
    assert [part[0] for part in parts_of(batch)] == [
        PUT,
        PUT_FAMILY,
        DELETE,
        PUT,
        PUT_FAMILY,
        PUT,
        PUT,
    ]
    assert batch.count == 7


@pytest.mark.parametrize("first", ["/a/..", "/a/.", "/a/%2A", ["a", "b"], "/a/" + "long" * 70])
def test_a_family_is_begun_by_a_plain_path_only(first: Any) -> None:
    batch = BatchBytes()
    assert batch.put(first, value(1))
    assert batch.put("/a/b", value(2))
    assert [part[0] for part in parts_of(batch)] == [PUT, PUT]


def test_a_pattern_is_no_family() -> None:
    batch = BatchBytes()
    for at in ("/*/..", "/*/a", "/**/a"):
        assert not batch.put(at, value(1))
    assert batch.count == 0


def test_an_error_says_at_which_put_it_was() -> None:
    origin = Origin()
    batch = together([(f"/f/{name}", value(1)) for name in "abc"])
    batch.add(commands.update(path("/missing"), value(1)))
    (reply,) = origin.replies(list(unpack(batch.encode())))
    assert error_of(reply).facts["batch_position"] == 3  # type: ignore[attr-defined]
    assert origin.tree() == {}


def test_results_of_other_operations_stand_where_they_were_asked_for() -> None:
    origin = Origin()
    batch = together([(f"/f/{name}", value(1)) for name in "abc"])
    batch.add(commands.increment(Path(["n"]), 5))
    assert origin.run(list(unpack(batch.encode()))) == [None, None, None, 5]


@pytest.mark.parametrize(
    "part",
    [
        [PUT_FAMILY, ["f"], ["a", "b"], [value(1)]],
        [PUT_FAMILY, ["f"], ["a", 7], [value(1), value(1)]],
        [PUT_FAMILY, ["f"], ["a", "b"], [value(1), "text"]],
        [PUT_FAMILY, ["f"], ["a", "b"], [value(1), b""]],
        [PUT_FAMILY, [7], ["a"], [value(1)]],
        [PUT_FAMILY, 7, 7, 7],
        [PUT_FAMILY, ["f"], {"a": 1}, [value(1)]],
        [PUT_FAMILY, ["f"], "a", [value(1)]],
        [PUT_FAMILY, ["f"] * 20_000, ["a"], [value(1)]],
        [PUT_FAMILY],
    ],
)
@pytest.mark.parametrize("wants_changes", [False, True])
def test_a_family_that_nobody_could_have_made_is_answered_and_has_no_effect(
    part: list[Any], wants_changes: bool
) -> None:
    origin = Origin()
    origin.machine.wants_changes = wants_changes
    origin.put("/f/a", "before")
    good = [PUT_FAMILY, ["f"], ["a", "x"], [value(1), value(2)]]
    (reply,) = origin.replies([BATCH, [good, part]])
    assert type(error_of(reply)) is CommandFailedError
    assert origin.tree() == {"/f": None, "/f/a": "before"}
    assert origin.versions("/f") == (1, 1)


def test_a_signal_handler_may_add_to_the_batch_that_its_thread_fills() -> None:
    batch = BatchBytes()

    def interrupt(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            sys.settrace(None)  # as a handler that is masked while it runs
            for name in "ab":
                batch.put(f"/handler/{name}", value(f"/handler/{name}"))
            sys.settrace(interrupt)
        frame.f_trace_opcodes = frame.f_code is BatchBytes.put.__code__
        return interrupt

    for at in ("/f/a", "/f/b", "/g/a", "/g/b", "/handler/c"):
        sys.settrace(interrupt)
        batch.put(at, value(at))
        sys.settrace(None)
    origin = Origin()
    assert set(origin.run(list(unpack(batch.encode()))) or [None]) == {None}
    found = {at: data for at, data in origin.tree().items() if data is not None}
    assert found.keys() == {"/f/a", "/f/b", "/g/a", "/g/b", *map("/handler/{}".format, "abc")}
    assert all(at == data for at, data in found.items())


@pytest.mark.parametrize("form", [list, Path, as_text])
def test_deep_families_go_one_by_one(form: Callable[[list[str]], Any]) -> None:
    batch = BatchBytes()
    for name in "abc":
        batch.put(form([*["d"] * 40, name]), value(1))
    assert [part[0] for part in parts_of(batch)] == [PUT] * 3


def test_outside_of_a_batch_there_is_no_such_operation() -> None:
    origin = Origin()
    (reply,) = origin.replies([PUT_FAMILY, ["f"], ["a"], [value(1)]])
    assert type(error_of(reply)) is CommandFailedError


def test_a_family_without_puts_changes_nothing() -> None:
    origin = Origin()
    assert origin.run([BATCH, [[PUT_FAMILY, ["f"], [], []]]]) is None
    assert origin.tree() == {}


def test_a_command_that_raises_takes_nothing_of_a_batch_before_it_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = Origin()
    original = WorkingTree.put

    def fail_at_z(working: WorkingTree, at: Sequence[str], *rest: Any) -> bool:
        if at[-1] == "z":
            raise ZeroDivisionError
        return original(working, at, *rest)

    monkeypatch.setattr(WorkingTree, "put", fail_at_z)
    batch = together([(f"/f/{name}", value(name)) for name in "abc"]).encode()
    put = commands.encode(commands.put(path("/f/z"), value(1)))
    replies = origin.append(Group(origin.session_id, 1, 1, [batch, put])).groups[0].replies
    assert replies[0] is None
    assert type(error_of(replies[1])) is CommandFailedError
    assert origin.tree() == {"/f": None, "/f/a": "a", "/f/b": "b", "/f/c": "c"}
    assert origin.versions("/f") == (1, 3)


def test_families_of_every_size_are_restored_as_they_were() -> None:
    chance = random.Random(3)
    origin = Origin()
    for size in (1, 2, 255, 256, 257, 1_000):
        batch = together([(f"/s{size}/{n}", pack(n)) for n in range(size)])
        origin.run(list(unpack(batch.encode())))
        again = together(
            [(f"/s{size}/{chance.randrange(2 * size)}", pack(n)) for n in range(size)]
        )
        origin.run(list(unpack(again.encode())))
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)
    nodes(restored.view.root)
