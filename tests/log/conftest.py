"""Contract tests run on all file systems: the real one and its twins in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.posix_file_system import PosixFileSystem
from khepri.log.shared_file_system import SharedFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from khepri.log.file_system import FileSystem


FILE_SYSTEMS: dict[str, Callable[[], FileSystem]] = {
    "posix": PosixFileSystem,
    "memory": MemoryFileSystem,
    "shared memory": SharedFileSystem,
}


@pytest.fixture(params=list(FILE_SYSTEMS))
def file_system(request: pytest.FixtureRequest) -> FileSystem:
    return FILE_SYSTEMS[request.param]()


@pytest.fixture
def folder(file_system: FileSystem, tmp_path: Path) -> str:
    """An empty directory on that file system."""
    if isinstance(file_system, PosixFileSystem):
        return str(tmp_path)
    file_system.make_directory("/folder")
    file_system.fsync_directory("/")
    return "/folder"


@pytest.fixture
def memory() -> MemoryFileSystem:
    return MemoryFileSystem()
