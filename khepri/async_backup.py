"""Export and import for asyncio: the tree is awaited, walking and writing take a thread each.

They may take long, and files make the thread wait whose they are, so the loop's is not used. A
task that is cancelled ends its thread's work within a moment: a file that is not whole goes, an
import stops where it is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from khepri.actors.server_messages import ConsistentRead
from khepri.errors import ServerStoppedError

from .async_writing import AsyncWriter
from .calls import result, submit
from .exporting import EXPORT, ExportTask, log_time_milliseconds
from .importer import Importer, StoreTarget, import_into
from .options import WRITE, check_options, check_unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
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
        wanted = _Wanted()
        return await _in_thread(
            lambda: task.run(view, self.store_id, time_milliseconds, wanted.look), wanted
        )

    async def import_(
        self, source: str | os.PathLike[str] | ExportReader, **options: Unpack[WriteOptions]
    ) -> Imported:
        """See `khepri.Store.import_`; a reader is called in another thread."""
        check_options("import_", options, WRITE)
        wanted = _Wanted()
        target = _WantedTarget(Importer(self.store_id, self._reader.node), options, wanted)
        return await _in_thread(lambda: import_into(target, source, wanted.look), wanted)


class _Wanted:
    """Whether somebody still waits for the work of a thread; that thread and the loop's."""

    def __init__(self) -> None:
        """Begin: somebody does."""
        self._is_over = False
        self._waited_for: KhepriFuture[Any] | None = None

    def look(self, _count: int) -> None:
        """Go on, or end the work.

        Raises:
            ServerStoppedError: nobody waits any more.
        """
        if self._is_over:
            raise _nobody()

    def wait_for(self, future: KhepriFuture[Any]) -> None:
        """Take note of a reply that the thread waits for next."""
        self._waited_for = future
        if self._is_over:  # whichever thread comes second sees what the other one has done
            future.fail(_nobody())

    def end(self) -> None:
        """Let the thread know that nobody waits any more, also if it waits itself."""
        self._is_over = True
        if self._waited_for is not None:
            self._waited_for.fail(_nobody())


class _WantedTarget(StoreTarget):
    """A store that is imported into for as long as somebody waits for that."""

    def __init__(self, store: Importer, options: WriteOptions, wanted: _Wanted) -> None:
        super().__init__(store, options)
        self._wanted = wanted

    def fence(self) -> None:
        self.wait(submit(self.store.access, ConsistentRead(), result))

    def wait(self, future: KhepriFuture[Any]) -> object:
        self._wanted.wait_for(future)
        return super().wait(future)


def _nobody() -> ServerStoppedError:
    return ServerStoppedError("nobody waits for it any more", outcome="unknown")


async def _in_thread(work: Callable[[], T], wanted: _Wanted) -> T:
    """Run something that looks now and then whether it is still wanted."""
    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        wanted.end()
        raise
