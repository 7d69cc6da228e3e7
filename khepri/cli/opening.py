"""Opens the store that a command line names."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khepri.config import get_default_store_id

from .outcomes import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from khepri.actors.node import Node
    from khepri.log.file_header import FileFormat
    from khepri.store import Store


def add_directory_argument(parser: argparse._ActionsContainer) -> None:
    """Let a command take the directory of a store."""
    parser.add_argument(
        "--data-dir",
        type=directory,
        metavar="DIR",
        help="the data directory; no program may have a store running in it",
    )


def directory(text: str) -> Path:
    """Give the directory that a word of the command line names."""
    if not text:  # as of a shell variable that is not set; a Path would be the current directory
        raise argparse.ArgumentTypeError("the name of a directory is not empty")
    return Path(text)


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take the name of a store."""
    parser.add_argument(
        "--store",
        metavar="NAME",
        help="the store's id (default: the only store of the directory, or the default store)",
    )


def open_store(
    arguments: argparse.Namespace, *, create: bool = False, writes: bool = False
) -> AbstractContextManager[Store]:
    """Start the store for as long as the ``with`` block lasts.

    Args:
        arguments: parsed with `add_directory_argument` and `add_store_argument`.
        create: make directory and store if they do not exist.
        writes: refuse a store that has members elsewhere.

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
    return open_data_dir(data_dir, store_id, writes=writes)


@contextmanager
def open_data_dir(
    data_dir: Path, store_id: str | None = None, *, writes: bool = True
) -> Generator[Store]:
    """Start a store of a directory for as long as the ``with`` block lasts; then free both.

    It runs on a node of the name that the directory belongs to, without a way to other nodes. A
    store with other members can be read then, as far as this member knew it, and not written.

    Raises:
        CommandError: it is to be written and has other members.
        KhepriError: the store cannot be opened.
    """
    from khepri.actors.node import Node  # noqa: PLC0415 - only when needed
    from khepri.store import open_store as start_store  # noqa: PLC0415

    node = Node(_owner_of(data_dir))
    try:
        with start_store(data_dir, store_id, node=node) as store:
            if writes:
                _refuse_other_members(node, store.store_id)
            yield store
    finally:
        node.stop()


def _refuse_other_members(node: Node, store_id: str) -> None:
    from khepri.management import ClusterManager  # noqa: PLC0415 - only when needed

    others = set(ClusterManager(node).locally_known_nodes(store_id)) - {node.name}
    if others:
        names = ", ".join(sorted(others))
        raise CommandError(
            f"the store {store_id!r} has other members ({names}) and can only be read from its "
            "directory; write to it through a program that runs it"
        )


def _owner_of(data_dir: Path) -> str:
    """Give the name of the node that a directory belongs to; a new one has none."""
    from khepri.log.directory import IDENTITY_FORMAT  # noqa: PLC0415
    from khepri.log.paths import identity_path  # noqa: PLC0415
    from khepri.raft.types import UNDISTRIBUTED  # noqa: PLC0415 - only when needed

    identity = _facts_in(identity_path(str(data_dir)), IDENTITY_FORMAT)
    return UNDISTRIBUTED if identity is None else str(identity[0])


def stores_in(data_dir: Path) -> list[str]:
    """Give the ids of the stores in a directory, none if it is no data directory.

    Starting a store makes it, so a command that only looks must ask first. The directory is not
    locked; whoever opens the store afterwards finds out what has changed.

    Raises:
        KhepriError: the registry of the directory is damaged.
    """
    from khepri.log.directory import REGISTRY_FORMAT  # noqa: PLC0415 - only when needed
    from khepri.log.paths import registry_path  # noqa: PLC0415

    stores = _facts_in(registry_path(str(data_dir)), REGISTRY_FORMAT)
    return [str(store[0]) for store in stores or ()]


def _facts_in(path: str, file_format: FileFormat) -> list[Any] | None:
    """Give what a file of a data directory says, None if there is none.

    Raises:
        CommandError: it cannot be read.
        KhepriError: it is damaged.
    """
    from khepri.log.file_header import read_record_file  # noqa: PLC0415 - only when needed
    from khepri.log.posix_file_system import PosixFileSystem  # noqa: PLC0415

    try:
        if not Path(path).exists():
            return None
        facts: list[Any] = read_record_file(PosixFileSystem(), path, file_format)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", ExitCode.STORAGE) from error
    return facts
