"""What is exported and imported is the same tree, whatever it lives under: no file, no actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from khepri.actors.future import KhepriFuture
from khepri.calls import result
from khepri.encoding import pack, unpack
from khepri.errors import KeepWhileConditionsNotMetError, KhepriError, MismatchingNodeError
from khepri.exported_node import ExportedNode
from khepri.exporting import nodes_of
from khepri.import_commands import Found
from khepri.import_sources import ReaderSource
from khepri.importing import Import, Imported
from khepri.machine import commands
from khepri.machine.comparisons import Ge, Gt
from khepri.machine.conditions import (
    IfChildListLength,
    IfDataMatches,
    IfHasData,
    IfNodeExists,
    IfNot,
)
from khepri.machine.entries import Group
from khepri.machine.names import PARENT, THIS
from khepri.machine.paths import Path
from khepri.machine.tree import procedure_payload
from khepri.machine.values import ProcedureName, encode_value
from tests.machine.machine_helpers import Origin, nodes, path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from khepri.machine.tree import Names

NOTHING = object()


class MachineTarget:
    """A machine as the target of an import; each command is an entry."""

    def __init__(self, origin: Origin, *, is_near: bool = True) -> None:
        self.origin = origin
        self.is_near = is_near
        self.commands: list[bytes] = []
        self.left_before_failure = -1

    def time_milliseconds(self) -> int:
        return self.origin.time_milliseconds

    def find(self, path: Path) -> Found | None:
        node = nodes(self.origin.machine.view.root).get(path)
        return None if node is None else Found(node.payload, node.keep_while)

    def send(self, command: bytes) -> KhepriFuture[Any]:
        self.commands.append(command)
        if len(self.commands) == self.left_before_failure:
            raise ConnectionError("interrupted")
        origin = self.origin
        sequence = origin.next_sequence
        origin.next_sequence += 1
        applied = origin.append(Group(origin.session_id, sequence, sequence, [command]))
        future: KhepriFuture[Any] = KhepriFuture(result)
        future.set(applied.groups[0].replies[0])
        return future

    def wait(self, future: KhepriFuture[Any]) -> object:
        return future.get(timeout=0)


class Listed:
    """An export in memory, in chunks of three."""

    def __init__(self, listed: Iterable[ExportedNode]) -> None:
        self.listed = [ExportedNode.from_plain(unpack(pack(node.to_plain()))) for node in listed]

    def nodes(self) -> Iterator[list[ExportedNode]]:
        for start in range(0, len(self.listed), 3):
            yield self.listed[start : start + 3]


class Pages:
    """A reader of an export in memory, three at a time."""

    def __init__(self, listed: list[ExportedNode]) -> None:
        self.rest = listed

    def read(self) -> list[ExportedNode]:
        given, self.rest = self.rest[:3], self.rest[3:]
        return given

    def close(self) -> None:
        """Close nothing."""


def export(origin: Origin, pattern: str | None = None) -> Listed:
    resolved = None if pattern is None else path(pattern)
    return Listed(nodes_of(origin.machine.view.root, resolved))


def import_(source: Listed, origin: Origin, *, is_seen: bool = True) -> Imported:
    return Import(source, MachineTarget(origin, is_near=is_seen)).run()


def shape(origin: Origin) -> dict[Names, tuple[Any, Any, Any]]:
    """Give what an export keeps, by path, but for marks."""
    found: dict[Names, tuple[Any, Any, Any]] = {}
    for at, node in nodes(origin.machine.view.root).items():
        kept = node.keep_while
        watches = set(() if kept is None else kept.watches)
        expiry = None if kept is None or kept.expiry is None else kept.expiry.at_milliseconds
        found[at] = (node.payload, watches, expiry)
    return found


def marked(origin: Origin, model: Origin) -> set[Names]:
    """Give the parents made on the way, where that is kept.

    That is where something is below that was not made so, and waits for nothing.

    Args:
        origin: in which they are looked for.
        model: which knows what is below.
    """
    listed = export(model).listed
    waiting = [node.path for node in listed if node.is_waiting]
    standing = [
        node.path
        for node in listed
        if not node.is_implicit and not any(node.path[: len(at)] == at for at in waiting)
    ]
    return {
        at
        for at, node in nodes(origin.machine.view.root).items()
        if node.keep_while is not None
        and node.keep_while.is_implicit
        and any(below[: len(at)] == at and below != at for below in standing)
    }


def check_same(target: Origin, source: Origin) -> None:
    assert shape(target) == shape(source)
    assert marked(target, source) == marked(source, source)


PATHS = ["/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/g"]
WATCHED: list[Any] = [*PATHS, "/*", "/a/*", "/a/**", [THIS], [PARENT], [THIS, "b"]]
CONDITIONS = [
    IfNodeExists(),
    IfNodeExists(exists=False),
    IfHasData(),
    IfDataMatches(1),
    IfNot(IfDataMatches(2)),
    IfChildListLength(Gt(0)),
    IfChildListLength(Ge(2)),
]
PAYLOADS = [encode_value(1), encode_value(2), encode_value(None), procedure_payload("run"), None]
keep_whiles = st.dictionaries(
    st.sampled_from(range(len(WATCHED))), st.sampled_from(CONDITIONS), min_size=1, max_size=2
)


@st.composite
def operations(draw: st.DrawFn) -> list[Any]:
    """Give an operation of a program that does not leave tree nodes with nothing at all."""
    at = path(draw(st.sampled_from(PATHS)))
    payload = draw(st.sampled_from(PAYLOADS))
    ttl = draw(st.sampled_from([None, None, commands.FOREVER, 5_000, 60_000]))
    kind = draw(st.sampled_from(["put", "put", "keep", "keep", "root", "delete"]))
    if kind == "delete":
        return commands.delete(at)
    if kind == "root":
        return commands.put(Path(), payload or encode_value(3))
    if kind == "keep":
        watched = draw(keep_whiles)
        keep_while = {_key(WATCHED[number]): condition for number, condition in watched.items()}
        return commands.put(at, payload, keep_while=keep_while, ttl_milliseconds=ttl)
    return commands.put(at, payload or encode_value(4), ttl_milliseconds=ttl)


def _key(watched: Any) -> Any:
    return (*watched,) if type(watched) is list else watched  # pyright: ignore[reportUnknownVariableType]


def made_by(done: list[list[Any]]) -> Origin:
    origin = Origin()
    for operation in done:
        origin.replies(operation)
    return origin


@settings(max_examples=200, deadline=None)
@given(st.lists(operations(), max_size=25))
def test_an_empty_store_becomes_what_was_exported(done: list[list[Any]]) -> None:
    source = made_by(done)
    exported = export(source)
    target = Origin()
    imported = import_(exported, target)
    assert imported == Imported(len(exported.listed), 0)
    check_same(target, source)
    import_(exported, target)
    check_same(target, source)


@settings(max_examples=100, deadline=None)
@given(st.lists(operations(), max_size=25), st.lists(operations(), max_size=15), st.booleans())
def test_a_store_that_has_something_has_everything_of_the_export_afterwards(
    done: list[list[Any]], before: list[list[Any]], is_seen: bool
) -> None:
    source, target = made_by(done), made_by(before)
    exported = export(source)
    written = {tuple(node.path) for node in exported.listed}
    # Others go with what they look at, as at every write.
    assume(all(at in written for at, (_, it, _) in shape(target).items() if it))
    try:
        import_(exported, target, is_seen=is_seen)
    except (KeepWhileConditionsNotMetError, MismatchingNodeError):
        return  # what is there already stands against a condition of the export
    found = shape(target)
    for node in exported.listed:
        payload, watches, expiry = found[node.path]
        assert payload == node.payload
        assert watches == set(node.keep_while)
        assert expiry == node.expires_at_milliseconds


@settings(max_examples=100, deadline=None)
@given(st.lists(operations(), max_size=25), st.integers(1, 12))
def test_an_import_that_was_interrupted_comes_to_the_same_when_it_is_repeated(
    done: list[list[Any]], number: int
) -> None:
    source = made_by(done)
    exported = export(source)
    target = MachineTarget(Origin())
    target.left_before_failure = number
    try:
        Import(exported, target).run()
    except ConnectionError:
        Import(exported, target).run()
    check_same(target.origin, source)


def test_a_tree_node_may_live_under_one_that_comes_later() -> None:
    """As BUG-21 of Khepri says, which could not import that."""
    source = Origin()
    source.put("/z", 1)
    source.put("/a", 2, keep_while={"/z": IfDataMatches(1)})
    source.put("/z", 1, keep_while={"/a": IfNodeExists()})
    target = Origin()
    import_(export(source), target)
    check_same(target, source)
    target.delete("/z")
    assert target.tree() == {}


def test_a_tree_node_that_lives_under_what_is_neither_in_the_export_nor_in_the_store() -> None:
    source = Origin()
    source.put("/z", 1)
    source.put("/a", 2, keep_while={"/z": IfNodeExists()})
    target = Origin()
    with pytest.raises(KeepWhileConditionsNotMetError, match=r"/a.*/z.*nothing in the") as e:
        import_(export(source, "/a"), target)
    assert e.value.node_path == Path("/a")
    assert e.value.keep_while_reason == (Path("/z"), None)
    target.put("/z", 1)
    assert import_(export(source, "/a"), target) == Imported(1, 0)
    check_same(target, source)


def test_a_parent_that_was_made_on_the_way_goes_with_its_last_child_afterwards_too() -> None:
    source = Origin()
    source.put("/a/b/c", 1)
    source.put("/a", 2)
    source.put("/e", 3)
    source.put("/e/f", 4)
    target = Origin()
    import_(export(source), target)
    for origin in (source, target):
        origin.run(commands.clear_payload(path("/a")))
        origin.run(commands.clear_payload(path("/e")))
        origin.delete("/a/b/c")
        origin.delete("/e/f")
        assert origin.tree() == {"/e": None}


def test_parents_with_payloads_need_no_second_reading() -> None:
    source, target = Origin(), Origin()
    for at in ("/a/b/c", "/a/b", "/a", "/e/f", "/e", "/g"):
        source.put(at, at)
    reader = ReaderSource(Pages(export(source).listed))
    Import(reader, MachineTarget(target)).run()
    check_same(target, source)
    assert list(reader.nodes()) == [[]]


def test_what_waits_for_something_below_it_is_there_afterwards_and_waits() -> None:
    source = Origin()
    source.put("/queues/1", 1, keep_while={(THIS, "owner"): IfNodeExists()})
    source.put("/queues/1/size/bytes", 2)
    source.put("/queues/1/size", 2)
    source.put("/a/b", 1)
    source.put("/a", 2)
    source.put("/queues/2", 3, keep_while={(THIS,): IfChildListLength(Gt(0))})
    target = Origin()
    for _ in range(2):
        import_(export(source), target)
        check_same(target, source)
    target.put("/queues/1/owner", 4)
    target.put("/queues/2/a", 5)
    target.delete("/queues/1/owner")
    target.delete("/queues/2/a")
    assert target.tree() == {"/a": 2, "/a/b": 1}


def test_what_waits_and_is_the_end_of_others_that_wait_is_made_again() -> None:
    source = Origin()
    lonely = IfNodeExists(exists=False)
    source.put("/e", 1, keep_while={"/e/f": IfNodeExists()})
    source.put("/a", 1, keep_while={"/a/b": IfNodeExists(), (PARENT,): IfNot(lonely)})
    target = Origin()
    import_(export(source), target)
    check_same(target, source)


@pytest.mark.parametrize("names", [("b", "d"), ("1", "0")])
def test_what_waits_and_looks_at_a_parent_that_is_there_for_it_alone(names: Names) -> None:
    """Somebody else made the parent, and went when it came. Found by chance."""
    other, its_own = (f"/a/{name}" for name in names)
    watches = {
        its_own: IfNodeExists(exists=False),
        "/a": IfNodeExists(),
        "/a/*": IfNodeExists(),
    }
    source = Origin()
    source.put(other, 1, keep_while={its_own: IfNodeExists(exists=False)})
    source.put(its_own, 2, keep_while=watches)
    assert source.tree() == {"/a": None, its_own: 2}
    target = Origin()
    for _ in range(2):
        assert import_(export(source), target) == Imported(1, 0)
        check_same(target, source)
    for origin in (source, target):
        origin.put("/a", 3)
        assert origin.tree() == {"/a": 3}


def test_what_waits_is_not_made_where_something_with_children_is() -> None:
    source, target = Origin(), Origin()
    source.put("/a", 1, keep_while={"/a/b": IfNodeExists()})
    target.put("/a", 2)
    import_(export(source), target)
    check_same(target, source)
    target.delete("/a")
    target.put("/a/other", 3)
    with pytest.raises(MismatchingNodeError, match="/a"):
        import_(export(source), target)
    assert target.tree() == {"/a": None, "/a/other": 3}


def test_of_a_time_to_live_there_is_left_what_was_left() -> None:
    source = Origin()
    source.run(commands.put(path("/session"), encode_value(1), ttl_milliseconds=10_000))
    exported = export(source)
    target = Origin()
    target.time_milliseconds = source.time_milliseconds + 4_000
    assert import_(exported, target) == Imported(1, 0)
    target.time_milliseconds += 5_999
    target.put("/other")
    assert "/session" in target.tree()
    target.time_milliseconds += 1
    target.put("/other")
    assert target.tree() == {"/other": None}


def test_a_time_to_live_never_becomes_longer_than_it_was() -> None:
    source = Origin()
    source.time_milliseconds = 10**12
    source.session_id = source.open_session()
    source.run(commands.put(path("/session"), encode_value(1), ttl_milliseconds=10_000))
    target = Origin()
    import_(export(source), target)
    expiry = shape(target)[("session",)][2]
    assert expiry == target.time_milliseconds + 10_000


def test_what_has_expired_is_left_out_with_all_that_hangs_on_it() -> None:
    source = Origin()
    source.run(commands.put(path("/sessions/1"), encode_value(1), ttl_milliseconds=10_000))
    source.put("/sessions/1/seen", 2)
    source.put("/aaa/lock", "me", keep_while={"/sessions/1": IfNodeExists()})
    source.put("/aaa/lock/note", 3)
    source.put("/bbb", 4, keep_while={"/aaa/lock/note": IfDataMatches(3)})
    source.put("/ccc", 5, keep_while={"/sessions": IfNodeExists()})
    source.put("/free", 6, keep_while={"/kept": IfNodeExists(exists=False)})
    exported = export(source)
    target = Origin()
    target.time_milliseconds = source.time_milliseconds + 10_000
    source.time_milliseconds = target.time_milliseconds
    source.put("/free", 6)  # so that the time has come there too
    imported = import_(exported, target)
    check_same(target, source)
    assert target.tree() == {"/free": 6}
    assert imported.nodes + imported.left_out == len(exported.listed)
    assert imported.nodes >= 1


def test_what_is_there_stays_where_the_exported_one_has_expired() -> None:
    source = Origin()
    source.run(commands.put(path("/session"), encode_value("old"), ttl_milliseconds=10_000))
    target = Origin()
    target.time_milliseconds = source.time_milliseconds + 10_000
    target.put("/session", "new")
    assert import_(export(source), target) == Imported(0, 1)
    assert target.tree() == {"/session": "new"}


def test_what_expires_while_the_import_goes_on_takes_along_what_lives_under_it() -> None:
    source = Origin()
    source.run(commands.put(path("/session"), encode_value(1), ttl_milliseconds=10_000))
    source.put("/lock", "me", keep_while={"/session": IfNodeExists()})
    target = Origin()

    class Slow(MachineTarget):
        def send(self, command: bytes) -> KhepriFuture[Any]:
            sent = super().send(command)
            self.origin.time_milliseconds += 20_000
            return sent

    assert Import(export(source), Slow(target)).run().nodes == 1
    target.put("/now")
    assert target.tree() == {"/now": None}


class Late(MachineTarget):
    """Has the time pass before one command."""

    def __init__(self, origin: Origin, number: int) -> None:
        super().__init__(origin)
        self.number = number

    def send(self, command: bytes) -> KhepriFuture[Any]:
        if len(self.commands) + 1 == self.number:
            self.origin.time_milliseconds += 10_000
        return super().send(command)


@pytest.mark.parametrize("is_read_once", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
def test_what_expires_at_any_moment_of_an_import_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, number: int, is_read_once: bool
) -> None:
    monkeypatch.setattr("khepri.import_sending.BATCH_OPERATIONS", 1)
    source = Origin()
    source.put("/z", 7)
    source.run(commands.put(path("/a"), encode_value(1), ttl_milliseconds=10_000))
    source.put("/a/seen", 2)
    source.put("/a/lock", 3, keep_while={"/z": IfNodeExists()})
    source.put("/made/on/the/way", 4)
    source.run(commands.put(path("/made"), encode_value(5), ttl_milliseconds=10_000))
    source.put("/under", 6, keep_while={"/a": IfNodeExists()})
    target = Origin()
    target.put("/z", 0)
    listed = export(source).listed
    nodes = ReaderSource(Pages(listed)) if is_read_once else Listed(listed)
    imported = Import(nodes, Late(target, number)).run()
    target.time_milliseconds += 20_000
    target.put("/now")
    assert target.tree() == {"/now": None, "/z": 7}
    assert imported.nodes + imported.left_out == len(listed)


def test_what_somebody_else_has_made_where_something_expired_stays() -> None:
    source, target = Origin(), Origin()
    source.run(commands.put(path("/a"), encode_value(1), ttl_milliseconds=10_000))
    source.put("/a/b", 2)
    source.put("/a/c", 2)
    source.put("/z", 3, keep_while={"/a": IfNodeExists()})

    class Shared(Late):
        def send(self, command: bytes) -> KhepriFuture[Any]:
            sent = super().send(command)
            if len(self.commands) == self.number:
                self.origin.put("/a/b", "new")
            return sent

    Import(export(source), Shared(target, 2)).run()
    assert target.tree() == {"/a": None, "/a/b": "new"}


def test_existing_tree_nodes_stay_and_those_of_the_export_are_as_they_were() -> None:
    source = Origin()
    source.put("/a", 1)
    source.put_nothing("/b", keep_while={"/a": IfNodeExists()})
    target = Origin()
    target.put("/other", 1)
    target.run(
        commands.put(
            path("/a"),
            encode_value(9),
            keep_while={"/other": IfDataMatches(1)},
            ttl_milliseconds=1_000,
        )
    )
    target.put("/b", 8)
    import_(export(source), target)
    assert target.tree() == {"/a": 1, "/b": None, "/other": 1}
    target.time_milliseconds += 10_000
    target.put("/other", 2)
    assert target.tree() == {"/a": 1, "/b": None, "/other": 2}
    target.delete("/a")
    assert target.tree() == {"/other": 2}


def test_only_what_comes_back_by_itself_is_left_out() -> None:
    source = Origin()
    source.put_nothing("/empty")
    source.put("/a/b", 1)
    source.put("/lives", 1, {"/empty": IfNodeExists()})
    nodes = export(source)
    assert [str(node.path) for node in nodes.listed] == ["/a/b", "/empty", "/lives"]
    target = Origin()
    target.put("/empty", "not as it was")
    import_(nodes, target)
    assert target.tree() == {"/a": None, "/a/b": 1, "/empty": None, "/lives": 1}


def test_a_large_export_goes_in_commands_of_bounded_size() -> None:
    source = Origin()
    for number in range(1_200):
        source.put(f"/small/{number:04}", number)
    for number in range(20):
        source.put(f"/large/{number:04}", "x" * 100_000)
    target = MachineTarget(Origin())
    Import(export(source), target).run()
    assert max(map(len, target.commands)) < 300_000
    assert 8 <= len(target.commands) < 20
    check_same(target.origin, source)


def test_the_name_of_a_procedure_is_exported_as_one() -> None:
    node = ExportedNode.of("/a", ProcedureName("run"))
    assert node.payload == procedure_payload("run")
    assert type(node.data) is ProcedureName


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        [["a"]],
        [["a"], b"\x01", []],
        ["a", b"\x01"],
        [[1], b"\x01"],
        [["\ud800"], None],
        [["a"] * 1025, b"\x01"],
        [["a"], 1],
        [["a"], b""],
        [["a"], b"\xc1"],
        [["a"], b"\x01\x01"],
        [["a"], b"\x01", 1, None, None, False, False],
        [["a"], b"\x01", [1], None, None, False, False],
        [["a"], b"\x01", [[["b"]]], None, None, False, False],
        [["a"], b"\x01", [["b", [4, True]]], None, None, False, False],
        [["a"], b"\x01", [[["b"], [99, True]]], None, None, False, False],
        [["a"], b"\x01", [[["b"], 1]], None, None, False, False],
        [["a"], b"\x01", [], "soon", None, False, False],
        [["a"], b"\x01", [], True, None, False, False],
        [["a"], b"\x01", [], 1, -1, False, False],
        [["a"], b"\x01", [], None, None, 1, False],
        [[], b"\x01", [], 1, 1, False, False],
        [[], b"\x01", [[["b"], [4, True]]], None, None, False, False],
    ],
)
def test_what_is_no_tree_node_is_refused(plain: Any) -> None:
    with pytest.raises(KhepriError) as error:
        ExportedNode.from_plain(plain)
    assert type(error.value).__name__ == "EncodingError"
