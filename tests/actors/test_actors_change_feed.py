"""The feed looks where it is rung, and where one before it has left something."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from khepri.actors import change_outlet
from khepri.actors.access import StoreAccess
from khepri.actors.change_feed import ChangeFeed, FeedLine, refuse_to_wait_for_the_feed
from khepri.actors.label import ActorLabel
from khepri.errors import MisuseError
from khepri.raft.types import ServerId
from tests.actors.actors_helpers import WAIT_SECONDS
from tests.actors.outlet_helpers import Listener, Served

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.actors.reference import ActorReference
    from khepri.machine.machine import View
    from khepri.machine.state import Change


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
