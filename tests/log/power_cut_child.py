"""A process that writes and says what is acknowledged, until somebody cuts its power.

Run as ``python -m tests.log.power_cut_child DIRECTORY``. Each line of its output is what is
durable: last index, term, snapshot index.
"""

from __future__ import annotations

import sys

from khepri.log.posix_file_system import PosixFileSystem
from khepri.raft.types import Index
from tests.log.log_helpers import LogHarness, append, entries, snapshot_meta


def main() -> None:
    harness = LogHarness(PosixFileSystem(), sys.argv[1], max_log_file_bytes=128 * 1024)
    index = term = covered = 0
    if "orders" in harness.system.stores:
        store = harness.store()
        uid, term = store.uid, store.hard_state.term
        covered = store.snapshot.index if store.snapshot else 0
        index = store.entries[-1].index if store.entries else covered
    else:
        uid = harness.register()
    for count in range(1_000_000):
        if count % 35 == 0:
            term += 1
            harness.vote(uid, term)
        some = entries(index + 1, index + 1 + count % 5, term, size_bytes=300 + count % 900)
        harness.write(append(uid, some))
        index = some[-1].index
        if count % 60 == 59:
            covered = Index(index - 5)
            harness.take_snapshot(uid, snapshot_meta(covered, term))
        harness.flush()
        sys.stdout.write(f"{index} {term} {covered}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
