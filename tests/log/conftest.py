"""Contract tests run on both file systems: the real one and its twin in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.log.file_system import PosixFileSystem
from khepri.log.memory_file_system import MemoryFileSystem

if TYPE_CHECKING:
    from pathlib import Path

    from khepri.log.file_system import FileSystem


@pytest.fixture(params=["posix", "memory"])
def file_system(request: pytest.FixtureRequest) -> FileSystem:
    return PosixFileSystem() if request.param == "posix" else MemoryFileSystem()


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
