"""A store in memory for users' tests: real actors, no files, nothing left behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from khepri.actors.node import Node
from khepri.errors import WrongTypeError
from khepri.log.shared_file_system import SharedFileSystem
from khepri.management import ClusterManager
from khepri.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from khepri.actors.ra_server_config import RaServerConfig

DIRECTORY = "/memory"
"""Where the store's files are, in the file system in memory."""


@contextmanager
def memory_store(
    store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
    *,
    file_system: SharedFileSystem | None = None,
) -> Generator[Store]:
    """Run a store in memory, on a node of its own, as long as the block lasts.

    Everything works as with files: it is the same code on another file system. Any number of such
    stores run side by side, also of the same name.

    Args:
        store_id_or_config: as for `khepri.start`.
        file_system: give the same one again to find the data of an earlier block, as after a
            restart. Its ``inner`` twin can lose what was not synced and can refuse writes.

    Yields:
        the handle of the store.

    Raises:
        WrongTypeError: `file_system` is none of these.
        KhepriError: as `khepri.start`.
    """
    if file_system is None:
        file_system = SharedFileSystem()
    elif not isinstance(file_system, SharedFileSystem):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WrongTypeError(
            f"file_system is a SharedFileSystem, not {file_system!r:.100}",
            option="file_system",
            value=file_system,
        )
    node = Node(file_system=file_system)
    try:
        store_id = ClusterManager(node).start(DIRECTORY, store_id_or_config)
        yield Store(store_id, node)
    finally:
        node.stop()
