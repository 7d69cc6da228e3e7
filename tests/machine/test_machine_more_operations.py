"""Counters, copies, moves, checked reads, pages and differences: beyond Khepri."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import immutables
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import (
    CommandFailedError,
    InvalidOptionError,
    KhepriError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    NodeNotFoundError,
    ReadChangedError,
)
from khepri.machine import commands, edit, queries
from khepri.machine.conditions import IfAll, IfAny, IfDataMatches, IfNodeExists
from khepri.machine.diff import diff
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.properties import CHILD_NAMES, DEFAULT_PROPERTIES
from khepri.machine.tree import TreeNode
from tests.machine.machine_helpers import Origin, path, value

if TYPE_CHECKING:
    from khepri.machine.components import Component


@pytest.fixture
def origin() -> Origin:
    return Origin()


# --- increment ---


def test_increment_counts_from_nothing(origin: Origin) -> None:
    assert origin.run(commands.increment(Path("/c/n"))) == 1
    assert origin.run(commands.increment(Path("/c/n"), 5)) == 6
    assert origin.run(commands.increment(Path("/c/n"), -10)) == -4
    assert origin.tree() == {"/c": None, "/c/n": -4}
    assert origin.versions("/c/n") == (3, 1)


def test_increment_of_other_data_is_a_mismatch(origin: Origin) -> None:
    origin.put("/c", 1.5)
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.increment(Path("/c")))
    assert error.value.facts["condition"] == IfDataMatches(int)
    origin.put("/b", True)
    with pytest.raises(MismatchingNodeError):
        origin.run(commands.increment(Path("/b")))


def test_increment_never_leaves_64_bits(origin: Origin) -> None:
    origin.put("/c", 2**64 - 1)
    with pytest.raises(CommandFailedError, match="64 bits"):
        origin.run(commands.increment(Path("/c")))
    assert origin.tree() == {"/c": 2**64 - 1}
    with pytest.raises(InvalidOptionError):
        commands.increment(Path("/c"), 2**63)


# --- copy and move ---


def test_copy_makes_new_nodes_like_the_old(origin: Origin) -> None:
    origin.put("/a/b", 1)
    origin.put("/a/b", 2)
    origin.put("/a/b/c", 3)
    origin.run(commands.copy(Path("/a"), Path("/x/y")))
    assert origin.tree() == {
        "/a": None, "/a/b": 2, "/a/b/c": 3, "/x": None, "/x/y": None, "/x/y/b": 2, "/x/y/b/c": 3,
    }  # fmt: skip
    assert origin.versions("/x/y/b") == (1, 1)


def test_move_takes_the_subtree_away(origin: Origin) -> None:
    origin.put("/a/b/c", 1)
    origin.run(commands.move(Path("/a/b"), Path("/a/z")))
    assert origin.tree() == {"/a": None, "/a/z": None, "/a/z/c": 1}
    origin.run(commands.move(Path("/a/z"), Path("/new")))
    assert origin.tree() == {"/new": None, "/new/c": 1}
    origin.delete("/new/c")
    assert origin.tree() == {}


def test_copied_conditions_hold_for_the_copy(origin: Origin) -> None:
    origin.put("/k", 1)
    origin.put("/w", 1, keep_while={"/k": IfNodeExists()})
    origin.run(commands.copy(Path("/w"), Path("/v")))
    origin.run(commands.move(Path("/w"), Path("/u")))
    assert set(origin.tree()) == {"/k", "/u", "/v"}
    origin.delete("/k")
    assert origin.tree() == {}


def test_the_target_must_be_free_and_the_source_there(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.put("/b", 2)
    with pytest.raises(MismatchingNodeError):
        origin.run(commands.move(Path("/a"), Path("/b")))
    with pytest.raises(NodeNotFoundError):
        origin.run(commands.copy(Path("/no"), Path("/c")))
    assert origin.tree() == {"/a": 1, "/b": 2}


def test_a_node_cannot_go_into_itself() -> None:
    for source, target in (("/a", "/a/b"), ("/a", "/a"), ("/", "/x")):
        with pytest.raises(InvalidOptionError):
            commands.copy(Path(source), Path(target))
    with pytest.raises(InvalidOptionError):
        commands.move(Path("/"), Path("/x"))


# --- checks ---


def test_a_batch_with_a_check_is_done_while_the_read_holds(origin: Origin) -> None:
    origin.put("/a", 1)
    seen = queries.fingerprint(origin.machine.view.root, path("/a"), DEFAULT_PROPERTIES)
    check = commands.check(path("/a"), DEFAULT_PROPERTIES, seen)
    origin.run(commands.batch([check, commands.put(path("/b"), value(1))]))
    origin.put("/a", 2)
    with pytest.raises(ReadChangedError, match="/a is no longer"):
        origin.run(commands.batch([check, commands.put(path("/b"), value(2))]))
    with pytest.raises(ReadChangedError):
        origin.run(check)
    assert origin.tree() == {"/a": 2, "/b": 1}


@pytest.mark.parametrize(
    ("pattern", "mask", "write", "changes"),
    [
        ("/no", DEFAULT_PROPERTIES, "/no", True),
        ("/q/*", DEFAULT_PROPERTIES, "/q/new", True),
        ("/q/*", DEFAULT_PROPERTIES, "/q/one/below", False),
        ("/q", CHILD_NAMES, "/q/new", True),
        ("/q", DEFAULT_PROPERTIES, "/q/new", False),
        ("/q/**", DEFAULT_PROPERTIES, "/q/one/below", True),
        ("/q/**", DEFAULT_PROPERTIES, "/other", False),
    ],
)
def test_a_fingerprint_covers_what_the_read_can_see(
    origin: Origin, pattern: str, mask: int, write: str, changes: bool
) -> None:
    origin.put("/q/one", 1)
    before = queries.fingerprint(origin.machine.view.root, path(pattern), mask)
    origin.put(write, 5)
    after = queries.fingerprint(origin.machine.view.root, path(pattern), mask)
    assert (before != after) is changes


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (["a"], None),
        (["a", "b"], None),
        ([], None),
        ([IfAll("a", IfDataMatches(1))], None),
        ([IfAll("a", IfDataMatches(2))], MismatchingNodeError),
        ([IfAll("a", IfDataMatches(2)), "b"], MismatchingNodeError),
        ([IfAll("a", IfNodeExists(exists=False))], MismatchingNodeError),
        (["no"], NodeNotFoundError),
        (["no", "no"], NodeNotFoundError),
        ([IfAll("no", IfDataMatches(1))], NodeNotFoundError),
        (
            [IfAll("no", IfDataMatches(1)), IfAll("no", IfNodeExists(exists=False))],
            NodeNotFoundError,
        ),
        ([IfAll("no", IfNodeExists(exists=False))], None),
        (["no", IfAll("no", IfNodeExists(exists=False))], None),
        ([IfAll("no", IfAny(IfNodeExists(exists=False), IfDataMatches(1)))], None),
        ([IfAll("a", IfAny(IfNodeExists(exists=False), IfDataMatches(1)))], None),
        ([IfAll("a", IfAny(IfNodeExists(exists=False), IfDataMatches(2)))], MismatchingNodeError),
    ],
)
def test_a_batch_is_done_only_if_what_it_requires_is_so(
    origin: Origin, wanted: list[Component], error: type[KhepriError] | None
) -> None:
    origin.put("/a", 1)
    origin.put("/a/b", 2)
    before = origin.versions("/a")
    batch = commands.batch(
        [commands.put(path("/done"), value(1)), commands.require(resolve_path(wanted))]
    )
    if error is None:
        assert origin.run(batch) is None
        origin.delete("/done")
    else:
        with pytest.raises(error) as raised:
            origin.run(batch)
        assert raised.value.facts["batch_position"] == 1
    assert origin.tree() == {"/a": 1, "/a/b": 2}
    assert origin.versions("/a") == before


def test_a_batch_sees_what_it_requires_as_it_has_left_it(origin: Origin) -> None:
    mine = resolve_path([IfAll("lock", IfDataMatches("me"))])
    origin.run(commands.batch([commands.put(path("/lock"), value("me")), commands.require(mine)]))
    with pytest.raises(MismatchingNodeError):
        origin.run(
            commands.batch([commands.put(path("/lock"), value("you")), commands.require(mine)])
        )
    assert origin.tree() == {"/lock": "me"}


def test_one_node_is_required_and_no_pattern() -> None:
    with pytest.raises(ManyNodesDeniedError):
        commands.require(path("/a/*"))


# --- pages ---


def test_pages_follow_each_other_without_gap_or_overlap(origin: Origin) -> None:
    for name in "edcba":
        origin.put(f"/x/{name}/y", 1)
    root = origin.machine.view.root
    found: list[Path] = []
    last: Path | None = None
    while page := list(islice(find_many(root, path("/x/**"), after=last), 3)):
        found += [Path(at) for at, _node in page]
        last = found[-1]
    assert found == [Path(at) for at, _node in find_many(root, path("/x/**"))]


# --- differences ---

steps = st.lists(
    st.tuples(st.sampled_from(["/a", "/a/b", "/a/b/c", "/d", "/d/e"]), st.integers(0, 2)),
    max_size=8,
)


def apply(origin: Origin, step: tuple[str, int]) -> None:
    at, number = step
    if number:
        origin.put(at, number)
    else:
        origin.delete(at)


@given(steps, steps)
def test_a_diff_names_every_path_that_differs(
    first: list[tuple[str, int]], then: list[tuple[str, int]]
) -> None:
    origin = Origin()
    for step in first:
        apply(origin, step)
    old = origin.machine.view.root
    restored = Machine.restore(origin.machine.snapshot_chunks()).view.root
    for step in then:
        apply(origin, step)
    new = origin.machine.view.root
    shared = [change.path for change in diff(old, new)]
    assert shared == [change.path for change in diff(restored, new)]
    assert shared == sorted(shared)
    was, now = _shown(old), _shown(new)
    assert set(shared) == {at for at in was.keys() | now.keys() if was.get(at) != now.get(at)}
    assert list(diff(new, new)) == []


def _shown(root: object) -> dict[tuple[str, ...], object]:
    from khepri.machine.tree import TreeNode  # noqa: PLC0415

    assert isinstance(root, TreeNode)
    mask = DEFAULT_PROPERTIES | CHILD_NAMES | 8
    found = find_many(root, resolve_path("/**"), include_root=True)
    return {tuple(at): queries.properties_of(node, mask) for at, node in found}


# --- as deep as a path may be ---

DEEPEST = Path(["s"] * 1024)


def test_what_is_as_deep_as_a_path_may_be_goes_with_all_its_parents(origin: Origin) -> None:
    origin.put("/kept", 1)
    origin.run(commands.put(DEEPEST, value(1)))
    origin.run(commands.delete(DEEPEST))
    assert origin.tree() == {"/kept": 1}
    origin.run(commands.put(DEEPEST, value(1)))
    origin.run(commands.move(DEEPEST, Path("/moved")))
    assert origin.tree() == {"/kept": 1, "/moved": 1}
    origin.run(commands.put(DEEPEST, value(1), keep_while={"/kept": IfNodeExists()}))
    origin.run(commands.delete(Path("/kept")))
    assert origin.tree() == {"/moved": 1}


def test_no_copy_is_deeper_than_a_path_may_be(origin: Origin) -> None:
    origin.run(commands.put(Path(["s"] * 1000), value(1)))
    origin.run(commands.copy(Path(["s"] * 977), Path("/a")))
    before = origin.machine.view.root
    for operation in (commands.copy, commands.move):
        with pytest.raises(CommandFailedError, match="1024 components"):
            origin.run(operation(Path(["s"] * 2), Path(["b"] * 27)))
    assert origin.machine.view.root is before
    origin.run(commands.move(Path(["s"] * 2), Path(["b"] * 26)))


def test_what_a_deep_subtree_costs_grows_with_its_size_and_not_with_its_depth(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    class Counted(TreeNode):
        def __init__(self, *parts: Any) -> None:
            nonlocal made
            made += 1
            super().__init__(*parts)

    origin.run(commands.put(Path(["s"] * 1000), value(1)))
    monkeypatch.setattr(edit, "TreeNode", Counted)
    origin.run(commands.copy(Path("/s"), Path("/copy")))
    origin.run(commands.move(Path("/s"), Path("/moved")))
    origin.run(commands.delete(Path(["moved"] + ["s"] * 999)))
    assert 3_000 <= made < 4_000


def test_a_diff_leaves_out_the_parent_of_a_large_family_in_which_data_changed() -> None:
    family = immutables.Map({str(n): TreeNode(b"\1", 1, 1, {}) for n in range(300)})
    old = TreeNode(None, 1, 1, family, None, 301)
    new = TreeNode(None, 1, 1, family.set("5", TreeNode(b"\2", 2, 1, {})), None, 301)
    assert [change.path for change in diff(old, new)] == [("5",)]
