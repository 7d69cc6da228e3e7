"""Every byte of a directory flipped, and every file cut at every byte.

The rule: either everything acknowledged is recovered, or the start is refused with an error that
names the file and the offset, and nothing is modified. Never a silent loss, never another
exception. It holds for a directory that was closed and for one whose process was killed; their
bytes are the same, which the first test shows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    DataCorruptionError,
    StorageError,
    UnknownFormatError,
    WrongDirectoryError,
)
from khepri.log import log_file, meta, write_ahead_log
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.posix_file_system import PosixFileSystem
from tests.log.log_helpers import (
    ALICE,
    LogHarness,
    StoreContents,
    append,
    chunks_of,
    entries,
    hard_state,
    overwrite,
    snapshot_meta,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from khepri.log.file_system import FileSystem

PATH = "/data"
REFUSALS = (DataCorruptionError, UnknownFormatError, WrongDirectoryError)
FILE_BYTES = 1024
EXPECTED = {
    "orders": StoreContents(
        hard_state(3, ALICE),
        snapshot_meta(2),
        tuple(chunks_of(snapshot_meta(2))),
        tuple(entries(3, 9, size_bytes=150)),
    )
}


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of the zeros that files are padded with: there are enough of them to flip."""
    for module in (log_file, write_ahead_log):
        monkeypatch.setattr(module, "DATA_OFFSET", 256)
    monkeypatch.setattr(write_ahead_log, "_ALIGNMENT", 256)
    monkeypatch.setattr(meta, "_SLOT_BYTES", 256)


def fill(file_system: FileSystem, path: str) -> LogHarness:
    """Make a directory with a file of every kind, and a log file that was another one before."""
    harness = LogHarness(file_system, path, max_log_file_bytes=FILE_BYTES)
    uid = harness.register()
    harness.vote(uid, 3, ALICE)
    for first in (1, 4, 7):
        for index in range(first, first + 3):
            harness.write(append(uid, entries(index, index, size_bytes=150)))
        if first == 4:
            harness.flush()
    harness.take_snapshot(uid, snapshot_meta(2))
    return harness


def filled() -> MemoryFileSystem:
    memory = MemoryFileSystem()
    fill(memory, PATH)
    memory.process_death()
    return memory


def judge(memory: MemoryFileSystem) -> str:
    """Open a damaged directory; say what came of it, or raise if it was against the rule."""
    before = memory.contents()
    try:
        harness = LogHarness(memory, PATH)
    except REFUSALS as error:
        check_refusal(error, memory)
        assert memory.contents() == before, "modified on refusal"
        return "refused"
    if harness.system.damaged:
        (damage,) = harness.system.damaged.values()
        check_refusal(damage, memory)
        after = memory.contents()
        kept = {path: data for path, data in before.items() if "/stores/" in path}
        assert kept.items() <= after.items(), "modified on refusal"
        return "refused"
    assert harness.contents() == EXPECTED
    return "recovered"


def check_refusal(error: StorageError, memory: MemoryFileSystem) -> None:
    assert isinstance(error, REFUSALS)
    assert memory.exists(str(error.path))
    assert str(error.path) in str(error)
    if isinstance(error, DataCorruptionError):
        assert isinstance(error.offset, int)


def files_of(memory: MemoryFileSystem) -> list[str]:
    return list(memory.contents())


def kinds() -> list[str]:
    """Name the files by what they are, so that tests can be told apart."""
    return ["identity", "registry", "meta", "segment", "snapshot", "older log", "newest log"]


def path_of(memory: MemoryFileSystem, kind: str) -> str:
    names = files_of(memory)
    logs = sorted(path for path in names if path.endswith(".wal"))
    if kind == "older log":
        return logs[0]
    if kind == "newest log":
        return logs[-1]
    (path,) = (path for path in names if path.endswith(kind))
    return path


def try_all(
    kind: str, damage: Callable[[MemoryFileSystem, str, int], None]
) -> dict[str, set[int]]:
    """Damage a file at every offset in turn; give the offsets by outcome."""
    whole = filled()
    path = path_of(whole, kind)
    outcomes: dict[str, set[int]] = {"refused": set(), "recovered": set()}
    for offset in range(len(whole.contents()[path])):
        memory = whole.copy()
        damage(memory, path, offset)
        outcomes[judge(memory)].add(offset)
    return outcomes


def test_there_is_a_file_of_every_kind_and_killing_leaves_what_closing_leaves() -> None:
    killed = filled()
    assert {path_of(killed, kind) for kind in kinds()} == set(files_of(killed))
    assert judge(killed.copy()) == "recovered"
    closed = MemoryFileSystem()
    fill(closed, PATH).close()
    assert closed.contents() == killed.contents()


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("mask", [0xFF, None], ids=["all bits", "one bit"])
def test_every_byte_flipped(kind: str, mask: int | None) -> None:
    def flip(memory: MemoryFileSystem, path: str, offset: int) -> None:
        memory.flip(path, offset, mask or 1 << offset % 8)

    outcomes = try_all(kind, flip)
    if kind == "meta":
        assert not outcomes["refused"], "each slot makes the other good"
    elif kind in {"identity", "registry", "segment", "snapshot"}:
        assert not outcomes["recovered"], "every byte counts"
    else:
        assert len(outcomes["refused"]) > 3 * 150, "header and batches"


@pytest.mark.parametrize("kind", kinds())
def test_every_file_cut_at_every_byte(kind: str) -> None:
    outcomes = try_all(kind, MemoryFileSystem.cut)
    assert not outcomes["recovered"], "all files have a size that is known"


def test_bytes_behind_the_end_are_refused() -> None:
    for kind in kinds():
        memory = filled()
        path = path_of(memory, kind)
        overwrite(memory, path, len(memory.contents()[path]), b"\0")
        memory.process_death()
        assert judge(memory) == "refused", kind


@pytest.mark.parametrize("kind", kinds())
def test_zeros_or_the_content_of_another_file_are_refused(kind: str) -> None:
    whole = filled()
    path = path_of(whole, kind)
    size = len(whole.contents()[path])
    for content in [bytes(size), *whole.contents().values()]:
        if content == whole.contents()[path]:
            continue
        memory = whole.copy()
        memory.cut(path, 0)
        overwrite(memory, path, 0, content)
        memory.process_death()
        assert judge(memory) == "refused"


def test_the_same_rule_holds_on_a_real_disk(tmp_path: Path) -> None:
    """Here and there only: the code is the same, and a real disk is slow."""
    file_system = PosixFileSystem()
    fill(file_system, str(tmp_path / "data")).close()
    for path in sorted((tmp_path / "data").rglob("*")):
        if path.is_dir() or path.name == "lock":
            continue
        whole = path.read_bytes()
        for offset in range(0, len(whole), 1 + len(whole) // 7):
            for damaged in (
                whole[:offset],
                whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :],
            ):
                path.write_bytes(damaged)
                with suppress(*REFUSALS):
                    harness = LogHarness(file_system, str(tmp_path / "data"))
                    harness.close()
                    assert harness.contents() == EXPECTED or harness.system.damaged
                path.write_bytes(whole)


def test_a_checker_that_sees_a_silent_loss_fails() -> None:
    """Two faults at once: the proof of the last sync is gone, and the batch it proved rots."""
    memory = filled()
    path = path_of(memory, "newest log")
    content = memory.contents()[path]
    last = content.rindex(b"khp\x03")
    overwrite(memory, path, last, bytes(32))
    memory.flip(path, last - 1)
    memory.process_death()
    with pytest.raises(AssertionError):
        judge(memory)
