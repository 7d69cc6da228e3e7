"""A workload over the whole disk room, and the rule by which a crash in it is judged.

The workload does everything there is to do: stores come and go, entries are written, overwritten
and truncated, log files fill up and are flushed, snapshots are taken and installed, the directory
is closed and opened again. Beside it runs a model of what was acknowledged.

The rule: what is found after a crash is what was acknowledged, or that plus the one step that was
under way. And what was found once is found again after the next power loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import StorageError
from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from khepri.log.snapshots import Snapshots
from khepri.raft.types import NO_HARD_STATE, Index
from tests.log.log_helpers import (
    LogHarness,
    StoreContents,
    append,
    chunks_of,
    entries,
    entry,
    hard_state,
    seeded_bytes,
    snapshot_meta,
    truncation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.log.file_system import FileSystem
    from khepri.log.interface import Append
    from khepri.log.memory_file_node import Randomness
    from khepri.log.memory_file_system import Operation
    from khepri.raft.types import Entry, SnapshotMeta

    Contents = dict[str, StoreContents]

PATH = "/data"
LARGEST_FILE_BYTES = 12288
NOTHING = StoreContents(NO_HARD_STATE, None, (), ())


class Workload:
    """The steps, each with what it is to leave behind."""

    def __init__(self, file_system: FileSystem, *, attempts: int = 1) -> None:
        """Begin with an empty directory.

        Args:
            file_system: on which.
            attempts: how often a step is tried that raises a `StorageError`.
        """
        self.file_system = file_system
        self.attempts = attempts
        self.acknowledged: Contents = {}
        self.under_way: Contents | None = None
        self.plant: Callable[[LogHarness], None] | None = None
        """Called with each harness that was opened: where a bug can be planted."""
        self._harness: LogHarness | None = None
        self._uids: dict[str, str] = {}

    def run(self) -> None:
        """Do everything once."""
        self.open()
        self.register("a")
        self.register("b")
        self.vote("a", 1)
        self.vote("b", 1)
        self.append({"a": entries(1, 3), "b": entries(1, 2)})
        self.append({"a": entries(4, 6, size_bytes=700)})
        self.append({"b": entries(3, 9, size_bytes=300)})
        self.vote("a", 2)
        self.append({"a": entries(5, 5, term=2, size_bytes=1500), "b": entries(10, 10)})
        self.flush()
        self.append({"a": entries(6, 8, term=2, size_bytes=900)})
        self.snapshot("a", snapshot_meta(5, term=2))
        self.flush()
        self.truncate("b", 7)
        self.append({"a": entries(9, 11, term=2, size_bytes=1000)})
        self.reopen()
        self.register("c")
        self.vote("c", 3)
        self.append({"c": entries(1, 4, term=3), "b": entries(7, 8)})
        self.flush()
        self.snapshot("a", snapshot_meta(10, term=2))
        self.vote("b", 4)
        self.install("b", snapshot_meta(7, term=4))
        self.append({"b": entries(8, 12, term=4, size_bytes=600)})
        self.unregister("c")
        self.install("b", snapshot_meta(30, term=4))
        self.append({"b": entries(31, 33, term=4, size_bytes=900)})
        self.flush()
        self.register("c")
        self.vote("c", 1)
        self.append({"a": entries(12, 12, term=2, size_bytes=2500), "c": entries(1, 2)})
        self.reopen()
        self.append({"a": entries(12, 14, term=2), "c": entries(3, 10)})
        self.reopen()
        self.flush()
        self.vote("c", 2)
        self.append({"c": entries(5, 6, term=2)})
        self.reopen()
        self.flush()
        self.snapshot("c", snapshot_meta(6, term=2))

    # The steps.

    def open(self) -> None:
        def do() -> None:
            harness = LogHarness(self.file_system, PATH, max_log_file_bytes=LARGEST_FILE_BYTES)
            if harness.system.damaged:  # a read that failed
                harness.directory.close()
                raise next(iter(harness.system.damaged.values()))
            self._harness = harness
            if self.plant is not None:
                self.plant(harness)

        self._step(self.acknowledged, do)

    def reopen(self) -> None:
        self.harness.close()
        self.open()

    def register(self, store_id: str) -> None:
        def do() -> None:
            self._uids[store_id] = self.harness.directory.register(store_id)

        self._step({**self.acknowledged, store_id: NOTHING}, do)

    def unregister(self, store_id: str) -> None:
        after = {name: store for name, store in self.acknowledged.items() if name != store_id}
        self._step(after, lambda: self.harness.directory.unregister(store_id))

    def vote(self, store_id: str, term: int) -> None:
        after = self.acknowledged[store_id]._replace(hard_state=hard_state(term))
        self._step(
            {**self.acknowledged, store_id: after},
            lambda: self.harness.vote(self._uids[store_id], term),
        )

    def append(self, written: dict[str, list[Entry]]) -> None:
        after = dict(self.acknowledged)
        for store_id, some in written.items():
            after[store_id] = _overwritten(after[store_id], some[0].index, some)
        appends = [append(self._uids[store_id], some) for store_id, some in written.items()]
        self._step(after, lambda: self._write(*appends))

    def truncate(self, store_id: str, first_index: int) -> None:
        after = _overwritten(self.acknowledged[store_id], first_index, [])
        self._step(
            {**self.acknowledged, store_id: after},
            lambda: self._write(truncation(self._uids[store_id], first_index)),
        )

    def flush(self) -> None:
        self._step(self.acknowledged, self.harness.flush)

    def snapshot(self, store_id: str, meta: SnapshotMeta) -> None:
        uid = self._uids[store_id]
        self._step(
            {**self.acknowledged, store_id: _covered(self.acknowledged[store_id], meta)},
            lambda: self.harness.take_snapshot(uid, meta),
        )

    def install(self, store_id: str, meta: SnapshotMeta) -> None:
        """Receive a snapshot that replaces a conflicting log, or one that ends before it."""
        uid = self._uids[store_id]
        self.truncate(store_id, meta.index)

        def do() -> None:
            snapshots = self.harness.snapshots(uid)
            acceptor = snapshots.accept(meta)
            whole = _bytes_of_snapshot(meta)
            for offset in range(0, len(whole), 100):
                acceptor.append(offset, whole[offset : offset + 100])
            acceptor.commit()
            self.harness.system.write_ahead_log.set_last_index(uid, Index(meta.index))
            self.harness.system.segment_writer.release(uid, Index(meta.index))

        self._step(
            {**self.acknowledged, store_id: _covered(self.acknowledged[store_id], meta)}, do
        )

    def taken_over(self, harness: LogHarness, found: Contents) -> None:
        """Go on with what a recovery has found, which was judged."""
        self._harness = harness
        self._uids = dict(harness.directory.stores)
        self.acknowledged, self.under_way = found, None

    @property
    def harness(self) -> LogHarness:
        assert self._harness is not None
        return self._harness

    def _write(self, *appends: Append) -> None:
        gaps = self.harness.write(*appends)
        assert not gaps, gaps

    def _step(self, after: Contents, action: Callable[[], None]) -> None:
        self.under_way = after
        for left in reversed(range(self.attempts)):
            try:
                action()
                break
            except StorageError:
                if not left:
                    raise
        self.acknowledged, self.under_way = after, None


def crash_at(number: int) -> Callable[[Operation], None]:
    """Give a hook that ends the process at that operation; reads do not count."""

    def hook(operation: Operation) -> None:
        if operation.number >= number and operation.name != "pread":
            raise SimulatedCrash(operation)

    return hook


def count_operations() -> int:
    """Give the number of operations of the whole workload."""
    memory = MemoryFileSystem()
    Workload(memory).run()
    return memory.operations


def check_after_crash(workload: Workload, memory: MemoryFileSystem, random: Randomness) -> None:
    """Judge what a crash left.

    Raises:
        AssertionError: something acknowledged is gone, or something else is there.
        StorageError: the directory is refused.
    """
    found = _find(memory)
    legal = [workload.acknowledged]
    if workload.under_way is not None:
        legal.append(workload.under_way)
    assert found in legal, difference(found, legal)
    memory.power_loss(random)
    again = _find(memory)
    assert again == found, f"found once and not again: {difference(again, [found])}"
    after = _write_one_more(memory, found)
    memory.power_loss(random)
    assert _find(memory) == after, "the next write was lost"


def _find(memory: MemoryFileSystem) -> Contents:
    harness = LogHarness(memory, PATH)
    assert not harness.system.damaged, harness.system.damaged
    contents = harness.contents()
    for store_id, uid in harness.directory.stores.items():
        # What the server does before it acts: it makes sure of term and vote.
        harness.vote(uid, contents[store_id].hard_state.term)
    return contents


def _write_one_more(memory: MemoryFileSystem, found: Contents) -> Contents:
    memory.process_death()
    harness = LogHarness(memory, PATH)
    appends: list[Append] = []
    after: Contents = {}
    for store_id, store in found.items():
        snapshot_index = store.snapshot.index if store.snapshot else 0
        last = store.entries[-1].index if store.entries else snapshot_index
        one = entry(last + 1, term=9)
        uid = harness.directory.stores[store_id]
        harness.vote(uid, 9)
        appends.append(append(uid, [one]))
        after[store_id] = store._replace(hard_state=hard_state(9), entries=(*store.entries, one))
    if appends:
        assert harness.write(*appends) == []
    harness.flush()
    return after


def _overwritten(store: StoreContents, first_index: int, some: list[Entry]) -> StoreContents:
    kept = [one for one in store.entries if one.index < first_index]
    return store._replace(entries=(*kept, *some))


def _covered(store: StoreContents, meta: SnapshotMeta) -> StoreContents:
    kept = tuple(one for one in store.entries if one.index > meta.index)
    return store._replace(snapshot=meta, chunks=tuple(chunks_of(meta)), entries=kept)


def _bytes_of_snapshot(meta: SnapshotMeta) -> bytes:
    """Give the file a peer would send."""
    peer = MemoryFileSystem()
    peer.make_directory("/peer")
    Snapshots(peer, "/peer", seeded_bytes(7)).write(meta, chunks_of(meta))
    (content,) = peer.contents().values()
    return content


def difference(found: Contents, legal: list[Contents]) -> str:
    """Show what was found beside what it should be."""
    lines = [f"found  {_summary(found)}"]
    lines += [f"legal  {_summary(contents)}" for contents in legal]
    return "\n".join(lines)


def _summary(contents: Contents) -> dict[str, object]:
    return {
        name: (
            store.hard_state.term,
            store.snapshot and store.snapshot.index,
            [(one.index, one.term) for one in store.entries],
        )
        for name, store in contents.items()
    }
