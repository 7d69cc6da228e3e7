"""Snapshots: taken, received, read, sent."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    DataCorruptionError,
    DiskFailedError,
    DiskFullError,
    StorageError,
    UnknownFormatError,
)
from khepri.log.block_file import PORTION_BYTES, BlockFileWriter
from khepri.log.file_header import FileFormat
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.posix_file_system import PosixFileSystem
from khepri.log.snapshots import Snapshots, check_newest_snapshot
from tests.log.log_helpers import chunks_of, fail, seeded_bytes, snapshot_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from khepri.log.file_system import FileSystem
    from khepri.log.snapshots import SnapshotAcceptor
    from khepri.raft.types import SnapshotMeta


def snapshots_in(file_system: FileSystem, folder: str, seed: int = 0) -> Snapshots:
    return Snapshots(file_system, folder, seeded_bytes(seed))


def taken(file_system: FileSystem, folder: str, index: int = 5) -> tuple[Snapshots, SnapshotMeta]:
    snapshots, meta = snapshots_in(file_system, folder), snapshot_meta(index)
    assert snapshots.write(meta, chunks_of(meta))
    return snapshots, meta


def read_all(snapshots: Snapshots) -> list[bytes]:
    reader = snapshots.open_reader()
    try:
        return list(reader.chunks())
    finally:
        reader.close()


def send(sender: Snapshots, acceptor: SnapshotAcceptor, piece_bytes: int = 50) -> None:
    reader = sender.open_reader()
    done = False
    while not done:
        data, done = reader.read(acceptor.next_offset, piece_bytes)
        acceptor.append(acceptor.next_offset, data)
    reader.close()


@pytest.fixture
def peer(file_system: FileSystem, folder: str) -> Snapshots:
    """A snapshot of index 7 in another folder."""
    file_system.make_directory(f"{folder}/peer")
    return taken(file_system, f"{folder}/peer", 7)[0]


def test_there_is_none_at_first(file_system: FileSystem, folder: str) -> None:
    assert snapshots_in(file_system, folder).current is None
    assert check_newest_snapshot(file_system, folder) is None


def test_s01_what_was_taken_is_read_back(file_system: FileSystem, folder: str) -> None:
    snapshots, meta = taken(file_system, folder)
    assert snapshots.current == meta
    assert read_all(snapshots) == chunks_of(meta)
    assert check_newest_snapshot(file_system, folder) == meta
    assert snapshots_in(file_system, folder).current == meta


def test_chunks_may_be_empty_large_or_none(file_system: FileSystem, folder: str) -> None:
    snapshots = snapshots_in(file_system, folder)
    for index, chunks in enumerate([[], [b""], [b"", b"x" * 3_000_000, b"y"]], 1):
        assert snapshots.write(snapshot_meta(index), iter(chunks))
        assert read_all(snapshots) == chunks
        assert check_newest_snapshot(file_system, folder) == snapshot_meta(index)


def test_a_header_larger_than_a_page_is_read(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    writer = BlockFileWriter(memory, "/data/x", FileFormat("snapshot", 1), ["y" * 9000], bytes(8))
    writer.append(b"1")
    writer.finish()
    memory.rename("/data/x", f"/data/{1:020d}.snapshot")
    with pytest.raises(DataCorruptionError, match="snapshot meta"):
        check_newest_snapshot(memory, "/data")


def test_only_the_newest_is_kept(file_system: FileSystem, folder: str) -> None:
    snapshots, _ = taken(file_system, folder, 5)
    assert snapshots.write(snapshot_meta(9), chunks_of(snapshot_meta(9)))
    assert file_system.listdir(folder) == [f"{9:020d}.snapshot"]
    assert snapshots.current == snapshot_meta(9)


def test_s14_one_that_is_late_is_dropped(file_system: FileSystem, folder: str) -> None:
    snapshots, meta = taken(file_system, folder, 100)
    assert not snapshots.write(snapshot_meta(90), [])
    assert not snapshots.write(snapshot_meta(100), [])
    acceptor = snapshots.accept(snapshot_meta(90))
    assert not acceptor.commit()
    assert (snapshots.current, read_all(snapshots)) == (meta, chunks_of(meta))
    assert file_system.listdir(folder) == [f"{100:020d}.snapshot"]


def test_s17_a_snapshot_that_is_being_sent_outlives_its_replacement(
    file_system: FileSystem, folder: str
) -> None:
    snapshots, meta = taken(file_system, folder, 5)
    reader = snapshots.open_reader()
    snapshots.write(snapshot_meta(9), [])
    assert list(reader.chunks()) == chunks_of(meta)
    reader.close()


def test_s04_a_peer_gets_it_piece_by_piece(
    file_system: FileSystem, folder: str, peer: Snapshots
) -> None:
    for piece_bytes in (1, 17, 1 << 20):
        file_system.make_directory(f"{folder}/mine{piece_bytes}")
        mine = snapshots_in(file_system, f"{folder}/mine{piece_bytes}")
        acceptor = mine.accept(snapshot_meta(7))
        send(peer, acceptor, piece_bytes)
        assert mine.current is None
        assert acceptor.commit()
        assert mine.current == snapshot_meta(7)
        assert read_all(mine) == chunks_of(snapshot_meta(7))
        assert len(file_system.listdir(f"{folder}/mine{piece_bytes}")) == 1


def test_a_piece_tells_whether_it_is_the_last(file_system: FileSystem, folder: str) -> None:
    snapshots, _ = taken(file_system, folder)
    reader = snapshots.open_reader()
    size = reader.size_bytes
    assert reader.read(0, size)[1]
    assert not reader.read(0, size - 1)[1]
    assert reader.read(size - 1, 100) == (reader.read(0, size)[0][-1:], True)
    reader.close()


@pytest.mark.parametrize("damage", ["flip", "cut", "more", "another"])
def test_s05_what_came_damaged_is_refused_and_removed(
    memory: MemoryFileSystem, damage: str
) -> None:
    for folder in ("/peer", "/mine"):
        memory.make_directory(folder)
    sender, _ = taken(memory, "/peer", 7)
    mine, old = taken(memory, "/mine", 3)
    acceptor = mine.accept(snapshot_meta(8) if damage == "another" else snapshot_meta(7))
    whole = memory.contents()[f"/peer/{7:020d}.snapshot"]
    arrived = {
        "flip": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "cut": whole[:-1],
        "more": whole + b"\0",
        "another": whole,
    }[damage]
    acceptor.append(0, arrived)
    with pytest.raises(DataCorruptionError):
        acceptor.commit()
    assert (mine.current, read_all(mine)) == (old, chunks_of(old))
    assert memory.listdir("/mine") == [f"{3:020d}.snapshot"]
    again = mine.accept(snapshot_meta(7))
    send(sender, again)
    assert again.commit()


def test_a_piece_out_of_order_is_a_bug_of_the_caller(memory: MemoryFileSystem) -> None:
    memory.make_directory("/mine")
    acceptor = snapshots_in(memory, "/mine").accept(snapshot_meta(7))
    acceptor.append(0, b"abc")
    for offset in (0, 2, 4):
        with pytest.raises(AssertionError):
            acceptor.append(offset, b"x")


def test_s06_s08_an_unfinished_one_is_replaced_by_the_next_attempt(
    file_system: FileSystem, folder: str, peer: Snapshots
) -> None:
    file_system.make_directory(f"{folder}/mine")
    mine = snapshots_in(file_system, f"{folder}/mine")
    first = mine.accept(snapshot_meta(6))
    first.append(0, b"x" * 10_000)
    second = mine.accept(snapshot_meta(7))
    first.abort()  # too late: what is there now is not its own
    send(peer, second)
    with pytest.raises(AssertionError):
        first.append(10_000, b"y")
    assert second.commit()
    assert read_all(mine) == chunks_of(snapshot_meta(7))


def test_an_aborted_one_leaves_nothing(file_system: FileSystem, folder: str) -> None:
    snapshots = snapshots_in(file_system, folder)
    acceptor = snapshots.accept(snapshot_meta(7))
    acceptor.append(0, b"x")
    acceptor.abort()
    acceptor.abort()
    assert file_system.listdir(folder) == []


def test_an_error_of_the_machine_leaves_nothing_and_the_old_one(
    file_system: FileSystem, folder: str
) -> None:
    snapshots, old = taken(file_system, folder)

    def broken_chunks() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the machine is broken")

    with pytest.raises(RuntimeError):
        snapshots.write(snapshot_meta(9), broken_chunks())
    assert file_system.listdir(folder) == [f"{5:020d}.snapshot"]
    assert (snapshots.current, read_all(snapshots)) == (old, chunks_of(old))


@pytest.mark.parametrize("how", ["write", "accept"])
def test_s25_a_full_disk_leaves_nothing_and_the_old_one(how: str) -> None:
    memory = MemoryFileSystem()
    memory.make_directory("/data")
    snapshots, old = taken(memory, "/data")
    memory.capacity_bytes = memory.file_bytes() + 100
    new = snapshot_meta(9)

    def accept() -> None:
        acceptor = snapshots.accept(new)
        try:
            acceptor.append(0, b"x" * 1000)
        finally:
            acceptor.abort()

    for _ in range(3):
        with pytest.raises(DiskFullError):
            accept() if how == "accept" else snapshots.write(new, [b"x" * 1000])
        assert memory.listdir("/data") == [f"{5:020d}.snapshot"]
    assert (snapshots.current, read_all(snapshots)) == (old, chunks_of(old))
    memory.capacity_bytes = None
    assert snapshots.write(new, [b"x" * 1000])


@pytest.mark.parametrize("name", ["create", "pwrite", "fdatasync", "rename", "fsync_directory"])
def test_s02_an_error_at_any_step_leaves_the_old_one(memory: MemoryFileSystem, name: str) -> None:
    memory.make_directory("/data")
    snapshots, old = taken(memory, "/data")
    memory.hook = fail(errno.EIO, name)
    new = snapshot_meta(9)
    with pytest.raises(DiskFailedError):
        snapshots.write(new, chunks_of(new))
    assert snapshots.current == old
    assert read_all(snapshots) == chunks_of(old)
    assert snapshots.write(new, chunks_of(new))
    assert read_all(snapshots) == chunks_of(new)


def test_old_ones_that_cannot_be_removed_do_no_harm(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    snapshots, _ = taken(memory, "/data")
    memory.hook = fail(errno.EIO, "unlink")
    assert snapshots.write(snapshot_meta(9), [])
    assert check_newest_snapshot(memory, "/data") == snapshot_meta(9)


def test_one_that_was_not_published_to_the_end_does_not_outlive_the_next(
    memory: MemoryFileSystem,
) -> None:
    memory.make_directory("/data")
    snapshots, _ = taken(memory, "/data", 5)
    memory.hook = fail(errno.EIO, "fsync_directory")
    with pytest.raises(DiskFailedError):
        snapshots.write(snapshot_meta(9), [])
    memory.hook = None
    new = snapshot_meta(7)
    assert snapshots.write(new, chunks_of(new))
    assert read_all(snapshots) == chunks_of(new)
    assert check_newest_snapshot(memory, "/data") == new


def test_s03_a_damaged_snapshot_is_refused_never_passed_over(memory: MemoryFileSystem) -> None:
    """An older one may still lie beside it; the log between the two is gone."""
    memory.make_directory("/data")
    taken(memory, "/data", 9)
    old = memory.contents()[f"/data/{9:020d}.snapshot"]
    memory.create(f"/data/{4:020d}.snapshot").pwrite(old, 0)
    path = f"/data/{9:020d}.snapshot"
    for offset in range(len(old)):
        copy = memory.copy()
        copy.flip(path, offset, 0x10)
        with pytest.raises(DataCorruptionError) as caught:
            check_newest_snapshot(copy, "/data")
        assert caught.value.path == path
    memory.cut(path, 0)
    with pytest.raises(DataCorruptionError):
        check_newest_snapshot(memory, "/data")


def test_an_unknown_version_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path = f"/data/{9:020d}.snapshot"
    BlockFileWriter(
        memory, path, FileFormat("snapshot", 2), snapshot_meta(9).to_plain(), bytes(8)
    ).finish()
    with pytest.raises(UnknownFormatError) as caught:
        check_newest_snapshot(memory, "/data")
    assert (caught.value.path, caught.value.version) == (path, 2)


def test_a_file_of_another_kind_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    path = f"/data/{9:020d}.snapshot"
    BlockFileWriter(memory, path, FileFormat("segment", 1), [], bytes(8)).finish()
    with pytest.raises(DataCorruptionError, match="segment file"):
        Snapshots(memory, "/data", seeded_bytes())


def test_a_snapshot_under_another_name_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    taken(memory, "/data", 9)
    memory.rename(f"/data/{9:020d}.snapshot", f"/data/{8:020d}.snapshot")
    with pytest.raises(DataCorruptionError, match="index 9"):
        check_newest_snapshot(memory, "/data")


@pytest.mark.parametrize("seed", range(20))
def test_what_was_taken_or_received_survives_a_power_loss(seed: int) -> None:
    memory = MemoryFileSystem()
    for folder in ("/peer", "/mine"):
        memory.make_directory(folder)
    memory.fsync_directory("/")
    sender, _ = taken(memory, "/peer", 7)
    mine, _ = taken(memory, "/mine", 3)
    acceptor = mine.accept(snapshot_meta(7))
    send(sender, acceptor)
    acceptor.commit()
    memory.power_loss(random.Random(seed))
    for folder in ("/peer", "/mine"):
        assert check_newest_snapshot(memory, folder) == snapshot_meta(7)


def most_writes_without_a_sync(memory: MemoryFileSystem, does: Callable[[], object]) -> int:
    names: list[str] = []
    memory.hook = lambda operation: names.append(operation.name)
    does()
    memory.hook = None
    in_a_row = most = 0
    for name in names:
        in_a_row = in_a_row + 1 if name == "pwrite" else in_a_row * (name != "fdatasync")
        most = max(most, in_a_row)
    return most


def test_a_large_one_is_synced_in_portions_as_it_is_written(memory: MemoryFileSystem) -> None:
    """Else whoever syncs the log waits behind all of it."""
    for folder in ("/peer", "/mine"):
        memory.make_directory(folder)
    meta, chunk_bytes = snapshot_meta(7), PORTION_BYTES // 8
    sender, mine = snapshots_in(memory, "/peer"), snapshots_in(memory, "/mine")
    chunks = [bytes(chunk_bytes)] * 40
    assert most_writes_without_a_sync(memory, lambda: sender.write(meta, chunks)) in (8, 9)
    acceptor = mine.accept(meta)
    received = most_writes_without_a_sync(memory, lambda: send(sender, acceptor, chunk_bytes))
    assert received in (8, 9)
    assert acceptor.commit()
    assert read_all(mine) == chunks


def test_w33_readers_and_writers_close_their_files(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    for index in range(1, 100):
        taken(memory, "/data", index)
        check_newest_snapshot(memory, "/data")
    assert memory.open_files == 0


def test_who_comes_back_late_publishes_nothing_of_its_successor(tmp_path: Path) -> None:
    """A worker that waits for the log too long is left behind, and its successor begins anew."""
    files, source, folder = PosixFileSystem(), str(tmp_path / "sent"), str(tmp_path / "received")
    files.make_directory(source)
    files.make_directory(folder)
    sender = snapshots_in(files, source)
    pieces: list[bytes] = []
    for index in (9, 12):
        assert sender.write(snapshot_meta(index), chunks_of(snapshot_meta(index)))
        pieces.append(sender.open_reader().read(0, 1 << 20)[0])
    late = snapshots_in(files, folder, 1).accept(snapshot_meta(9))
    late.append(0, pieces[0])
    successor = snapshots_in(files, folder, 2).accept(snapshot_meta(12))
    successor.append(0, pieces[1][:40])
    with suppress(StorageError):
        late.commit()
    check_newest_snapshot(files, folder)  # as a restart does
    successor.append(40, pieces[1][40:])
    successor.commit()
    assert snapshots_in(files, folder).current == snapshot_meta(12)


@pytest.mark.parametrize("ends", [False, True])
def test_who_was_left_behind_while_it_took_a_snapshot_harms_nobody(
    tmp_path: Path, ends: bool
) -> None:
    files, folder, meta = PosixFileSystem(), str(tmp_path), snapshot_meta(5)
    chunks = [*chunks_of(meta)] * 4
    late = snapshots_in(files, folder, 1).write_in_steps(meta, iter(chunks))
    successor = snapshots_in(files, folder, 2).write_in_steps(meta, iter(chunks))
    next(late)
    for _ in range(3):
        next(successor)
    next(late)  # a write that had hung comes through
    if ends:
        late.close()
    for _ in successor:
        pass
    late.close()
    assert check_newest_snapshot(files, folder) == meta
