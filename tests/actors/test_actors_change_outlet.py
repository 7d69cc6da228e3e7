"""What waits to be told: it is bounded, nothing is missed, and everybody is told that it ends."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from khepri.actors import change_outlet, changes_told
from khepri.actors.change_source import ChangeSource
from khepri.errors import ProjectionExistsError, ServerStoppedError
from khepri.machine.diff import diff
from khepri.machine.machine import Machine, View
from tests.actors.actors_helpers import WAIT_SECONDS
from tests.actors.outlet_helpers import Listener, Served
from tests.machine.machine_helpers import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from khepri.actors.change_listener import Ending
    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.machine.state import Change
    from khepri.machine.tree import TreeNode


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Comparisons of two trees that were made."""
    made: list[str] = []

    def counted(old_root: TreeNode | None, new_root: TreeNode | None) -> Iterator[Change]:
        made.append("diff")
        return diff(old_root, new_root)

    monkeypatch.setattr(changes_told, "diff", counted)
    return made


def test_while_nobody_listens_nothing_is_noted(served: Served) -> None:
    served.put("/a")
    assert not served.machine.wants_changes
    assert served.outlet._waiting is None
    listener = served.listen()
    served.put("/b")
    assert served.machine.wants_changes
    assert served.outlet.remove(listener)
    served.put("/c")
    assert not served.machine.wants_changes
    assert served.outlet._waiting is None


def test_what_was_applied_meanwhile_is_told_as_one(served: Served, comparisons: list[str]) -> None:
    listener = served.listen()
    served.put("/a")
    served.put("/b", "/a", "/a")
    assert served.rings == 1  # the feed takes everything that waits
    served.outlet.deal()
    assert listener.told == [["/a", "/b"]]
    served.put("/b")
    served.outlet.deal()
    assert listener.told[1:] == [["/b"]]
    assert comparisons == []


def test_what_came_and_went_meanwhile_is_not_told(served: Served) -> None:
    listener = served.listen("/a/**")
    served.put("/a/b")
    served.source.begin(served.machine)
    served.origin.delete("/a")
    assert served.origin.last is not None
    served.source.applied(served.origin.last.changes)
    served.source.publish(served.machine.view)
    served.outlet.deal()
    assert listener.told == [[]]
    assert listener.view is served.machine.view


def test_each_is_told_of_its_pattern_only(served: Served) -> None:
    a, b = served.listen("/a/*"), served.listen("/b")
    served.put("/a/x", "/b", "/c")
    served.outlet.deal()
    assert a.told == [["/a/x"]]
    assert b.told == [["/b"]]


def test_what_is_too_much_is_dropped_and_found_by_comparison(
    served: Served, comparisons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_outlet, "MAX_WAITING_CHANGES", 5)
    listener = served.listen()
    served.put("/a", "/b")
    served.put("/c", "/d", "/e")
    assert not served.outlet.wants_changes  # the machine need not note more until then
    served.put("/f", "/a")
    assert served.outlet._waiting is not None
    assert served.outlet._waiting.changed is None
    served.outlet.deal()
    assert listener.told == [[f"/{name}" for name in "abcdef"]]
    assert comparisons == ["diff"]
    served.put("/g")
    assert served.outlet.wants_changes
    served.outlet.deal()
    assert listener.told[1:] == [["/g"]]
    assert comparisons == ["diff"]


def test_one_entry_that_is_too_much_is_dropped_too(
    served: Served, comparisons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_outlet, "MAX_WAITING_CHANGES", 2)
    listener = served.listen()
    served.put("/a", "/b", "/c")
    served.outlet.deal()
    assert listener.told == [["/a", "/b", "/c"]]
    assert comparisons == ["diff"]


def test_a_newcomer_is_told_by_comparison_what_is_different_since_its_view(
    served: Served, comparisons: list[str]
) -> None:
    first, early = served.listen(), served.access.view
    served.put("/a")
    late = Listener("/**", early)
    served.put("/b")
    served.outlet.add(late, served.ring)
    served.outlet.deal()
    assert late.told == first.told == [["/a", "/b"]]
    assert comparisons == []  # both know the tree from which the changes lead on
    later = Listener("/**", served.access.view)
    served.outlet.add(later, served.ring)
    served.outlet.deal()
    assert later.told == []


def test_what_waits_is_only_for_those_who_know_the_tree_before(
    served: Served, comparisons: list[str]
) -> None:
    first, early = served.listen(), served.access.view
    served.put("/a")
    served.outlet.deal()
    served.put("/b")
    late = Listener("/**", early)
    served.outlet.add(late, served.ring)
    served.outlet.deal()
    assert first.told == [["/a"], ["/b"]]
    assert late.told == [["/a", "/b"]]
    assert comparisons == ["diff"]


def test_a_gap_between_what_waits_and_what_comes_is_noticed(
    served: Served, comparisons: list[str]
) -> None:
    listener = served.listen()
    served.put("/a")
    served.origin.put("/b", 1)  # by a server that has not told it
    served.put("/c")
    served.outlet.deal()
    assert listener.told == [["/a", "/b", "/c"]]
    assert comparisons == ["diff"]


def test_a_snapshot_in_between_is_told_by_comparison(
    served: Served, comparisons: list[str]
) -> None:
    listener = served.listen()
    served.put("/a")
    other = Origin(Machine())
    other.log.append(b"")  # one entry more, so that its place is a later one
    for path in ("/a", "/b", "/c"):
        other.put(path, len(other.log))
    restored = Machine.restore(other.machine.snapshot_chunks())
    served.origin.machine = restored
    served.source.publish(restored.view)
    served.outlet.deal()
    assert listener.told == [["/a", "/b", "/c"]]
    assert comparisons == ["diff"]


def test_a_restarted_server_that_has_the_same_tree_needs_no_comparison(
    served: Served, comparisons: list[str]
) -> None:
    listener = served.listen()
    served.put("/a")
    served.outlet.deal()
    served.origin.machine = Machine.restore(served.machine.snapshot_chunks())
    served.source = ChangeSource(served.access)
    served.source.publish(served.machine.view)
    served.outlet.deal()
    served.put("/b")
    served.outlet.deal()
    assert listener.told == [["/a"], ["/b"]]
    assert comparisons == []


def test_a_restarted_server_tells_nothing_before_it_is_as_far_as_the_one_before(
    served: Served,
) -> None:
    listener = served.listen()
    behind = Machine.restore(served.machine.snapshot_chunks())
    served.put("/a", "/b")
    served.outlet.deal()
    source = ChangeSource(served.access)
    source.publish(behind.view)
    served.outlet.deal()
    assert listener.told == [["/a", "/b"]]
    assert served.access.view is served.machine.view


def test_one_that_raises_keeps_nobody_from_being_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = served.listen(), served.listen()
    bad.error = ValueError("a bug")
    served.put("/a")
    with caplog.at_level(logging.ERROR, "khepri.actors.change_feed"):
        served.outlet.deal()
    assert "was not told what has changed" in caplog.text
    assert good.told == [["/a"]]
    bad.error = None
    served.put("/b")
    served.outlet.deal()
    assert bad.told == [["/b"]]


def test_one_who_is_not_there_any_more_is_taken_out(served: Served) -> None:
    listener = served.listen()
    listener.dead = True
    served.put("/a")
    served.outlet.deal()
    assert listener.told[-1] == "closed"
    assert not served.outlet.listens


def test_names_are_taken_once(served: Served) -> None:
    served.outlet.reserve("one")
    with pytest.raises(ProjectionExistsError) as caught:
        served.outlet.reserve("one")
    assert caught.value.name == "one"
    assert served.outlet.named("one") is None  # not there yet
    listener = Lasting("one", served.access.view)
    served.outlet.add(listener, served.ring)
    assert served.outlet.named("one") is listener
    assert served.outlet.names() == ["one"]
    with pytest.raises(ProjectionExistsError):
        served.outlet.reserve("one")
    served.outlet.remove(listener)
    served.outlet.reserve("one")
    served.outlet.release("one")
    served.outlet.reserve("one")


def test_after_what_waits_everybody_is_told_that_the_store_was_stopped(served: Served) -> None:
    listener = served.listen()
    served.put("/a")
    served.access.close()
    served.outlet.deal()
    assert listener.told == [["/a"], "stopped"]
    with pytest.raises(ServerStoppedError):
        served.outlet.add(listener, served.ring)


def test_they_are_told_so_even_if_there_is_no_feed_any_more(served: Served) -> None:
    listener = Listener("/**", served.access.view)
    served.outlet.add(listener, lambda _outlet: False)
    served.put("/a")
    served.access.close()
    assert listener.told == [["/a"], "stopped"]


def test_they_are_told_so_even_if_a_function_does_not_return(served: Served) -> None:
    listener = Listener("/**", served.access.view)
    served.outlet.add(listener, lambda _outlet: False)
    begun, gate = threading.Event(), threading.Event()

    def stuck() -> None:
        with served.outlet._dealing:
            begun.set()
            gate.wait(WAIT_SECONDS)

    thread = threading.Thread(target=stuck)
    thread.start()
    assert begun.wait(WAIT_SECONDS)
    served.access.close()
    assert listener.told == ["stopped"]
    gate.set()
    thread.join()


def test_a_function_that_does_not_return_when_it_is_told_so_holds_up_no_stop(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Stuck(Listener):
        __slots__ = ()

        def end(self, ending: Ending) -> None:
            super().end(ending)
            begun.set()
            gate.wait(WAIT_SECONDS)

    monkeypatch.setattr(change_outlet, "END_SECONDS", 0.0)
    served.outlet.add(Stuck("/**", served.access.view), lambda _outlet: False)
    stopping = threading.Thread(target=served.access.close)
    stopping.start()
    assert begun.wait(WAIT_SECONDS)
    stopping.join(WAIT_SECONDS / 2)
    has_stopped = not stopping.is_alive()
    gate.set()
    stopping.join()
    assert has_stopped


def test_one_that_leaves_while_others_are_told_keeps_nothing_from_them(served: Served) -> None:
    class First(Listener):
        __slots__ = ()

        def take(
            self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
        ) -> None:
            super().take(outlet, before, after, changes)
            leaving.view = None  # as when the store begins its next life

    first = First("/**", served.access.view)
    served.put("/a")
    leaving, other = (Listener("/**", served.access.view) for _ in range(2))
    for listener in (first, leaving, other):
        served.outlet.add(listener, served.ring)
    served.put("/b")
    served.outlet.deal()
    assert first.told == [["/a", "/b"]]
    assert other.told == [["/b"]]


class Lasting(Listener):
    """Goes on with another tree."""

    __slots__ = ("name",)
    outlasts_the_tree = True

    def __init__(self, name: str, view: View | None) -> None:
        super().__init__("/**", view)
        self.name = name


def test_some_go_on_with_the_next_tree_of_the_store_and_begin_anew(served: Served) -> None:
    short = served.listen()
    lasting = Lasting("one", served.access.view)
    served.outlet.reserve("one")
    served.outlet.add(lasting, served.ring)
    left = served.outlet.closes_for("joined")
    served.access.close()
    served.outlet.deal()
    assert left == [lasting]
    assert short.told == ["joined"]
    assert lasting.told == []
    after = Served()
    after.put("/x")
    after.outlet.adopt(left, after.ring)
    after.outlet.deal()
    assert lasting.told == []  # the tree may not be all that the cluster has
    after.put("/w")
    after.outlet.deal()
    assert lasting.told == []
    rings = after.rings
    after.outlet.tree_has_come()
    assert after.rings == rings + 1
    after.outlet.deal()
    assert lasting.told == ["all"]
    assert after.outlet.named("one") is lasting
    after.put("/y")
    after.outlet.deal()
    assert lasting.told == ["all", ["/y"]]


def test_nobody_comes_any_more_once_it_is_known_that_the_tree_goes(served: Served) -> None:
    served.outlet.closes_for("joined")
    late = Lasting("late", served.access.view)
    served.outlet.reserve("late")
    with pytest.raises(ServerStoppedError):  # it would not go on with the next tree
        served.outlet.add(late, served.ring)


def test_nobody_outlasts_a_reset(served: Served) -> None:
    lasting = Lasting("one", served.access.view)
    served.outlet.reserve("one")
    served.outlet.add(lasting, served.ring)
    assert served.outlet.closes_for("reset") == ()
    served.access.close()
    served.outlet.deal()
    assert lasting.told == ["reset"]
