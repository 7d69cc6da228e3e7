"""Exports: what a store holds, or a part of it, node by node to a file or to a writer of your own.

One immutable tree is walked in the caller's thread, as by a read: the server goes on meanwhile,
and what is written at the same time is not in it. Reading it back is in `importing.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from khepri.actors.server_clock import server_clock
from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.machine.paths import resolve_path
from khepri.machine.patterns import find_many

from .export_file import FileWriter
from .export_format import Origin
from .exported_node import exported
from .options import READ, ReadOptions, check_unknown
from .viewing import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike
    from khepri.machine.tree import TreeNode

    from .exported_node import ExportedNode

EXPORT: Final = READ | {"overwrite"}
LOOK_NODES: Final = 512
"""So many tree nodes are walked before somebody is told how far it is, or asked to go on."""

EVERYTHING: Final = "/**"


class ExportOptions(ReadOptions, total=False):
    """Options of an export.

    Keys:
        overwrite: whether a file that exists is replaced; false if left out.
    """

    overwrite: bool


@runtime_checkable
class ExportWriter(Protocol):
    """Where an export goes, if not to a file: a format of your own.

    All functions are called in the thread that exports. `write` comes once for each tree node, in
    path order, then `commit`. If anything raises before the end, `abort` comes instead, once, also
    if that was `commit`; what was raised goes on to the caller, unless `abort` raises too.
    """

    def write(self, node: ExportedNode) -> object:
        """Take a tree node."""
        ...

    def commit(self) -> object:
        """Take note that this was all; what it gives is the ``committed`` of the export."""
        ...

    def abort(self, reason: BaseException) -> object:
        """Take note that there will be no more, and why; throw away what was written."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        nodes: how many tree nodes.
        index: the place in the log of which the export shows the tree; see `khepri.applied`.
        term: the term of that place.
        committed: what the writer's ``commit`` has given; None for a file.
    """

    nodes: int
    index: int
    term: int
    committed: Any = None


class Exporter(Viewer):
    """The part of a `Store` that exports."""

    __slots__ = ()

    def export(
        self,
        target: str | os.PathLike[str] | ExportWriter,
        path_pattern: PathLike | None = None,
        **options: Unpack[ExportOptions],
    ) -> Exported:
        """Write what the store holds, or a part of it, to a file: a backup (Khepri's export/2).

        It is the tree of one moment, however long it takes and whatever is written meanwhile; it
        is walked in this thread, and nobody waits for it. Exported are payloads, keep-while
        conditions and times to live; versions are not. Left out are tree nodes that have none of
        these: parents come back by themselves, with what is below them. The file appears under
        its name when it is whole and on the disk, with mode 0600, and is checked by checksums
        when it is read (`import_`).

        Args:
            target: the name of a file; or an `khepri.types.ExportWriter`, for another format.
            path_pattern: which tree nodes, as for `get_many`; left out, all, the root included.
            options: ``favor``, ``condition`` and ``timeout`` say which tree, and how long may be
                waited for it, as for `get`; walking it and writing take the time they take.
                ``overwrite`` allows to replace a file, also one that a symbolic link leads to.

        Returns:
            how many tree nodes, and of which place in the log.

        Raises:
            InvalidPathError, InvalidOptionError, WrongTypeError: before anything is written.
            DirectoryAccessError: the file exists already, or none can be made there, or it is a
                device, a pipe or a folder.
            DiskFullError, DiskFailedError: the disk refuses; no file is left.
            BaseException: what the writer has raised.
            KhepriError: as `get`, while the tree is waited for.
        """
        check_unknown("export", cast("dict[str, Any]", options), EXPORT)
        task = ExportTask(target, path_pattern, overwrite=options.pop("overwrite", False))
        view = self._view(options)
        return task.run(view, self._store_id, log_time_milliseconds(self.node, self._store_id))


class ExportTask:
    """One export, its arguments checked; for threads and for tasks of asyncio."""

    __slots__ = ("_overwrite", "_pattern", "_target")

    def __init__(
        self, target: object, path_pattern: PathLike | None, *, overwrite: object
    ) -> None:
        """Check the arguments.

        Raises:
            InvalidPathError, InvalidOptionError, WrongTypeError: they are no such thing.
        """
        if not isinstance(overwrite, bool):
            raise WrongTypeError(
                f"overwrite is true or false, not {overwrite!r:.100}",
                option="overwrite",
                value=overwrite,
            )
        self._pattern = None if path_pattern is None else resolve_path(path_pattern)
        self._target = file_name(target, "target") or _writer(target)
        self._overwrite = overwrite

    def run(
        self,
        view: View,
        store_id: str,
        time_milliseconds: int,
        look: Callable[[int], object] = int,
    ) -> Exported:
        """Export a tree.

        Args:
            view: the tree.
            store_id: of which store it is.
            time_milliseconds: the log's time.
            look: called now and then, with how many tree nodes were exported since the last time;
                what it raises ends the export.
        """
        nodes = nodes_of(view.root, self._pattern)
        origin = Origin(store_id, view.index, view.term, time_milliseconds)
        return self.write(nodes, origin, look)

    def write(
        self,
        nodes: Iterator[ExportedNode],
        origin: Origin,
        look: Callable[[int], object] = int,
    ) -> Exported:
        """Write tree nodes, wherever they come from; arguments as for `run`."""
        target = self._target
        writer = (
            FileWriter(target, origin, overwrite=self._overwrite)
            if isinstance(target, str)
            else target
        )
        count = 0
        try:
            for count, node in enumerate(nodes, 1):
                writer.write(node)
                if not count % LOOK_NODES:
                    look(LOOK_NODES)
            committed = writer.commit()
        except BaseException as error:
            writer.abort(error)
            raise
        look(count % LOOK_NODES)
        return Exported(count, origin.index, origin.term, committed)


def nodes_of(root: TreeNode, pattern: Any) -> Iterator[ExportedNode]:  # noqa: ANN401 - resolved
    """Give the tree nodes of a pattern that are exported, in path order.

    Args:
        root: the tree.
        pattern: a resolved pattern; None for all, the root included.
    """
    if pattern is None:
        matches = find_many(root, resolve_path(EVERYTHING), include_root=True)
    else:
        matches = find_many(root, pattern)
    for names, node in matches:
        found = exported(root, names, node)
        if found is not None:
            yield found


def log_time_milliseconds(node: Node, store_id: str) -> int:
    """Give the log's time as this node knows it: what an entry would say that is made here now.

    Raises:
        NoSuchServerError: the store does not run here.
    """
    _, setup = node.store_setup(store_id)
    return setup.log_clock.look(server_clock())


def file_name(target: object, option: str) -> str | None:
    """Give the name of a file, None if it is something else than a name.

    Raises:
        WrongTypeError, InvalidOptionError: it is a name, but no text, or of no file.
    """
    if not isinstance(target, str | bytes | os.PathLike):
        return None
    name: Any = os.fspath(cast("str", target))
    if type(name) is not str:
        raise WrongTypeError(
            f"the name of a file is a text, not {name!r:.100}", option=option, value=name
        )
    if not name or "\0" in name:
        raise InvalidOptionError(f"{name!r:.100} is no name of a file", option=option, value=name)
    return name


def _writer(target: object) -> ExportWriter:
    if isinstance(target, type) or not isinstance(target, ExportWriter):
        raise WrongTypeError(
            "target is the name of a file, or a writer, which has write, commit and abort, not"
            f" {target!r:.100}",
            option="target",
            value=target,
        )
    return target
