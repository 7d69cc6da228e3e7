"""Term and vote: one record, two slots."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from khepri.encoding import pack
from khepri.errors import DataCorruptionError, DiskFailedError, UnknownFormatError
from khepri.log.framing import FrameKind, encode_frame
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.meta import MetaFile, create_meta, read_meta
from khepri.raft.types import NO_HARD_STATE, ServerId
from tests.log.log_helpers import ALICE, fail, hard_state

if TYPE_CHECKING:
    from khepri.log.file_system import FileSystem
    from khepri.log.memory_file_system import Operation

SLOT = 4096


def made(file_system: FileSystem, folder: str) -> tuple[str, MetaFile]:
    path = f"{folder}/meta"
    create_meta(file_system, path, uid="UID", store_id="orders")
    return path, MetaFile(file_system, path, "UID")


def test_a_new_store_has_no_term_and_no_vote(file_system: FileSystem, folder: str) -> None:
    path, meta = made(file_system, folder)
    assert meta.hard_state == NO_HARD_STATE
    record = read_meta(file_system, path, "UID")
    assert (record.uid, record.store_id) == ("UID", "orders")
    meta.close()


def test_term_and_vote_come_back(file_system: FileSystem, folder: str) -> None:
    path, meta = made(file_system, folder)
    for term in range(1, 6):
        for vote in (None, ALICE, ServerId("örders", "bob@host")):
            meta.write(hard_state(term, vote))
            assert meta.hard_state == hard_state(term, vote)
            assert read_meta(file_system, path, "UID").hard_state == hard_state(term, vote)
    meta.close()
    again = MetaFile(file_system, path, "UID")
    again.write(hard_state(9))
    again.close()
    assert read_meta(file_system, path, "UID").hard_state == hard_state(9)


def test_a_write_costs_one_sync_and_nothing_when_nothing_changes(
    memory: MemoryFileSystem,
) -> None:
    memory.make_directory("/data")
    _, meta = made(memory, "/data")
    seen: list[Operation] = []
    memory.hook = seen.append
    meta.write(hard_state(1, ALICE))
    assert [operation.name for operation in seen] == ["pwrite", "fdatasync", "pwrite"]
    meta.write(hard_state(1, ALICE))
    assert len(seen) == 3


def test_w35_an_acknowledged_record_survives_a_power_loss() -> None:
    """And one that was not is the old one or the new one, never a mixture."""
    for seed in range(100):
        memory = MemoryFileSystem()
        memory.make_directory("/data")
        path, meta = made(memory, "/data")
        memory.fsync_directory("/")
        meta.write(hard_state(1, ALICE))
        meta.write(hard_state(2))
        memory.hook = fail(5, "fdatasync")
        with pytest.raises(DiskFailedError):
            meta.write(hard_state(3, ALICE))
        assert meta.hard_state == hard_state(2)
        memory.power_loss(random.Random(seed))
        found = MetaFile(memory, path, "UID").hard_state
        assert found in (hard_state(2), hard_state(3, ALICE))
        memory.power_loss(random.Random(seed))
        assert read_meta(memory, path, "UID").hard_state == found


def test_after_a_failed_sync_a_write_can_be_repeated() -> None:
    for seed in range(50):
        memory = MemoryFileSystem()
        memory.make_directory("/data")
        path, meta = made(memory, "/data")
        memory.fsync_directory("/")
        memory.hook = fail(5, "fdatasync", times=2)
        for _ in range(2):
            with pytest.raises(DiskFailedError):
                meta.write(hard_state(1, ALICE))
        meta.write(hard_state(1, ALICE))
        memory.power_loss(random.Random(seed))
        assert read_meta(memory, path, "UID").hard_state == hard_state(1, ALICE)


def test_what_is_read_after_the_process_died_is_made_durable() -> None:
    """A vote that was read and answered upon must not be gone after the next power cut."""
    for seed in range(50):
        memory = MemoryFileSystem()
        memory.make_directory("/data")
        path, meta = made(memory, "/data")
        memory.fsync_directory("/")
        memory.hook = fail(5, "fdatasync")
        with pytest.raises(DiskFailedError):
            meta.write(hard_state(1, ALICE))
        memory.process_death()
        found = MetaFile(memory, path, "UID").hard_state
        assert found == hard_state(1, ALICE)
        memory.power_loss(random.Random(seed))
        assert read_meta(memory, path, "UID").hard_state == found


def test_one_rotten_slot_is_made_good_by_the_other(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path, meta = made(memory, "/data")
    for slot in (0, SLOT):
        for term in (1, 2):
            meta.write(hard_state(term + slot))
            copy = memory.copy()
            copy.flip(path, slot + 40)
            assert read_meta(copy, path, "UID").hard_state == hard_state(term + slot)


def test_two_rotten_slots_are_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path, _ = made(memory, "/data")
    memory.flip(path, 40)
    memory.flip(path, SLOT + 40)
    with pytest.raises(DataCorruptionError) as caught:
        MetaFile(memory, path, "UID")
    assert caught.value.path == path


def test_a_cut_file_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path, _ = made(memory, "/data")
    memory.cut(path, SLOT)
    with pytest.raises(DataCorruptionError) as caught:
        read_meta(memory, path, "UID")
    assert caught.value.offset == SLOT


def test_the_file_of_another_store_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path, _ = made(memory, "/data")
    with pytest.raises(DataCorruptionError, match="belongs to store UID"):
        read_meta(memory, path, "ANOTHER")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([2, "something", "new"], UnknownFormatError),
        ([1, "UID"], DataCorruptionError),
        ([1, "UID", "orders", 1, "vote"], DataCorruptionError),
        ([], DataCorruptionError),
        (5, DataCorruptionError),
    ],
)
def test_what_makes_no_sense_is_refused(
    memory: MemoryFileSystem, payload: object, expected: type[Exception]
) -> None:
    memory.make_directory("/data")
    path, _ = made(memory, "/data")
    slot = encode_frame(FrameKind.SLOT, 5, bytes(8), pack(payload)).ljust(SLOT, b"\0")
    memory.open(path, writable=True).pwrite(slot, SLOT)
    before = memory.contents()
    with pytest.raises(expected):
        MetaFile(memory, path, "UID")
    assert memory.contents() == before
