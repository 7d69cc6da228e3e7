"""The hint how far the log is committed: it helps where it can be read and harms nowhere."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from khepri.log.commit_note import CommitNote, Committed
from khepri.raft.types import Index, Term
from tests.log.log_helpers import CHANGES, LogHarness, fail, reopened

if TYPE_CHECKING:
    from khepri.log.file_system import FileSystem
    from khepri.log.memory_file_system import MemoryFileSystem, Operation


def note(note_file: CommitNote, index: int, term: int = 1) -> None:
    note_file.write(Index(index), Term(term))


def test_what_was_noted_last_is_found(file_system: FileSystem, folder: str) -> None:
    first = CommitNote(file_system, f"{folder}/committed")
    assert first.found is None
    note(first, 5, 1)
    note(first, 9_000_000, 3)
    note(first, 7, 4)
    first.close()
    second = CommitNote(file_system, f"{folder}/committed")
    assert second.found == Committed(Index(7), Term(4))
    second.close()


def test_it_lies_with_the_store_and_goes_with_it(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    written = harness.directory.commit_note(uid)
    note(written, 5)
    written.close()
    harness = reopened(harness)
    again = harness.directory.commit_note(uid)
    assert again.found == Committed(Index(5), Term(1))
    again.close()
    harness.directory.unregister("orders")
    assert file_system.listdir(f"{folder}/stores") == []
    harness.close()


def test_the_same_is_not_written_twice_and_nothing_is_synced(memory: MemoryFileSystem) -> None:
    written = CommitNote(memory, "/committed")
    seen: list[Operation] = []
    memory.hook = seen.append
    for _ in range(3):
        note(written, 5)
    assert [operation.name for operation in seen] == ["pwrite"]


def test_one_that_is_damaged_does_not_count(memory: MemoryFileSystem) -> None:
    note(CommitNote(memory, "/committed"), 5)
    size = len(memory.contents()["/committed"])
    for offset in range(size):
        flipped, cut = memory.copy(), memory.copy()
        flipped.flip("/committed", offset)
        cut.cut("/committed", offset)
        assert CommitNote(flipped, "/committed").found is None
        assert CommitNote(cut, "/committed").found is None


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_is_done_without(memory: MemoryFileSystem, number: int) -> None:
    memory.hook = fail(number, "pread", *CHANGES, times=1000)
    written = CommitNote(memory, "/committed")
    note(written, 5)
    written.close()
    memory.hook = None
    assert CommitNote(memory, "/committed").found is None
