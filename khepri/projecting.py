"""Projections of a `Store`: tables derived from the tree, kept on this node (Khepri's, §4.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from khepri.errors import WrongTypeError
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.paths import resolve_path

from .projection_table import ProjectionKeeper, ProjectionTable, no_such_projection
from .projections import Projection
from .reading import Reader

if TYPE_CHECKING:
    from khepri.machine.paths import Path, PathLike, PathPattern


class Projector(Reader):
    """The part of a `Store` that keeps projections."""

    __slots__ = ()

    def register_projection(self, path_pattern: PathLike, projection: Projection) -> None:
        """Derive a table from the tree nodes that match a pattern, and keep it up to date.

        When it returns, the table has everything that is there now. It is filled in this thread,
        and nobody waits for that. From then on it follows each change that this node applies,
        also across a restart of the server. A tree node that does not meet the pattern any more
        is taken out. After a `join` the table is filled anew from the new tree, and readers see
        the former records until then. It ends when the store is stopped or reset, or gives up.

        Unlike in Khepri it is local: each program registers what it wants, on each start, and
        another function needs no agreement of the members.

        While there is one, plain puts cost the store about twice as much time on this node. A
        pattern with conditions other than on names before its last component, or with steps up,
        is walked again after each change on the way to its matches.

        Args:
            path_pattern: which tree nodes; conditions may be asked of them.
            projection: what is derived.

        Raises:
            ProjectionExistsError: the store has one of that name on this node.
            InvalidPathError, InvalidConditionError, WrongTypeError: bad arguments.
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: it is only being started, and that took the default timeout.
            ServerStoppedError: it was stopped, or has another tree, just now.
        """
        if not isinstance(projection, Projection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WrongTypeError(
                f"that is no projection: {projection!r:.100}",
                option="projection",
                value=projection,
            )
        keeper = ProjectionKeeper(
            self._store_id, ConcretePattern(resolve_path(path_pattern)), projection
        )
        outlet = self.access.outlet
        outlet.reserve(projection.name)
        try:
            keeper.fill(self._view({}))
            outlet.add(keeper, self.node.change_feed().ring)
        except BaseException:
            outlet.release(projection.name)
            raise

    def unregister_projections(
        self, names: Iterable[str] | Literal["all"]
    ) -> dict[str, Path | PathPattern]:
        """Keep projections no more; whoever reads one afterwards gets `NoSuchProjectionError`.

        Args:
            names: which; unknown ones are ignored. ``"all"`` for all of the store on this node.

        Returns:
            the patterns of those that were there, by name.

        Raises:
            WrongTypeError: not names.
            NoSuchServerError: the store does not run here.
        """
        outlet = self.access.outlet
        removed: dict[str, Path | PathPattern] = {}
        for name in outlet.names() if names == "all" else _checked_names(names):
            keeper = outlet.named(name)
            if isinstance(keeper, ProjectionKeeper) and outlet.remove(keeper):
                keeper.end("closed")
                removed[name] = keeper.path_pattern
        return removed

    def has_projection(self, name: str) -> bool:
        """Tell whether the store has a projection of that name on this node, filled already.

        Raises:
            WrongTypeError: not a name.
            NoSuchServerError: the store does not run here.
        """
        return self.access.outlet.named(*_checked_names([name])) is not None

    def projection(self, name: str) -> ProjectionTable:
        """Give the table of a projection, for any thread to read; keep it, it stays up to date.

        Raises:
            NoSuchProjectionError: there is none of that name.
            WrongTypeError: not a name.
            NoSuchServerError: the store does not run here.
        """
        keeper = self.access.outlet.named(*_checked_names([name]))
        if not isinstance(keeper, ProjectionKeeper):
            raise no_such_projection(name, self._store_id)
        return ProjectionTable(keeper)


def _checked_names(names: Iterable[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WrongTypeError(
            f"names are a list of names, or 'all', not {names!r:.100}", option="names", value=names
        )
    checked = list(names)
    for name in checked:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WrongTypeError(f"a name is text, not {name!r:.100}", option="name", value=name)
    return checked
