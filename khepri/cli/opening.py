"""Opens the store that a command line names."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khepri.config import get_default_store_id

from .outcomes import CommandError, ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from khepri.store import Store


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take the directory and the name of a store."""
    parser.add_argument(
        "--data-dir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the data directory; no program may have a store running in it",
    )
    parser.add_argument(
        "--store",
        metavar="NAME",
        help="the store's id (default: the only store of the directory, or the default store)",
    )


def open_store(
    arguments: argparse.Namespace, *, create: bool = False
) -> AbstractContextManager[Store]:
    """Start the store for as long as the ``with`` block lasts.

    Args:
        arguments: parsed with `add_store_arguments`.
        create: make directory and store if they do not exist.

    Raises:
        CommandError: directory or store do not exist and `create` is false.
        KhepriError: the store cannot be opened.
    """
    data_dir: Path = arguments.data_dir
    store_id: str | None = arguments.store
    present = stores_in(data_dir)
    if not present and not create:
        raise CommandError(f"there is no khepri data directory {data_dir}", ExitCode.STORAGE)
    if store_id is None:
        store_id = present[0] if len(present) == 1 else get_default_store_id()
    if store_id not in present and not create:
        names = ", ".join(map(repr, present))
        raise CommandError(
            f"there is no store {store_id!r} in {data_dir}, only {names}", ExitCode.STORAGE
        )
    return open_data_dir(data_dir, store_id)


@contextmanager
def open_data_dir(data_dir: Path, store_id: str | None = None) -> Generator[Store]:
    """Start a store of a directory for as long as the ``with`` block lasts; then free both.

    Raises:
        KhepriError: the store cannot be opened.
    """
    from khepri.ra_system import stop as stop_ra_system  # noqa: PLC0415 - only when needed
    from khepri.store import open_store as start_store  # noqa: PLC0415

    try:
        with start_store(data_dir, store_id) as store:
            yield store
    finally:
        # The Ra system of a directory bears the directory's name, and holds its lock.
        stop_ra_system(os.path.abspath(data_dir))  # noqa: PTH100 - as khepri.start names it


def stores_in(data_dir: Path) -> list[str]:
    """Give the ids of the stores in a directory, none if it is no data directory.

    Starting a store makes it, so a command that only looks must ask first. The directory is not
    locked; whoever opens the store afterwards finds out what has changed.

    Raises:
        KhepriError: the registry of the directory is damaged.
    """
    from khepri.log.directory import REGISTRY_FORMAT  # noqa: PLC0415 - only when needed
    from khepri.log.file_header import read_record_file  # noqa: PLC0415
    from khepri.log.paths import registry_path  # noqa: PLC0415
    from khepri.log.posix_file_system import PosixFileSystem  # noqa: PLC0415

    registry = registry_path(str(data_dir))
    if not Path(registry).exists():
        return []
    facts: list[Any] = read_record_file(PosixFileSystem(), registry, REGISTRY_FORMAT)
    return [str(store[0]) for store in facts]
