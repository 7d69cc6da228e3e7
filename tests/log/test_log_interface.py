"""The classes keep what `khepri.log.interface` promises; mypy is the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.log import directory, meta, segments, snapshots, write_ahead_log
from khepri.log.memory_file_system import MemoryFile, MemoryFileSystem
from khepri.log.posix_file_system import PosixFile, PosixFileSystem
from khepri.log.shared_file_system import SharedFile, SharedFileSystem

if TYPE_CHECKING:
    from khepri.log import interface
    from khepri.log.file_system import File, FileSystem


def test_the_classes_have_the_promised_types() -> None:
    log: type[interface.WriteAheadLog] = write_ahead_log.WriteAheadLog
    segment_writer: type[interface.SegmentWriter] = segments.SegmentWriter
    meta_file: type[interface.MetaFile] = meta.MetaFile
    of_a_store: type[interface.Snapshots] = snapshots.Snapshots
    reader: type[interface.SnapshotReader] = snapshots.SnapshotReader
    acceptor: type[interface.SnapshotAcceptor] = snapshots.SnapshotAcceptor
    data_directory: type[interface.DataDirectory] = directory.DataDirectory
    assert all((log, segment_writer, meta_file, of_a_store, reader, acceptor, data_directory))


def test_the_file_systems_have_the_promised_types() -> None:
    file_systems: list[type[FileSystem]] = [PosixFileSystem, MemoryFileSystem, SharedFileSystem]
    files: list[type[File]] = [PosixFile, MemoryFile, SharedFile]
    assert len(file_systems) == len(files)
