"""Random histories of a directory: many steps, many deaths, errors of the disk in between.

`log_workload` dies once, at every place in turn. Here one directory lives through deaths inside
recoveries, deaths with an error just before, a flush that was begun and never ended. The rule is
the same, and is looked at after each death: what is found is what was acknowledged, or that plus
the one step that was under way.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from khepri.errors import DataCorruptionError, StorageError
from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from khepri.log.rereading import read_store
from tests.log.log_helpers import CHANGES, LogHarness, entries, snapshot_meta
from tests.log.log_workload import LARGEST_FILE_BYTES, PATH, Workload, difference

if TYPE_CHECKING:
    import random

    from khepri.log.memory_file_system import Operation
    from tests.log.log_helpers import StoreContents

STORES = "abcd"
STEPS = {
    "append": 30,
    "overwrite": 15,
    "vote": 5,
    "flush": 15,
    "reopen": 5,
    "read again": 8,
    "snapshot": 8,
    "install": 4,
    "truncate": 4,
    "unregister": 2,
}
"""What is done, and how often; a snapshot and a truncation want entries."""
ERRORS_IN_A_ROW = 5


class History:
    """One directory and its fate, from one generator."""

    def __init__(self, generator: random.Random) -> None:
        """Begin with an empty directory."""
        self.random = generator
        self.memory = MemoryFileSystem()
        self.workload = Workload(self.memory, attempts=ERRORS_IN_A_ROW + 1)
        self.deaths = 0
        self._plan_fate()

    def run(self, steps: int) -> None:
        """Live; raises what went wrong."""
        self._come_back()
        for _ in range(steps):
            try:
                self._step()
                if self.random.random() < 0.1:
                    self._plan_fate()
            except SimulatedCrash:
                self._die()
                self._come_back()
        self._die()
        self.memory.hook = None
        self._come_back()

    # --- what goes wrong

    def _plan_fate(self) -> None:
        choose = self.random
        self.memory.hook = self._fate  # a death takes it away
        self._operations_to_live = choose.randrange(1, 60) if choose.random() < 0.5 else None
        self._changes_to_error = choose.randrange(40)
        self._errors = choose.choice([0, 0, 1, 2, ERRORS_IN_A_ROW])
        self._error = choose.choice([errno.EIO, errno.ENOSPC])

    def _fate(self, operation: Operation) -> None:
        if operation.name == "pread":
            return
        if self._operations_to_live is not None:
            self._operations_to_live -= 1
            if self._operations_to_live <= 0:
                self._operations_to_live = None
                raise SimulatedCrash(operation)
        if operation.name in CHANGES:
            self._changes_to_error -= 1
            if self._changes_to_error < 0 < self._errors:
                self._errors -= 1
                raise OSError(self._error, "planned")

    def _die(self) -> None:
        self.deaths += 1
        if self.random.random() < 0.7:
            self.memory.power_loss(self.random)
        else:
            self.memory.process_death()
        self._plan_fate()

    def _come_back(self) -> None:
        """Recover, however often that is interrupted, and look at what is there."""
        workload = self.workload
        legal = [workload.acknowledged]
        if workload.under_way is not None:
            legal.append(workload.under_way)
        while True:
            try:
                harness = self._recovered()
                break
            except SimulatedCrash:
                self._die()
        found = harness.contents()
        assert found in legal, difference(found, legal)
        workload.taken_over(harness, found)

    def _recovered(self) -> LogHarness:
        for _ in range(ERRORS_IN_A_ROW):
            try:
                return self._recovered_once()
            except DataCorruptionError:
                raise
            except StorageError:
                pass  # it is tried again
        return self._recovered_once()

    def _recovered_once(self) -> LogHarness:
        harness = LogHarness(self.memory, PATH, max_log_file_bytes=LARGEST_FILE_BYTES)
        try:
            for error in harness.system.damaged.values():
                raise error
            contents = harness.contents()
            for store_id, uid in harness.directory.stores.items():
                harness.vote(uid, contents[store_id].hard_state.term)  # as a server does first
        except StorageError:
            harness.close()
            raise
        return harness

    # --- what is done

    def _step(self) -> None:
        choose, workload = self.random, self.workload
        known = workload.acknowledged
        if not known or (len(known) < len(STORES) and choose.random() < 0.05):
            store_id = choose.choice([name for name in STORES if name not in known])
            workload.register(store_id)
            workload.vote(store_id, 1)
            return
        store_id = choose.choice(sorted(known))
        store = known[store_id]
        if store.hard_state.term == 0:  # it died between the two
            workload.vote(store_id, 1)
            return
        what = choose.choices(tuple(STEPS), weights=tuple(STEPS.values()))[0]
        self._do(what, store_id, store)

    def _do(self, what: str, store_id: str, store: StoreContents) -> None:
        choose, workload = self.random, self.workload
        match what:
            case "append":
                self._append(store_id, _last_index(store) + 1, store.hard_state.term)
            case "overwrite":
                first = choose.randint(_snapshot_index(store) + 1, _last_index(store) + 1)
                term = store.hard_state.term + 1
                workload.vote(store_id, term)
                self._append(store_id, first, term)
            case "vote":
                workload.vote(store_id, store.hard_state.term + 1)
            case "flush":
                workload.flush()
            case "read again":
                self._read_again(store_id, store)
            case "snapshot" if store.entries:
                one = choose.choice(store.entries)
                workload.snapshot(store_id, snapshot_meta(one.index, one.term))
            case "install":
                index = _snapshot_index(store) + choose.randint(1, 12)
                workload.install(store_id, snapshot_meta(index, store.hard_state.term))
            case "truncate" if store.entries:
                workload.truncate(store_id, choose.choice(store.entries).index)
            case "unregister":
                workload.unregister(store_id)
            case _:
                workload.reopen()

    def _append(self, store_id: str, first: int, term: int) -> None:
        last = first + self.random.randrange(4)
        size_bytes = self.random.choice([0, 50, 700, 2_500, 9_000])
        self.workload.append({store_id: entries(first, last, term=term, size_bytes=size_bytes)})

    def _read_again(self, store_id: str, store: StoreContents) -> None:
        try:
            found = read_store(self.workload.harness.directory, store_id)
        except StorageError:  # the planned error was in the way of its sync
            return
        assert found.hard_state == store.hard_state
        assert found.snapshot == store.snapshot
        assert tuple(found.entries) == store.entries


def _snapshot_index(store: StoreContents) -> int:
    return store.snapshot.index if store.snapshot else 0


def _last_index(store: StoreContents) -> int:
    return store.entries[-1].index if store.entries else _snapshot_index(store)
