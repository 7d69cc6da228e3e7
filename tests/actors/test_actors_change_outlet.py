"""What waits to be told: it is bounded, nothing is missed, and everybody is told that it ends."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from khepri.actors import change_outlet, changes_told
from khepri.actors.access import StoreAccess
from khepri.actors.change_feed import ChangeFeed, FeedLine, refuse_to_wait_for_the_feed
from khepri.actors.change_listener import ChangeListener
from khepri.actors.change_source import ChangeSource
from khepri.actors.label import ActorLabel
from khepri.errors import MisuseError, ProjectionExistsError, ServerStoppedError
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.diff import diff
from khepri.machine.machine import Machine, View
from khepri.machine.paths import resolve_path
from khepri.raft.types import ServerId
from tests.actors.actors_helpers import WAIT_SECONDS
from tests.machine.machine_helpers import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from khepri.actors.change_listener import Ending
    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.actors.reference import ActorReference
    from khepri.machine.state import Change
    from khepri.machine.tree import TreeNode


class Listener(ChangeListener):
    """Remembers what it is told."""

    __slots__ = ("dead", "error", "told")

    def __init__(self, pattern: str, view: View | None) -> None:
        super().__init__(ConcretePattern(resolve_path(pattern)), view)
        self.told: list[list[str] | str] = []
        self.dead = False
        self.error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.dead

    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        del outlet, before
        if self.error is not None:
            raise self.error
        self.told.append(["/" + "/".join(change.path) for change in changes])
        self.view = after

    def begin(self, outlet: ChangeOutlet, view: View) -> None:
        del outlet
        self.told.append("all")
        self.view = view

    def end(self, ending: Ending) -> None:
        self.told.append(ending)


class Served:
    """A store's outlet with a server that applies puts, and nobody but the test to be rung."""

    def __init__(self) -> None:
        self.access = StoreAccess("store", ServerId("store", "node"), b"")
        self.outlet = self.access.outlet
        self.source = ChangeSource(self.access)
        self.origin = Origin(Machine())
        self.rings = 0
        self.source.publish(self.machine.view)

    @property
    def machine(self) -> Machine:
        return self.origin.machine

    def ring(self, outlet: ChangeOutlet) -> bool:
        assert outlet is self.outlet
        self.rings += 1
        return True

    def listen(self, pattern: str = "/**") -> Listener:
        listener = Listener(pattern, self.access.view)
        self.outlet.add(listener, self.ring)
        self.outlet.deal()
        listener.told.clear()
        self.rings = 0
        return listener

    def put(self, *paths: str) -> None:
        """Apply one entry for each path, then publish."""
        self.source.begin(self.machine)
        for path in paths:
            self.origin.put(path, len(self.origin.log))
            assert self.origin.last is not None
            self.source.applied(self.origin.last.changes)
        self.source.publish(self.machine.view)


@pytest.fixture
def served() -> Served:
    return Served()


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
    listener = Listener("/a", served.access.view)
    served.outlet.add(listener, served.ring, "one")
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
    served.outlet.add(lasting, served.ring, "one")
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
    assert lasting.told == ["all"]
    assert after.outlet.named("one") is lasting
    after.put("/y")
    after.outlet.deal()
    assert lasting.told == ["all", ["/y"]]


def test_nobody_outlasts_a_reset(served: Served) -> None:
    lasting = Lasting("one", served.access.view)
    served.outlet.reserve("one")
    served.outlet.add(lasting, served.ring, "one")
    assert served.outlet.closes_for("reset") == ()
    served.access.close()
    served.outlet.deal()
    assert lasting.told == ["reset"]


# --- the feed


def start_feed(line: FeedLine) -> ActorReference:
    """Start a feed to which a line leads."""
    reference = ChangeFeed.start(ActorLabel("change-feed", None, "node"), line)
    reference.started.get(timeout=WAIT_SECONDS)
    line.connect(reference)
    return reference


class Waiting(Listener):
    """Says when it was told."""

    __slots__ = ("thread", "was_told")

    def __init__(self, view: View | None) -> None:
        super().__init__("/**", view)
        self.was_told = threading.Event()

    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        super().take(outlet, before, after, changes)
        self.was_told.set()


def test_the_feed_looks_where_it_is_rung(served: Served) -> None:
    line = FeedLine()
    start_feed(line)
    listener = Waiting(served.access.view)
    served.outlet.add(listener, line.ring)
    served.put("/a")
    assert listener.was_told.wait(WAIT_SECONDS)
    assert listener.told == [["/a"]]
    assert line.outlets == {served.outlet}


def test_a_feed_that_crashes_and_comes_back_has_missed_nothing(served: Served) -> None:
    line = FeedLine()
    feed = start_feed(line)
    listener = Waiting(served.access.view)
    served.outlet.add(listener, line.ring)
    feed.cast("not for it")
    feed.down.get(timeout=WAIT_SECONDS)
    served.put("/a")
    assert listener.told == []
    start_feed(line)
    assert listener.was_told.wait(WAIT_SECONDS)
    assert listener.told == [["/a"]]


def test_an_outlet_where_nobody_listens_is_forgotten(served: Served) -> None:
    line = FeedLine()
    feed = start_feed(line)
    listener = Waiting(served.access.view)
    served.outlet.add(listener, line.ring)
    served.outlet.remove(listener)
    line.ring(served.outlet)
    feed.stop(block=True, timeout=WAIT_SECONDS)
    assert line.outlets == set()


def test_a_node_that_stops_leaves_nobody_waiting(served: Served) -> None:
    line = FeedLine()
    feed = start_feed(line)
    listener = Waiting(served.access.view)
    served.outlet.add(listener, line.ring)
    feed.stop()
    line.end()
    assert listener.told == ["stopped"]
    assert line.outlets == set()


def test_the_thread_of_the_feed_is_known() -> None:
    line = FeedLine()
    feed = start_feed(line)
    seen: list[BaseException] = []

    class Outlet(change_outlet.ChangeOutlet):
        __slots__ = ()

        def deal(self) -> None:
            try:
                refuse_to_wait_for_the_feed()
            except MisuseError as error:
                seen.append(error)

    line.ring(Outlet(StoreAccess("store", ServerId("store", "node"), b"")))
    feed.stop(block=True, timeout=WAIT_SECONDS)
    assert len(seen) == 1
    refuse_to_wait_for_the_feed()  # not this one
