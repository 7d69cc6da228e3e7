"""``khepri export FILE [PATTERN]``: back up a store, or a part of it, to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.exporting import ExportTask, log_time_milliseconds

from .backup import file_refuses, report
from .guest import guest_at
from .opening import open_store
from .outcomes import ExitCode
from .progress import Progress
from .reading import add_reading_arguments, refuse_reading_options
from .remote_backup import export_from

if TYPE_CHECKING:
    import argparse

    from khepri.exporting import Exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("file", metavar="FILE", help="the backup that is made")
    parser.add_argument(
        "pattern", nargs="?", metavar="PATTERN", help="which (default: all, the root included)"
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the file, if there is one"
    )
    parser.add_argument(
        "--output",
        choices=("plain", "json"),
        default="plain",
        help="how much was exported, for people (default) or as JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; the file appears when it is whole."""
    task = ExportTask(arguments.file, arguments.pattern, overwrite=arguments.overwrite)
    progress = Progress("tree nodes")
    try:
        with file_refuses(arguments.file):
            done = _export(arguments, task, progress)
    finally:
        progress.end()
    report(
        "exported",
        {"nodes": done.nodes, "index": done.index, "term": done.term},
        progress,
        arguments.output,
    )
    return ExitCode.DONE


def _export(arguments: argparse.Namespace, task: ExportTask, progress: Progress) -> Exported:
    if arguments.node is None:
        refuse_reading_options(arguments)
        with open_store(arguments) as store:
            time_milliseconds = log_time_milliseconds(store.node, store.store_id)
            return task.run(store.view().held, store.store_id, time_milliseconds, progress.advance)
    with guest_at(arguments) as guest:
        if arguments.favor == "consistency":
            guest.ask("has_quorum")  # after that everything acknowledged is applied there
        return export_from(guest, task, arguments.pattern, progress.advance)
