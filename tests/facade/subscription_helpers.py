"""What the tests of subscriptions share: one who is told, and an actor that passes on."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pykka

import khepri
from khepri import messages
from khepri.actors.default_node import default_node
from khepri.actors.supervision import which_children
from tests.facade.facade_helpers import PATIENCE_SECONDS

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference

Event = messages.TreeChanged | messages.SubscriptionEnded


class Told:
    """What a subscription has told; itself the function of one."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.thread = ""

    def __call__(self, event: Event) -> None:
        self.thread = threading.current_thread().name
        self.events.put(event)

    def next(self) -> Event:
        return self.events.get(timeout=PATIENCE_SECONDS)

    def changes(self) -> list[tuple[str, str, object]]:
        """Path, kind and new data of each difference of the next event."""
        event = self.next()
        assert isinstance(event, messages.TreeChanged)
        return [
            (str(each.path), each.kind, (each.new or {}).get("data")) for each in event.differences
        ]

    def nothing_more(self, store: khepri.Store) -> bool:
        """Tell whether nothing comes before something that is written now."""
        marked = Told()
        subscription = store.subscribe("/mark", marked)
        store.put("/mark", object_number())
        marked.next()
        subscription.close()
        return self.events.empty()


_numbers = iter(range(10**9))


def object_number() -> int:
    return next(_numbers)


class Host(pykka.ThreadingActor):
    """An actor of the host program that passes on what it is told."""

    use_daemon_thread = True

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told

    def on_receive(self, message: Any) -> None:
        self.told(message)


def feed() -> ActorReference:
    children = which_children(default_node().supervisor()).get(timeout=5)
    found = {child.id: child.reference for child in children}["change_feed"]
    assert found is not None
    return found
