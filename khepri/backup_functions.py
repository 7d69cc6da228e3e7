"""Export and import for the default store, or with ``store_id=``.

Each is the method of the same name of `Store`: its arguments, results and errors are told there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.config import get_default_store_id

from .docstrings import tell_as_methods
from .store import Store

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from khepri.machine.paths import PathLike

    from .exporting import Exported, ExportOptions, ExportWriter
    from .import_sources import ExportReader
    from .importing import Imported
    from .options import WriteOptions


def _store(store_id: str | None) -> Store:
    return Store(get_default_store_id() if store_id is None else store_id)


def export(
    target: str | os.PathLike[str] | ExportWriter,
    path_pattern: PathLike | None = None,
    *,
    store_id: str | None = None,
    **options: Unpack[ExportOptions],
) -> Exported:
    """See `khepri.Store.export`."""
    return _store(store_id).export(target, path_pattern, **options)


def import_(
    source: str | os.PathLike[str] | ExportReader,
    *,
    store_id: str | None = None,
    **options: Unpack[WriteOptions],
) -> Imported:
    """See `khepri.Store.import_`."""
    return _store(store_id).import_(source, **options)


tell_as_methods(globals(), Store)
