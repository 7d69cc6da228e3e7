"""Views: one immutable tree to hold on to, and what differs between two of them. Beyond Khepri."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.machine.diff import diff
from khepri.machine.paths import Path  # noqa: TC001 - a field of a NamedTuple
from khepri.machine.properties import known_path
from khepri.machine.queries import properties_of

from .options import READ, check_unknown, returned_properties
from .reading import Reader, concrete_path

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties
    from khepri.machine.tree import Names, TreeNode

    from .options import AdvancedReadOptions, ReadOptions


class Difference(NamedTuple):
    """A tree node that differs between two views.

    Attributes:
        path: where.
        old: its properties in the earlier view, None if it was not there.
        new: its properties in the later view, None if it is not there.
    """

    path: Path
    old: NodeProperties | None
    new: NodeProperties | None

    @property
    def kind(self) -> Literal["create", "update", "delete"]:
        """How it differs: it was not there, it is there no more, or it is another one."""
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "update"


class Viewer(Reader):
    """The part of a `Store` that gives views and compares them."""

    __slots__ = ()

    def view(self, **options: Unpack[ReadOptions]) -> TreeView:
        """Give the tree as it is now, to hold on to.

        It never changes, and every reading function works on it: for pages that follow each
        other, for several reads that must fit together, and as ``since`` of a `diff`. It keeps
        the memory of what was changed since, so let go of it.

        Args:
            options: as for `get`.
        """
        check_unknown("view", cast("dict[str, Any]", options), READ)
        return TreeView(self._store_id, self._view(options))

    def diff(
        self, path: PathLike, since: TreeView, **options: Unpack[AdvancedReadOptions]
    ) -> list[Difference]:
        """Tell what differs at and below a path between an earlier view and the tree now.

        What did not change is shared by both trees and not looked at, so the cost is that of the
        changes, and of the families of children they lie in. A tree node differs if its data, a
        version or the names of its children do.

        Args:
            path: of one tree node; ``"/"`` for everything.
            since: what `view` gave of the same store.
            options: as for `get`; ``props_to_return`` as for the functions of `AdvancedStore`.

        Returns:
            one difference per path, in path order.
        """
        check_unknown("diff", cast("dict[str, Any]", options), READ | {"props_to_return"})
        checked_since(since, self._store_id)
        mask = returned_properties(options.get("props_to_return"))
        top = tuple(concrete_path(path))
        now = self._view(options).root
        return [
            Difference(
                known_path(at),
                None if old is None else properties_of(old, mask),
                None if new is None else properties_of(new, mask),
            )
            for at, old, new, _reason in diff(_at(since.held.root, top), _at(now, top), top)
        ]


class TreeView(Viewer):
    """One immutable tree of a store, as `Store.view` gave it. Any thread may read it.

    It has all reading functions of `Store`. Their options ``favor`` and ``condition`` have no
    meaning here and are refused: the tree is what it is.
    """

    __slots__ = ("held",)

    def __init__(self, store_id: str, view: View) -> None:
        """Hold a tree; `Store.view` does."""
        super().__init__(store_id)
        self.held = view
        # The short cut of `get` looks for the store's published view here.
        self._stores = cast("Any", {store_id: _Held(view)})

    @property
    def index(self) -> int:
        """The log index up to which it has everything; see `khepri.applied`."""
        return self.held.index

    @property
    def term(self) -> int:
        """The term of that index."""
        return self.held.term

    def __repr__(self) -> str:
        """Show of what store and place it is."""
        return f"<view of {self._store_id!r} at index {self.index}, term {self.term}>"

    def _view(self, options: ReadOptions) -> View:
        for option in ("favor", "condition"):
            if option in options:
                raise InvalidOptionError(
                    f"a view does not change, so {option}= has no meaning here",
                    option=option,
                    value=options.get(option),
                )
        return self.held


def checked_since(since: TreeView, store_id: str) -> TreeView:
    """Give a view that something is to be compared with.

    Raises:
        WrongTypeError: it is none.
        InvalidOptionError: it is one of another store.
    """
    if not isinstance(since, TreeView):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WrongTypeError(
            f"since is a view of a store, not {since!r:.100}", option="since", value=since
        )
    if since.store_id != store_id:
        raise InvalidOptionError(
            f"since is a view of the store {since.store_id!r}, not of {store_id!r}",
            option="since",
            value=since,
        )
    return since


class _Held:
    """Looks to the short cut of `get` like the published face of a store."""

    __slots__ = ("view",)

    def __init__(self, view: View) -> None:
        self.view = view


def _at(root: TreeNode, path: Names) -> TreeNode | None:
    node: TreeNode | None = root
    for name in path:
        if node is None:
            return None
        node = node.children.get(name)
    return node
