"""A log file whose entries are in a segment already says nothing more (W25, with an overwrite)."""

from __future__ import annotations

from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from khepri.log.rereading import read_store
from tests.log.log_helpers import LogHarness, append, entries, entry, reopened

PATH = "/data"


def overwritten_far_below() -> tuple[MemoryFileSystem, LogHarness, str]:
    """Give a closed log file that begins at index 5 and ends at index 3."""
    memory = MemoryFileSystem()
    harness = LogHarness(memory, PATH)
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 4)))
    harness = reopened(harness)
    harness.flush()
    harness.write(append(uid, entries(5, 6)))
    harness.write(append(uid, [entry(3, term=2)]))
    return memory, reopened(harness), uid


def test_a_start_after_a_death_between_segment_and_removal_of_the_log_file() -> None:
    memory, harness, _uid = overwritten_far_below()
    assert harness.log() == {1: 1, 2: 1, 3: 2}

    def die(operation: object) -> None:
        if operation.name in {"unlink", "rename"} and "/wal/" in operation.path:  # type: ignore[attr-defined]
            raise SimulatedCrash(operation)

    memory.hook = die
    try:
        harness.flush()
    except SimulatedCrash:
        memory.process_death()
    again = LogHarness(memory, PATH)
    assert again.system.damaged == {}
    assert again.log() == {1: 1, 2: 1, 3: 2}


def test_reading_again_while_the_log_file_waits_to_be_dropped() -> None:
    _memory, harness, _uid = overwritten_far_below()
    drop = harness.directory.log_folder.drop
    harness.directory.log_folder.drop = lambda _: None  # type: ignore[assignment, method-assign]
    harness.flush()
    harness.directory.log_folder.drop = drop  # type: ignore[method-assign]
    store = read_store(harness.directory, "orders")
    assert {one.index: one.term for one in store.entries} == {1: 1, 2: 1, 3: 2}
