"""Keep-while conditions and what follows from them (§3.5), and the change events (§3.7)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    InvalidConditionError,
    InvalidOptionError,
    InvalidPathError,
    KeepWhileConditionsNotMetError,
)
from khepri.machine import cascade, commands, keep_while, patterns
from khepri.machine.comparisons import Gt
from khepri.machine.conditions import (
    IfChildListLength,
    IfDataMatches,
    IfHasData,
    IfHasPayload,
    IfNodeExists,
)
from khepri.machine.keep_while import EMPTY_INDEX, KeepWhile, KeepWhileIndex, Watch
from khepri.machine.paths import Path, resolve_path
from tests.machine.machine_helpers import ALL, Origin, nodes, path, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from khepri.machine.edit import Edit
    from khepri.machine.keep_while import Unmet
    from khepri.machine.patterns import Pattern
    from khepri.machine.tree import Names, TreeNode

EXISTS = IfNodeExists(exists=True)
ABSENT = IfNodeExists(exists=False)


@pytest.fixture
def origin() -> Origin:
    return Origin()


def test_a_watcher_goes_when_its_condition_fails(origin: Origin) -> None:
    origin.put("/b", 1)
    origin.put("/e", 2, keep_while={"/b": EXISTS})
    told = origin.told(commands.delete(path("/b"), returning=ALL))
    assert told["/e"]["delete_reason"] == "keep_while"
    assert told["/b"]["delete_reason"] == "explicit"
    assert origin.tree() == {}


def test_an_unmet_condition_refuses_the_put_and_nothing_is_written(origin: Origin) -> None:
    with pytest.raises(KeepWhileConditionsNotMetError) as error:
        origin.put("/x/e", 2, keep_while={"/b": EXISTS})
    assert error.value.facts["node_path"] == Path("/x/e")
    assert error.value.facts["node_name"] == "e"
    assert error.value.facts["keep_while_reason"] == (Path("/b"), None)
    assert origin.tree() == {}


def test_the_failing_condition_is_the_reason(origin: Origin) -> None:
    origin.put("/b", 1)
    with pytest.raises(KeepWhileConditionsNotMetError) as error:
        origin.put("/e", 2, keep_while={"/b": IfChildListLength(Gt(0))})
    assert error.value.facts["keep_while_reason"] == (Path("/b"), IfChildListLength(Gt(0)))


def test_absence_can_be_a_condition(origin: Origin) -> None:
    origin.put("/e", 2, keep_while={"/b": ABSENT})
    origin.put("/b", 1)
    assert origin.tree() == {"/b": 1}


def test_data_of_the_watched_node_can_be_a_condition(origin: Origin) -> None:
    """Upstream's machine crashes on this, for good (BUG-3)."""
    origin.put("/b", {"state": "on"})
    origin.put("/e", 2, keep_while={"/b": IfDataMatches({"state": "on"})})
    origin.put("/b", {"state": "off"})
    assert origin.tree() == {"/b": {"state": "off"}}


def test_relative_paths_begin_at_the_watcher(origin: Origin) -> None:
    origin.put("/d/b", 1)
    origin.put("/d/e", 2, keep_while={"../b": EXISTS})
    origin.put("/d/f", 2, keep_while={"..": IfChildListLength(Gt(1))})
    origin.delete("/d/b")
    assert origin.tree() == {}


def test_conditions_on_itself_and_below_are_not_asked_of_a_newcomer(origin: Origin) -> None:
    origin.put_nothing("/e", keep_while={".": IfChildListLength(Gt(0)), "./x/y": EXISTS})
    assert origin.tree() == {"/e": None}
    origin.put("/e/x/y", 1)
    origin.delete("/e/x")
    assert origin.tree() == {}


def test_conditions_on_itself_are_asked_on_update(origin: Origin) -> None:
    origin.put_nothing("/e")
    with pytest.raises(KeepWhileConditionsNotMetError):
        origin.put_nothing("/e", keep_while={".": IfChildListLength(Gt(0))})


def test_conditions_are_asked_of_the_tree_before_the_write(origin: Origin) -> None:
    """The put makes /d have a child, which ends the watcher at once, and /d with it."""
    origin.put_nothing("/d")
    put = commands.put(
        path("/d/e"), value(1), keep_while={"..": IfChildListLength(0)}, returning=ALL
    )
    assert origin.told(put)["/d/e"]["delete_reason"] == "keep_while"
    assert origin.tree() == {"/d": None}
    assert origin.versions("/d") == (1, 2)


def test_a_later_put_keeps_replaces_or_removes_the_conditions(origin: Origin) -> None:
    for name in "bc":
        origin.put(f"/{name}", 1)
    for name in "efg":
        origin.put(f"/{name}", 1, keep_while={"/b": EXISTS})
    origin.put("/e", 2)
    origin.put("/f", 2, keep_while={"/c": EXISTS})
    origin.put("/g", 2, keep_while={})
    origin.delete("/b")
    assert set(origin.tree()) == {"/c", "/f", "/g"}
    origin.delete("/c")
    assert set(origin.tree()) == {"/g"}


def test_a_put_with_conditions_may_end_another_watcher(origin: Origin) -> None:
    """Upstream's machine crashes on this, for good (BUG-4)."""
    origin.put("/w", 1, keep_while={"/n": ABSENT})
    origin.put("/b", 1)
    put = commands.put(path("/n"), value(1), keep_while={"/b": EXISTS}, returning=ALL)
    assert origin.told(put)["/w"]["delete_reason"] == "keep_while"
    assert set(origin.tree()) == {"/b", "/n"}


def test_put_many_sets_the_conditions_on_every_match(origin: Origin) -> None:
    """Upstream records them for the last match only (BUG-5)."""
    for name in "bcd":
        origin.put(f"/x/{name}", 1)
    origin.put("/k", 1)
    origin.run(commands.put(path("/x/*"), value(2), many=True, keep_while={"/k": EXISTS}))
    origin.delete("/k")
    assert origin.tree() == {}


def test_a_watched_pattern_is_asked_again_when_a_match_changes(origin: Origin) -> None:
    """Upstream does not notice (BUG-6)."""
    origin.put("/q/one", 1)
    origin.put("/q/two", 1)
    origin.put("/w", 1, keep_while={"/q/*": IfHasPayload()})
    origin.put_nothing("/q/one")
    assert set(origin.tree()) == {"/q", "/q/one", "/q/two"}


def test_a_watched_pattern_is_asked_again_when_a_new_node_matches(origin: Origin) -> None:
    origin.put("/q/one", 1)
    origin.put("/w", 1, keep_while={"/q/*": IfHasPayload()})
    origin.put_nothing("/q/two")
    assert "/w" not in origin.tree()


def test_a_watched_pattern_needs_a_match(origin: Origin) -> None:
    origin.put("/q/one", 1)
    origin.put("/w", 1, keep_while={"/q/**": EXISTS})
    origin.delete("/q")
    assert origin.tree() == {}
    with pytest.raises(KeepWhileConditionsNotMetError):
        origin.put("/w", 1, keep_while={"/q/**": EXISTS})


def test_a_watched_root_is_asked_again(origin: Origin) -> None:
    """Upstream does not notice (BUG-7)."""
    origin.put_nothing("/x")
    origin.put("/w", 1, keep_while={"/": IfChildListLength(Gt(0))})
    origin.put("/w", 1, keep_while={"/": IfChildListLength(2)})
    origin.put_nothing("/y")
    assert set(origin.tree()) == {"/x", "/y"}
    origin.delete("/y")
    origin.put("/w", 1, keep_while={"/": IfHasPayload(has_payload=False)})
    origin.put("/", 1)
    assert origin.tree() == {"/x": None}


def test_watchers_may_watch_each_other(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.put("/b", 1, keep_while={"/a": EXISTS})
    origin.put("/a", 1, keep_while={"/b": EXISTS})
    origin.delete("/b")
    assert origin.tree() == {}


def test_a_condition_goes_with_its_node(origin: Origin) -> None:
    origin.put("/b", 1)
    origin.put("/d/e", 1, keep_while={"/b": EXISTS})
    origin.delete("/d")
    origin.put("/d/e", 2)
    origin.delete("/b")
    assert origin.tree() == {"/d": None, "/d/e": 2}
    assert not origin.machine._working.seal().watch_index


def test_removal_of_a_parent_of_the_watched_is_noticed(origin: Origin) -> None:
    origin.put("/d/b/c", 1)
    origin.put("/w", 1, keep_while={"/d/b/c": EXISTS})
    origin.delete("/d")
    assert origin.tree() == {}


def test_a_child_of_a_removed_watcher_is_told_once(origin: Origin) -> None:
    origin.put("/b", 1)
    origin.put("/w", 1, keep_while={"/b": EXISTS})
    origin.put("/w/x", 1, keep_while={"/b": EXISTS})
    told = origin.told(commands.delete(path("/b"), returning=ALL))
    assert list(told) == ["/b", "/w", "/w/x"]


def test_a_long_chain_of_dependents_falls(origin: Origin) -> None:
    origin.put("/n0", 0)
    for number in range(1, 500):
        origin.put(f"/n{number}", number, keep_while={f"/n{number - 1}": EXISTS})
    origin.delete("/n0")
    assert origin.tree() == {}


def test_2500_dependents_of_one_node_fall_together(origin: Origin) -> None:
    origin.put("/b", 1)
    keep_while: commands.KeepWhileOption = {"/b": EXISTS}
    origin.replies(
        *[
            commands.put(Path(["w", f"{number}"]), value(number), keep_while=keep_while)
            for number in range(2500)
        ]
    )
    told = origin.told(commands.delete(path("/b"), returning=ALL))
    assert len(told) == 2502
    assert origin.tree() == {}


def calls_of(work: Callable[[], object]) -> int:
    """Count the Python functions that are called: a measure of work that no busy machine bends."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def fan(dependents: int) -> Origin:
    """One node and so many that depend on it, in one family."""
    origin = Origin()
    origin.put("/b", 1)
    origin.replies(
        *[
            commands.put(Path(["w", f"{number}"]), value(number), keep_while={"/b": EXISTS})
            for number in range(dependents)
        ]
    )
    return origin


def chain(dependents: int) -> Origin:
    """So many nodes, each of which depends on the one before."""
    origin = Origin()
    origin.put("/b", 1)
    origin.replies(
        *[
            commands.put(
                Path([f"c{number}"]),
                value(number),
                keep_while={"/b" if number == 0 else f"/c{number - 1}": EXISTS},
            )
            for number in range(dependents)
        ]
    )
    return origin


@pytest.mark.parametrize("shape", [fan, chain])
def test_a_cascade_costs_as_much_as_what_falls(shape: Callable[[int], Origin]) -> None:
    small, large = shape(600), shape(2400)
    of_small = calls_of(lambda: small.delete("/b"))
    of_large = calls_of(lambda: large.delete("/b"))
    assert small.tree() == large.tree() == {}
    assert 3.5 < of_large / of_small < 4.5


def test_only_concerned_watchers_are_asked(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is linear in what changes, however many watchers there are."""
    for number in range(100):
        origin.put(f"/b/{number}", 1)
        origin.put(
            f"/w/{number}", 1, keep_while={f"/b/{number}": EXISTS, f"/b/{number}/*": ABSENT}
        )
    asked: list[Names] = []
    is_doomed = cascade._is_doomed

    def note(edit: Edit, watcher: Names, known: dict[Watch, Unmet | None]) -> bool:
        asked.append(watcher)
        return is_doomed(edit, watcher, known)

    monkeypatch.setattr(cascade, "_is_doomed", note)
    origin.delete("/b/7")
    assert asked == [("w", "7")]
    assert "/w/7" not in origin.tree()


def test_conditions_are_checked_before_they_are_sent() -> None:
    with pytest.raises(InvalidPathError):
        commands.put(path("/a"), value(1), keep_while={7: EXISTS})
    with pytest.raises(InvalidConditionError):
        commands.put(path("/a"), value(1), keep_while={"/b": 7})  # type: ignore[dict-item]
    with pytest.raises(InvalidOptionError):
        commands.put(path("/"), value(1), keep_while={"/b": EXISTS})


def test_the_index_survives_any_order_of_watches() -> None:
    """Two watches of one watcher may lie under one key of the index."""
    keep_while = KeepWhile(
        (Watch(path("/q/*"), EXISTS), Watch(path("/q/*/x"), EXISTS), Watch(path("/q"), EXISTS))
    )
    index = EMPTY_INDEX.with_watcher(("w",), keep_while)
    assert isinstance(index, KeepWhileIndex)
    assert index
    assert set(index.watchers_of(("q", "new"))) == {("w",)}
    assert index.without_watcher(("w",), keep_while) == EMPTY_INDEX


# --- change events ---


@pytest.fixture
def watched() -> Origin:
    origin = Origin()
    origin.machine.wants_changes = True
    return origin


def test_creating_tells_of_the_node_its_new_parents_and_the_parent_that_gained_a_child(
    watched: Origin,
) -> None:
    watched.put("/a/b", 1)
    assert watched.changes() == [("update", "/"), ("create", "/a"), ("create", "/a/b")]


def test_updating_tells_of_the_node_alone(watched: Origin) -> None:
    watched.put("/a", 1)
    watched.put("/a", 2)
    assert watched.changes() == [("update", "/a")]


def test_writing_the_same_again_tells_nothing(watched: Origin) -> None:
    watched.put("/a", 1)
    watched.put("/a", 1)
    assert watched.changes() == []


def test_deleting_tells_of_every_node_that_went(watched: Origin) -> None:
    watched.put("/a/b", 1)
    watched.put("/a/c", 1)
    watched.put("/w", 1, keep_while={"/a/b": EXISTS})
    watched.delete("/a")
    assert watched.changes() == [
        ("update", "/"),
        ("delete", "/a"),
        ("delete", "/a/b"),
        ("delete", "/a/c"),
        ("delete", "/w"),
    ]
    assert watched.reasons() == {
        "/a": "explicit",
        "/a/b": "explicit",
        "/a/c": "explicit",
        "/w": "keep_while",
    }


def test_a_node_changed_and_removed_is_told_as_removed(watched: Origin) -> None:
    watched.put("/a/b", 1)
    watched.put("/a", 1)
    watched.run(commands.clear_payload(path("/a/b")))
    watched.put_nothing("/a")
    watched.delete("/a/b")
    assert watched.changes() == [("update", "/"), ("delete", "/a"), ("delete", "/a/b")]


def test_events_come_in_the_order_of_operations(watched: Origin) -> None:
    watched.put("/z", 1)
    watched.replies(
        commands.put(path("/z"), value(2)),
        commands.put(path("/a"), value(1)),
        commands.delete(path("/a")),
    )
    assert watched.changes() == [
        ("update", "/z"),
        ("update", "/"),
        ("create", "/a"),
        ("update", "/"),
        ("delete", "/a"),
    ]


def test_events_carry_the_node_before_and_after(watched: Origin) -> None:
    watched.put("/a", 1)
    watched.replies(
        commands.put(path("/a"), value(2)),
        commands.put(path("/a/b"), value(1)),
    )
    assert watched.last is not None
    update, parent, _child = watched.last.changes
    assert update.old is not None
    assert update.new is not None
    assert parent.old is not None
    assert parent.new is not None
    assert (update.old.payload, update.new.payload) == (value(1), value(2))
    assert (len(parent.old.children), len(parent.new.children)) == (0, 1)


def test_a_failed_batch_tells_nothing(watched: Origin) -> None:
    watched.replies(
        commands.batch(
            [commands.put(path("/a"), value(1)), commands.update(path("/no"), value(1))]
        )
    )
    assert watched.changes() == []


def test_wanting_changes_changes_nothing_else() -> None:
    plain, watched = Origin(), Origin()
    watched.machine.wants_changes = True
    for origin in (plain, watched):
        origin.put("/a/b", 1)
        origin.put("/a/b", 2)
        origin.delete("/a")
    assert plain.changes() == []
    assert nodes(plain.machine.view.root).keys() == nodes(watched.machine.view.root).keys()


def test_what_many_watchers_ask_alike_is_looked_up_once(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = resolve_path("/locks/*")
    origin.put("/locks/a", 1)
    asks = {pattern: IfHasData(), "/locks/a": IfNodeExists()}
    puts = [
        commands.put(path(f"/w/{number}"), value(0), keep_while=dict(asks))
        for number in range(100)
    ]
    origin.run(commands.batch(puts))
    looked_up: list[object] = []

    def find_many(root: TreeNode, asked: Pattern) -> Iterator[tuple[Names, TreeNode]]:
        looked_up.append(asked)
        return patterns.find_many(root, asked)

    monkeypatch.setattr(keep_while, "find_many", find_many)
    origin.put("/locks/b", 1)
    assert looked_up == [pattern, path("/locks/a")]
    assert len(origin.tree()) == 104
    origin.run(commands.clear_payload(path("/locks/b")))
    assert origin.tree() == {"/locks": None, "/locks/a": 1, "/locks/b": None}
