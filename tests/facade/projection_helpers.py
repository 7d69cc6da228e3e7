"""What the tests of projections share: registering one, and looking when it has everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import khepri
from khepri import Projection
from tests.facade.facade_helpers import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from khepri import Path
    from khepri.types import PathLike, ProjectionTable


def register(
    store: khepri.Store,
    pattern: PathLike,
    function: Literal["copy"] | Callable[[Path, Any], Any] = "copy",
    name: str = "it",
) -> ProjectionTable:
    store.register_projection(pattern, Projection(name, function))
    return store.projection(name)


def register_extended(
    store: khepri.Store,
    pattern: PathLike,
    function: Callable[[MutableMapping[Any, Any], Path, Any, Any], object],
    props_to_return: Iterable[str] | None = None,
) -> ProjectionTable:
    projection = Projection("it", function, extended=True, props_to_return=props_to_return)
    store.register_projection(pattern, projection)
    return store.projection("it")


def now(table: ProjectionTable) -> dict[Any, Any]:
    """Give what is in a table once it has everything that was written."""
    table.wait_for(timeout=PATIENCE_SECONDS)
    return {str(key) if isinstance(key, khepri.Path) else key: it for key, it in table.items()}


def by_owner(path: Path, data: Any) -> Any:
    """One record per queue: its owner's, with the queue's name."""
    return (data["owner"], path.name)
