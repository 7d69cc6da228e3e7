"""``khepri import FILE``: put a backup back into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import KhepriError
from khepri.exporting import file_name
from khepri.import_sources import FileSource
from khepri.importer import StoreTarget
from khepri.importing import Import

from .backup import file_refuses, report
from .guest import guest_at
from .opening import open_store
from .outcomes import ExitCode, complain
from .progress import Progress
from .reading import add_source_arguments, refuse_without_node
from .remote_backup import GuestTarget

if TYPE_CHECKING:
    import argparse

    from khepri.importing import Imported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("file", metavar="FILE", help="what khepri export has made")
    add_source_arguments(parser)
    parser.add_argument(
        "--output",
        choices=("plain", "json"),
        default="plain",
        help="how much was imported, for people (default) or as JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import; the whole file is checked first, so a broken one changes nothing."""
    progress = Progress("tree nodes")
    try:
        file_name(arguments.file, "file")  # a mistake is told as one
        with file_refuses(arguments.file):
            source = FileSource(arguments.file)
            try:
                source.check()
                done = _import(arguments, source, progress)
            finally:
                source.close()
    except (KhepriError, KeyboardInterrupt):
        if progress.done:
            complain(f"at least {progress.done:,} tree nodes are in the store")
        raise
    finally:
        progress.end()
    report(
        "imported", {"nodes": done.nodes, "left_out": done.left_out}, progress, arguments.output
    )
    return ExitCode.DONE


def _import(arguments: argparse.Namespace, source: FileSource, progress: Progress) -> Imported:
    if arguments.node is None:
        refuse_without_node(arguments, "cookie_file", "timeout")
        with open_store(arguments, create=True, writes=True) as store:
            return Import(source, StoreTarget(store, {}), progress.advance).run()
    with guest_at(arguments) as guest:
        return Import(source, GuestTarget(guest), progress.advance).run()
