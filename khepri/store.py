"""`Store`: a handle on one store, and `open`, which starts and stops one.

The reads are in `reading.py`, the writes in `writing.py`, what returns node properties in
`advanced.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .advanced import AdvancedStore
from .calls import DEFAULT, Timeout
from .docstrings import with_options_of
from .management import ClusterManager
from .reading import Reader
from .writing import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Mapping

    from khepri.actors.node import Node
    from khepri.actors.ra_server_config import RaServerConfig
    from khepri.config import RaSystemName


class Store(Writer):
    """A handle on a store of this process; without state, so make as many as you like.

    Every function may be called from any thread. The functions of the module `khepri` are the
    same with the default store.
    """

    __slots__ = ()
    __doc__ = with_options_of(__doc__, Reader, Writer)

    @property
    def adv(self) -> AdvancedStore:
        """The variants that return node properties."""
        return AdvancedStore(self._store_id, self._node)

    def __repr__(self) -> str:
        """Show which store it is a handle of."""
        return f"Store({self._store_id!r})"


@contextmanager
def open_store(
    ra_system_or_data_dir: str | os.PathLike[str] | RaSystemName | None = None,
    store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
    *,
    timeout: Timeout = DEFAULT,
    node: Node | None = None,
) -> Generator[Store]:
    """Start a store, give its handle, and stop it at the end; data stay.

    It is `khepri.open`. Arguments and errors as for `khepri.start`.
    """
    manager = ClusterManager(node)
    store_id = manager.start(ra_system_or_data_dir, store_id_or_config, timeout)
    try:
        yield Store(store_id, node)
    finally:
        manager.stop(store_id)
