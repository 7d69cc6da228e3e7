"""Where files lie in a data directory, and how their names carry numbers.

::

    <data directory>/
      lock                                    held while a Ra system runs; never removed
      identity                                format, node name, directory uid
      registry                                store id -> uid
      wal/00000000000000000007.wal                     write-ahead log, numbered
      wal/00000000000000000005.spare                   a used-up file, kept to be reused
      stores/<uid>/meta                       term and vote
      stores/<uid>/committed                  a hint how far the log is committed
      stores/<uid>/segments/00000000000000000005.segment    numbered like the log file it is from
      stores/<uid>/snapshots/00000000000000000120.snapshot  numbered by the index it covers

The order of files comes from these numbers alone, never from a clock (case W38).
Not here: what is in the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .file_system import FileSystem

LOG_SUFFIX = ".wal"
SPARE_SUFFIX = ".spare"
SEGMENT_SUFFIX = ".segment"
SNAPSHOT_SUFFIX = ".snapshot"

_DIGITS = 20


def folder_of(path: str) -> str:
    """Give the directory a path lies in."""
    parent = path.rpartition("/")[0]
    return parent or ("/" if path.startswith("/") else ".")


def numbered(folder: str, number: int, suffix: str) -> str:
    """Give the path of a numbered file; names sort like their numbers."""
    return f"{folder}/{number:0{_DIGITS}d}{suffix}"


def list_numbered(file_system: FileSystem, folder: str, suffix: str) -> list[tuple[int, str]]:
    """Give number and path of the numbered files of a kind, lowest first. Others are ignored."""
    found: list[tuple[int, str]] = []
    for name in file_system.listdir(folder):
        digits = name.removesuffix(suffix)
        if (
            name.endswith(suffix)
            and len(digits) == _DIGITS
            and digits.isascii()
            and digits.isdecimal()
        ):
            found.append((int(digits), f"{folder}/{name}"))
    return sorted(found)


def lock_path(data_directory: str) -> str:
    """Give the path of the lock file."""
    return f"{data_directory}/lock"


def identity_path(data_directory: str) -> str:
    """Give the path of the file that says whose directory it is."""
    return f"{data_directory}/identity"


def registry_path(data_directory: str) -> str:
    """Give the path of the file that says which stores live in it."""
    return f"{data_directory}/registry"


def wal_folder(data_directory: str) -> str:
    """Give the folder of the write-ahead log."""
    return f"{data_directory}/wal"


def stores_folder(data_directory: str) -> str:
    """Give the folder that has one folder for each store."""
    return f"{data_directory}/stores"


def store_folder(stores: str, uid: str) -> str:
    """Give the folder of one store, in the folder of all."""
    return f"{stores}/{uid}"


def meta_path(store_folder: str) -> str:
    """Give the path of term and vote."""
    return f"{store_folder}/meta"


def commit_note_path(store_folder: str) -> str:
    """Give the path of the hint how far the log is committed."""
    return f"{store_folder}/committed"


def segments_folder(store_folder: str) -> str:
    """Give the folder of the segments of a store."""
    return f"{store_folder}/segments"


def snapshots_folder(store_folder: str) -> str:
    """Give the folder of the snapshots of a store."""
    return f"{store_folder}/snapshots"
