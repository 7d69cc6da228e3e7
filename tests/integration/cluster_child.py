"""One node of a cluster of real processes: does what its standard input says, under load.

Commands are lines of JSON, ``[id, name, arguments...]``, each answered by ``["reply", id, ok,
value]``.
The load is told as it happens, so that a kill loses nothing that was acknowledged:

- ``["sent", path, value]`` and ``["acknowledged", path, value]``: a thread puts 1, 2, 3, ... to a
  tree node of its own, and takes another one when the outcome of a put is unknown;
- ``["began", operation, kind, key, value, expected, time]`` and ``["ended", operation, status,
  value, time]``: puts, compare-and-swaps and consistent reads of keys that all processes share.

The times are of the monotonic clock, which all processes of a machine have in common.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import threading
import time
from typing import Any

import khepri
from khepri.actors.default_node import default_node
from khepri.errors import KhepriError, MismatchingNodeError, NodeNotFoundError
from khepri.transport.peer_link import PeerLink

STORE = "real"
KEYS = 3
EPOCH_SECONDS = 1.5
"""Keys are left behind after this, so that the history of each stays short."""
CALL_SECONDS = 4.0

_lock = threading.Lock()


def say(*words: object) -> None:
    data = json.dumps(words).encode() + b"\n"
    with _lock:
        while data:
            data = data[os.write(1, data) :]


class Load:
    """The client threads of this process."""

    def __init__(self, life: str) -> None:
        self._life = life
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=target, args=(self._over, next(self._numbers)), daemon=True)
            for target in (self._count, self._count, self._share, self._share)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _count(self, over: threading.Event, number: int) -> None:
        store = khepri.Store(STORE)
        for attempt in itertools.count():
            path = f"/c/{self._life}-{number}-{attempt}"
            for value in itertools.count(1):
                if over.wait(0.002):
                    return
                say("sent", path, value)
                try:
                    store.put(path, value, timeout=CALL_SECONDS)
                except KhepriError:
                    break
                say("acknowledged", path, value)
            if over.wait(0.05):
                return

    def _share(self, over: threading.Event, number: int) -> None:
        store = khepri.Store(STORE)
        dice = random.Random()
        seen: dict[str, object] = {}
        for count in itertools.count():
            if over.wait(dice.random() * 0.03):
                return
            epoch = int(time.monotonic() / EPOCH_SECONDS)
            key = f"/r/{epoch}/{dice.randrange(KEYS)}"
            value = f"{self._life}-{number}-{count}"
            kind = dice.choice(["put", "cas", "read", "read"])
            expected = seen.get(key) if kind == "cas" else None
            if kind == "cas" and expected is None:
                kind = "read"
            say("began", value, kind, key, value, expected, time.monotonic())
            status, result = self._do(store, kind, key, value, expected)
            if status == "ok":
                seen[key] = result
            say("ended", value, status, result, time.monotonic())

    def _do(
        self, store: khepri.Store, kind: str, key: str, value: object, expected: object
    ) -> tuple[str, object]:
        try:
            match kind:
                case "put":
                    store.put(key, value, timeout=CALL_SECONDS)
                case "cas":
                    store.compare_and_swap(key, expected, value, timeout=CALL_SECONDS)
                case _:
                    value = store.get_or(key, None, favor="consistency", timeout=CALL_SECONDS)
        except (MismatchingNodeError, NodeNotFoundError):
            return "failed", None
        except KhepriError:
            return "unknown", None
        return "ok", value


class Commands:
    """What the standard input may ask for; each is run in the main thread."""

    def __init__(self, data_dir: str, load: Load) -> None:
        self._data_dir = data_dir
        self._load = load

    def start(self) -> object:
        config = {
            "cluster_name": STORE,
            "snapshot_entries": 300,
            "snapshot_interval_seconds": 0.5,
        }
        khepri.start(self._data_dir, config, timeout=20)
        return self.known()

    def known(self) -> object:
        return khepri.cluster.locally_known_nodes(STORE)

    def join(self, remote: str) -> None:
        khepri.cluster.join(remote, STORE, timeout=10)

    def reset(self) -> None:
        khepri.reset(STORE, timeout=6)

    def nodes(self) -> object:
        return khepri.cluster.nodes(STORE, timeout=5)

    def leader(self) -> object:
        khepri.cluster.wait_for_leader(STORE, timeout=5)
        leader = khepri.cluster.status(STORE, timeout=5).leader
        return None if leader is None else leader.node

    def term(self) -> object:
        return khepri.cluster.status(STORE, timeout=5).term

    def transfer(self) -> None:
        khepri.cluster.transfer_leadership(store_id=STORE, timeout=5)

    def load(self) -> None:
        self._load.start()

    def unload(self) -> None:
        self._load.stop()

    def links(self) -> object:
        return {peer.node: str(peer.status) for peer in default_node().transport.peers()}

    def bulk(self, count: int, size_bytes: int, patience: float = 30.0) -> None:
        """Put large values over each other, as fast as they are taken."""
        store = khepri.Store(STORE)
        futures = [store.put("/bulk", "x" * size_bytes, async_=True) for _ in range(count)]
        end = time.monotonic() + patience
        for future in futures:
            future.get(timeout=max(0.0, end - time.monotonic()))

    def fence(self) -> None:
        khepri.Store(STORE).fence(timeout=20)

    def applied(self) -> int:
        return khepri.cluster.status(STORE).last_applied

    def tree(self) -> object:
        names = ("payload", "payload_version", "child_list_version")
        found = khepri.adv.get_many("**", store_id=STORE, props_to_return=names)
        return {
            str(path): [
                properties.get("data"),
                properties["payload_version"],
                properties["child_list_version"],
            ]
            for path, properties in found.items()
        }


def dial_by(routes: dict[str, str]) -> None:
    """Have links dial elsewhere than where the names of the nodes say: the test's relays."""
    make = PeerLink.__init__

    def make_and_divert(link: PeerLink, *arguments: Any, **options: Any) -> None:
        make(link, *arguments, **options)
        link._endpoint = routes.get(link._endpoint, link._endpoint)

    PeerLink.__init__ = make_and_divert  # type: ignore[method-assign, assignment]


def main(name: str, data_dir: str) -> None:
    dial_by(json.loads(os.environ.get("KHEPRI_TEST_ROUTES", "{}")))
    khepri.node.start(name)
    commands = Commands(data_dir, Load(f"{name.partition('@')[0]}-{os.getpid()}"))
    say("ready")
    for line in sys.stdin:
        number, command, *arguments = json.loads(line)
        try:
            value: Any = getattr(commands, command)(*arguments)
        except KhepriError as error:
            say("reply", number, False, f"{type(error).__name__}: {error}")
        else:
            say("reply", number, True, value)
    khepri.node.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
