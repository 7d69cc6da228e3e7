"""One of the three nodes of the demonstration: ``... demo.member NAME DATA_DIR COOKIE_FILE``.

It does what lines of JSON on standard input say, ``["function", {arguments}]``, and answers each
with one line of JSON on standard output. While it writes, lines ``thread number`` come between:
each says that a put has returned.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
from math import inf
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from khepri import cluster, node
from khepri.cli.json_document import flatten
from khepri.cli.load import put_all
from khepri.cli.progress import Progress
from khepri.errors import KhepriError
from khepri.store import Store

from .crash import Acknowledged, problems
from .documents import DOCUMENTS
from .writer import place

if TYPE_CHECKING:
    from khepri.machine.paths import Path
    from khepri.machine.properties import NodeProperties

STORE: Final = "demo"
SETTINGS: Final = {"snapshot_bytes": 4 << 20, "snapshot_interval_seconds": 0.5}
"""Small, so that a member that was away for seconds is too far behind for the log."""
BLOB_BYTES: Final = 256 * 1024
BLOB_PLACES: Final = 8


class Member:
    """The functions that can be asked for."""

    def __init__(self, name: str, data_dir: str, cookie_file: str) -> None:
        """Start the node and its store; what is on its disk is found again."""
        self._installations = _Installations()
        node.start(name, cookie=FilePath(cookie_file))
        cluster.start(data_dir, {**SETTINGS, "cluster_name": STORE})
        self._store = Store(STORE)
        self._writing: list[threading.Thread] = []
        self._stop = threading.Event()

    def join(self, remote: str) -> None:
        """Become a member of the other's cluster."""
        cluster.join(remote, STORE)

    def leader(self) -> str:
        """Wait until there is a leader, and name it."""
        cluster.wait_for_leader(STORE)
        leader = cluster.status(STORE).leader
        return self.leader() if leader is None else leader.node

    def load(self, document: str) -> int:
        """Put a document of this machine; give how many payloads it has."""
        content = DOCUMENTS[document]().content
        progress = Progress("payloads", quiet_seconds=inf)
        put_all(self._store, flatten(content), progress)
        return progress.done

    def ask(self, pattern: str) -> int:
        """Give how many tree nodes match, as this node sees it."""
        return self._store.count(pattern)

    def replace_blobs(self, count: int) -> int:
        """Write large values to a few places: much log, little tree.

        Goes on until a snapshot covers so many of them, which the log then does not keep; a
        fast disk takes them all before the first snapshot is due. Gives how many were written.
        """
        enough = cluster.status(STORE).last_applied + count
        written = 0
        while cluster.status(STORE).snapshot_index < enough:
            self._store.put(f"/blobs/{written % BLOB_PLACES}", os.urandom(BLOB_BYTES))
            written += 1
        return written

    def write(self, threads: list[int]) -> None:
        """Begin to write from so many threads, with these numbers."""
        self._stop.clear()
        for number in threads:
            worker = threading.Thread(target=self._write, args=(number,), daemon=True)
            self._writing.append(worker)
            worker.start()

    def stop_writing(self) -> None:
        """Let each thread finish its put, and wait for them."""
        self._stop.set()
        for worker in self._writing:
            worker.join()
        self._writing.clear()

    def catch_up(self) -> dict[str, Any]:
        """Wait until all that was committed is applied here; tell how that went."""
        self._store.fence()
        applied = cluster.status(STORE).last_applied
        return {"applied": applied, "snapshots": self._installations.count}

    def problems(self, acknowledged: dict[str, int]) -> list[str]:
        """Compare this node's tree with what was acknowledged by all."""
        counts = {int(thread): count for thread, count in acknowledged.items()}
        return problems(self._store, Acknowledged(counts))[:10]

    def digest(self) -> str:
        """Give a digest of the whole tree with its versions."""

        def add(
            path: Path, properties: NodeProperties, digest: hashlib.blake2b
        ) -> hashlib.blake2b:
            digest.update(repr((tuple(path), sorted(properties.items()))).encode())
            return digest

        whole = self._store.fold("/**", add, hashlib.blake2b(digest_size=8))
        return whole.hexdigest()

    def _write(self, thread: int) -> None:
        number = 0
        while not self._stop.is_set():
            self._store.put(place(thread, number), number)
            _say(f"{thread} {number}")
            number += 1


class _Installations(logging.Handler):
    """Counts the snapshots that this node has installed, as its log tells them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0
        logger = logging.getLogger("khepri.actors.ra_server")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one line of the log."""
        self.count += "installed a snapshot" in record.msg


def _say(line: str) -> None:
    # One write of a short line is never mixed with another thread's, nor torn.
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


def main(name: str, data_dir: str, cookie_file: str) -> None:
    """Answer until standard input ends."""
    member = Member(name, data_dir, cookie_file)
    _say(json.dumps({"value": None}))
    for line in sys.stdin:
        function, arguments = json.loads(line)
        try:
            answer: dict[str, Any] = {"value": getattr(member, function)(**arguments)}
        except KhepriError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(json.dumps(answer))
    node.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
