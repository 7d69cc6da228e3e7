"""`Store`: a handle on one store, and `open`, which starts and stops one.

The reads are in `reading.py`, the writes in `writing.py`, what returns node properties in
`advanced.py`.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from khepri.actors.ra_server_config import complete_config

from .advanced import AdvancedStore
from .calls import DEFAULT, Timeout, node_or_default
from .docstrings import with_options_of
from .exporting import Exporter
from .following import Follower
from .importer import Importer
from .informing import Informer
from .management import ClusterManager
from .projecting import Projector
from .reading import Reader
from .subscribing import Subscriber
from .transacting import Transactor
from .writing import Writer

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from khepri.actors.node import Node
    from khepri.actors.ra_server_config import RaServerConfig
    from khepri.config import RaSystemName


class Store(Transactor, Follower, Subscriber, Projector, Exporter, Importer, Informer):
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


class _OpenBlocks:
    """The blocks of `open_store` in which one store of one node is used."""

    __slots__ = ("count", "have_started_it")

    def __init__(self) -> None:
        self.count = 0
        self.have_started_it = False


_open_blocks: Final[WeakKeyDictionary[Node, dict[str, _OpenBlocks]]] = WeakKeyDictionary()
_counting: Final = threading.Lock()  # held for a moment only
# A child that is forked while another thread counts would find it locked for ever.
os.register_at_fork(
    before=_counting.acquire, after_in_parent=_counting.release, after_in_child=_counting.release
)


@contextmanager
def open_store(
    ra_system_or_data_dir: str | os.PathLike[str] | RaSystemName | None = None,
    store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
    *,
    timeout: Timeout = DEFAULT,
    node: Node | None = None,
) -> Generator[Store]:
    """Start a store, give its handle, and stop it at the end; data stay.

    It is `khepri.open`. Blocks of one store may lie in each other or run in several threads: the
    last one that ends stops it. A store that ran before all of them goes on running.

    Arguments and errors as for `khepri.start`.
    """
    config, opened_on = complete_config(store_id_or_config), node_or_default(node)
    store_id, manager = config.cluster_name, ClusterManager(opened_on)
    with _counting:
        stores = _open_blocks.setdefault(opened_on, {})
        blocks = stores.setdefault(store_id, _OpenBlocks())
        blocks.count += 1
    is_ours = False
    try:
        ran_before = store_id in opened_on.stores
        manager.start(ra_system_or_data_dir, config, timeout)
        is_ours = not ran_before
        yield Store(store_id, node)
    finally:
        with _counting:
            blocks.have_started_it |= is_ours
            blocks.count -= 1
            is_last = not blocks.count
            if is_last:
                del stores[store_id]
        if is_last and blocks.have_started_it:
            manager.stop(store_id)
