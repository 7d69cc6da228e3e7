"""What the tests of the public face share."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from khepri.actors.default_node import default_node
from khepri.actors.server_messages import AskCore
from khepri.actors.supervision import which_children
from khepri.errors import NoSuchServerError, ServerStoppedError
from khepri.raft.events import TimePassed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from khepri.actors.reference import ActorReference
    from khepri.store import Store

PATIENCE_SECONDS = 20.0


def eventually(condition: Callable[[], object], what: str = "it") -> Any:
    """Look again and again until a condition holds, and give what it gave."""
    end = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE_SECONDS} s"
        pause.wait(0.005)


@contextlib.contextmanager
def standing_still(store: Store) -> Generator[None]:
    """Let the server of a store do nothing as long as the block lasts."""
    reached, gate = threading.Event(), threading.Event()

    def stand(_ticket: object) -> TimePassed:
        reached.set()
        assert gate.wait(30)
        return TimePassed()

    server = store.access.server
    assert server is not None
    server.cast(AskCore(stand))
    assert reached.wait(20)
    try:
        yield
    finally:
        gate.set()


def actors_of(store_id: str) -> dict[str, ActorReference]:
    """Give the running actors of a store and of its Ra system, by role."""
    system, _ = default_node().store_setup(store_id)
    found: dict[str, ActorReference] = {}
    # One of them may just be being restarted.
    with contextlib.suppress(ServerStoppedError, NoSuchServerError):
        _collect(system.reference, store_id, found)
    return found


def _collect(system: ActorReference, store_id: str, found: dict[str, ActorReference]) -> None:
    for child in which_children(system).get(timeout=5):
        if child.reference is not None:
            found[child.id] = child.reference
    if "stores" not in found:
        return
    for store in which_children(found["stores"]).get(timeout=5):
        if store.id == store_id and store.reference is not None:
            found["store_supervisor"] = store.reference
            for child in which_children(store.reference).get(timeout=5):
                if child.reference is not None:
                    found[child.id] = child.reference
