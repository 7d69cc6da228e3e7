"""Export and import for asyncio: the tree is awaited, walking and writing take a thread each.

They may take long, and files make the thread wait whose they are, so the loop's is not used. A
task that is cancelled ends its thread's work within a moment: a file that is not whole goes, an
import stops where it is.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from khepri.errors import ServerStoppedError

from .async_writing import AsyncWriter
from .exporting import EXPORT, ExportTask, log_time_milliseconds
from .importer import Importer
from .options import WRITE, check_options, check_unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Unpack

    from khepri.machine.paths import PathLike

    from .exporting import Exported, ExportOptions, ExportWriter
    from .import_sources import ExportReader
    from .importing import Imported
    from .options import WriteOptions

T = TypeVar("T")


class AsyncBackup(AsyncWriter):
    """The part of a `khepri.aio.Store` that exports and imports."""

    __slots__ = ()

    async def export(
        self,
        target: str | os.PathLike[str] | ExportWriter,
        path_pattern: PathLike | None = None,
        **options: Unpack[ExportOptions],
    ) -> Exported:
        """See `khepri.Store.export`; a writer is called in another thread."""
        check_unknown("export", cast("dict[str, Any]", options), EXPORT)
        task = ExportTask(target, path_pattern, overwrite=options.pop("overwrite", False))
        tree = await self._tree("export", options)
        view, node = tree.view().held, self._reader.node
        time_milliseconds = log_time_milliseconds(node, self.store_id)
        return await _in_thread(
            lambda look: task.run(view, self.store_id, time_milliseconds, look)
        )

    async def import_(
        self, source: str | os.PathLike[str] | ExportReader, **options: Unpack[WriteOptions]
    ) -> Imported:
        """See `khepri.Store.import_`; a reader is called in another thread."""
        check_options("import_", options, WRITE)
        importer = Importer(self.store_id, self._reader.node)
        return await _in_thread(lambda look: importer._import(source, options, look))  # noqa: SLF001


async def _in_thread(work: Callable[[Callable[[int], object]], T]) -> T:
    """Run something that looks now and then whether it is still wanted."""
    is_unwanted = threading.Event()

    def look(_count: int) -> None:
        if is_unwanted.is_set():
            raise ServerStoppedError("nobody waits for it any more", outcome="unknown")

    try:
        return await asyncio.to_thread(work, look)
    except asyncio.CancelledError:
        is_unwanted.set()
        raise
