"""What ``put``, ``delete`` and ``load`` write to: a data directory, or a running node."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from .guest import guest_at
from .opening import open_store
from .reading import refuse_without_node
from .remote_store import RemoteStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

    from khepri.batch import Batch
    from khepri.machine.paths import PathLike


class Writable(Protocol):
    """The part of `khepri.Store` that the commands need."""

    def put(self, path: PathLike, data: object, /) -> None:
        """See `khepri.Store.put`."""
        ...

    def delete(self, path: PathLike, /) -> None:
        """See `khepri.Store.delete`."""
        ...

    def delete_many(self, pattern: PathLike, /) -> None:
        """See `khepri.Store.delete_many`."""
        ...

    def batch(self) -> Batch:
        """See `khepri.Store.batch`."""
        ...


@contextmanager
def open_for_writing(
    arguments: argparse.Namespace, *, create: bool = False
) -> Generator[Writable]:
    """Give the store that a command line names, for as long as the block lasts.

    Args:
        arguments: parsed with `reading.add_source_arguments`.
        create: make a directory and store that do not exist.

    Raises:
        CommandError: directory or store do not exist, the store has members elsewhere and is
            named by its directory, or the node cannot be reached.
        KhepriError: the store cannot be opened.
    """
    if arguments.node is not None:
        with guest_at(arguments) as guest:
            yield RemoteStore(guest)
        return
    refuse_without_node(arguments, "cookie_file", "timeout")
    with open_store(arguments, create=create, writes=True) as store:
        yield store
