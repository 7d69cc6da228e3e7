"""Opens the store that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from khepri.config import get_default_store_id

from .outcomes import CommandError, ExitCode

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from khepri.store import Store


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take the directory and the name of a store."""
    parser.add_argument(
        "--data-dir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the data directory; no running store may hold it",
    )
    parser.add_argument(
        "--store", metavar="NAME", help="the store's id (default: the default one)"
    )


def open_store(
    arguments: argparse.Namespace, *, create: bool = False
) -> AbstractContextManager[Store]:
    """Start the store for as long as the ``with`` block lasts.

    Args:
        arguments: parsed with `add_store_arguments`.
        create: make directory and store if they do not exist.

    Raises:
        CommandError: there is no such directory and `create` is false.
        KhepriError: the store cannot be opened.
    """
    data_dir: Path = arguments.data_dir
    if not create and not data_dir.is_dir():
        raise CommandError(f"there is no data directory {data_dir}", ExitCode.STORAGE)
    return open_data_dir(data_dir, arguments.store)


def open_data_dir(data_dir: Path, store_id: str | None = None) -> AbstractContextManager[Store]:
    """Start a store of a directory for as long as the ``with`` block lasts.

    Raises:
        KhepriError: the store cannot be opened.
    """
    import khepri  # noqa: PLC0415 - the actors are imported only when a store is needed

    return khepri.open(data_dir, get_default_store_id() if store_id is None else store_id)
