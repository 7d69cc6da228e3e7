"""The part of a `Store` that imports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from khepri.errors import KhepriTimeoutError

from .calls import DEFAULT, result, timeout_seconds
from .exporting import log_time_milliseconds
from .import_commands import Found
from .import_sources import opened
from .importing import Import, Imported
from .options import WRITE, WriteOptions, check_options
from .writing import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import Path

    from .import_sources import ExportReader


class Importer(Writer):
    """The part of a `Store` that imports."""

    __slots__ = ()

    def import_(
        self,
        source: str | os.PathLike[str] | ExportReader,
        **options: Unpack[WriteOptions],
    ) -> Imported:
        """Write what was exported, from a file, into this store (Khepri's import/2).

        Tree nodes of the file are written as they were, in place of what is there; all others
        stay. A file is checked as a whole before anything is written, so one that is damaged, cut
        or foreign changes nothing. The import itself is not atomic: it goes in many writes, others
        see it grow, and after an error a part of it is in the store. To do it again is safe and
        comes to the same.

        Conditions are set when all payloads are there, so tree nodes may live under others
        anywhere in the file; under what is in neither file nor store, they are refused. Of a time
        to live there is left what was left by the log's time here; what has expired meanwhile is
        left out, with what is below it and what lives under it.

        Args:
            source: the name of a file that `export` has written; or an
                `khepri.types.ExportReader`, for another format. It is not read ahead. What has
                conditions or expires, and what is below that, is kept in memory to the end.
            options: as for `put`; ``timeout`` is for each of the writes.

        Returns:
            how many tree nodes were written, and how many left out.

        Raises:
            InvalidOptionError, WrongTypeError: before anything is read.
            DataCorruptionError: the file is damaged, with its offset; nothing was written.
            UnknownFormatError: it is of a version this release does not know; nor was anything.
            DirectoryAccessError: it cannot be read.
            ValueTooLargeError: a tree node is above ``max_command_bytes`` here.
            KeepWhileConditionsNotMetError: a tree node lives under what is not there.
            BaseException: what the reader has raised.
            KhepriError: as for every write.
        """
        check_options("import_", options, WRITE)
        return import_into(StoreTarget(self, options), source)


def import_into(
    target: StoreTarget, source: object, look: Callable[[int], object] = int
) -> Imported:
    """Import, and call `look` with how many tree nodes were written since the last time."""
    with opened(source) as (checkable, closed):
        checkable.check(look)
        # Afterwards everything acknowledged before is in the tree here, which is looked at.
        target.fence()
        work = Import(checkable, target, look)
        try:
            imported = work.run()
        except Exception as error:
            error.add_note(
                f"at least {work.acknowledged} tree nodes were imported; to import again is"
                " safe and comes to the same"
            )
            raise
    return replace(imported, closed=closed[0])


class StoreTarget:
    """A store of this process, for an `Import`."""

    is_near = True

    def __init__(self, store: Importer, options: WriteOptions) -> None:
        """Write to a store as the options say.

        Raises:
            InvalidOptionError, WrongTypeError: an impossible ``timeout``.
            NoSuchServerError: the store does not run here.
        """
        self.store = store
        self._options = options
        self._timeout = options.get("timeout", DEFAULT)
        timeout_seconds(self._timeout)
        _ = store.access  # it runs here

    def fence(self) -> None:
        """Wait until everything acknowledged before is applied here."""
        self.store.fence(timeout=self._timeout)

    def time_milliseconds(self) -> int:
        """Give the log's time."""
        return log_time_milliseconds(self.store.node, self.store.store_id)

    def find(self, path: Path) -> Found | None:
        """Give what is there, as the tree here is now."""
        view = self.store.access.view
        node = None if view is None else view.root
        for name in path:
            if node is None:
                return None
            node = node.children.get(name)
        return None if node is None else Found(node.payload, node.keep_while)

    def send(self, command: bytes) -> KhepriFuture[Any]:
        """Send a command."""
        sent: KhepriFuture[Any] = self.store._send(  # noqa: SLF001 - a part of it
            command,
            self._timeout,
            True,  # noqa: FBT003
            result,
            self._options,
        )
        return sent

    def wait(self, future: KhepriFuture[Any]) -> object:
        """Wait for a reply.

        Raises:
            KhepriTimeoutError: it does not come in time; it is not waited for any more.
        """
        try:
            return future.get(timeout=timeout_seconds(self._timeout))
        except KhepriTimeoutError as error:
            future.fail(error)  # does nothing if that was the reply
            raise
