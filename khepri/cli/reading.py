"""What the commands that read do read: a data directory, or a running node."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from .guest import add_guest_arguments, guest_at
from .opening import add_directory_argument, add_store_argument, open_store
from .outcomes import CommandError, ExitCode
from .remote_store import RemoteStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator

    from khepri.machine.paths import Path, PathLike
    from khepri.machine.properties import NodeProperties
    from khepri.reading import A


class Readable(Protocol):
    """The part of `khepri.Store` that the commands need."""

    def get(self, path: PathLike, /) -> object:
        """See `khepri.Store.get`."""
        ...

    def has_data(self, path: PathLike, /) -> bool:
        """See `khepri.Store.has_data`."""
        ...

    def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        /,
    ) -> A:
        """See `khepri.Store.fold`."""
        ...


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take a data directory or a node."""
    source = parser.add_mutually_exclusive_group(required=True)
    add_directory_argument(source)
    source.add_argument("--node", metavar="NODE", help="a running node to ask")
    add_store_argument(parser)
    add_guest_arguments(parser)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command read a data directory or a node."""
    add_source_arguments(parser)
    parser.add_argument(
        "--favor",
        choices=("low_latency", "consistency"),
        default="low_latency",
        help="with --node: the tree as the node knows it (default), or as a majority confirms it",
    )


@contextmanager
def open_for_reading(arguments: argparse.Namespace) -> Generator[Readable]:
    """Give the store that a command line names, for as long as the block lasts.

    Raises:
        CommandError: directory or store do not exist, or the node cannot be reached.
        KhepriError: the store cannot be opened.
    """
    if arguments.node is None:
        refuse_reading_options(arguments)
        with open_store(arguments) as store:
            yield store
        return
    with guest_at(arguments) as guest:
        if arguments.favor == "consistency":
            guest.ask("has_quorum")  # after that everything acknowledged is applied there
        yield RemoteStore(guest)


def refuse_reading_options(arguments: argparse.Namespace) -> None:
    """Refuse what means nothing when a data directory is read.

    Raises:
        CommandError: something was given.
    """
    refuse_without_node(arguments, "cookie_file", "timeout")
    if arguments.favor != "low_latency":
        raise _goes_with_node("favor")


def refuse_without_node(arguments: argparse.Namespace, *options: str) -> None:
    """Refuse options that were given and mean nothing for a data directory.

    Raises:
        CommandError: one was.
    """
    for option in options:
        if getattr(arguments, option) is not None:
            raise _goes_with_node(option)


def _goes_with_node(option: str) -> CommandError:
    return CommandError(f"--{option.replace('_', '-')} goes with --node", ExitCode.MISUSE)
