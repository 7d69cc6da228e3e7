"""How the changes of tree nodes become records: the three kinds of projections.

Each is a function of the tree alone: filled from it, or kept through any changes, in whatever
portions they come, the records are the same. (Not the extended kind, whose function does as it
likes.)
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Protocol, cast

from khepri.machine.properties import known_path
from khepri.machine.queries import properties_of
from khepri.machine.values import decode_value

from .projection_records import CopiedRecords, Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from khepri.machine.properties import NodeProperties
    from khepri.machine.tree import Names, TreeNode


class Content(Protocol):
    """The records of a projection, as its writer sees them. One thread."""

    def change(self, path: Names, old: TreeNode | None, new: TreeNode | None) -> None:
        """Have the records follow a tree node.

        Args:
            path: where.
            old: as it was, None if it did not match.
            new: as it is, None if it does not match.

        Raises:
            Exception: what the host's function raises; then nothing has changed.
        """
        ...

    def records(self) -> Mapping[Any, Any]:
        """Give the records as they are now; they never change."""
        ...


class Copy:
    """Data by path."""

    def __init__(self) -> None:
        """Begin without records."""
        self._draft = Draft()

    def change(self, path: Names, old: TreeNode | None, new: TreeNode | None) -> None:
        """See `Content`."""
        del old
        if new is not None and new.has_data:
            self._draft[path] = new.payload
        else:
            self._draft.pop(path, None)

    def records(self) -> Mapping[Any, Any]:
        """See `Content`."""
        return CopiedRecords(self._draft.finish())


class Simple:
    """The records that a function makes of each tree node that has data.

    Of records with the same key, from several paths, the one of the last path in path order is
    seen, as if a dict had been filled in that order; when it goes the one before is seen again.
    """

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        """Begin without records."""
        self._function = function
        self._draft = Draft()
        self._of_path: dict[Names, dict[Any, Any]] = {}
        # The path a key comes from; a sorted list if there are several.
        self._paths_of: dict[Any, Names | list[Names]] = {}

    def change(self, path: Names, old: TreeNode | None, new: TreeNode | None) -> None:
        """See `Content`."""
        if old is not None and new is not None and old.payload == new.payload:
            return  # only its children, or a version
        given: dict[Any, Any] = {}
        if new is not None and new.has_data:
            assert new.payload is not None
            given = _as_records(self._function(known_path(path), decode_value(new.payload)))
        had = self._of_path.get(path, {})
        for key in had:
            if key not in given:
                self._withdraw(key, path)
        if given:
            self._of_path[path] = given
        else:
            self._of_path.pop(path, None)
        for key, value in given.items():
            self._put(key, path, value)

    def records(self) -> Mapping[Any, Any]:
        """See `Content`."""
        return cast("Mapping[Any, Any]", self._draft.finish())

    def _put(self, key: object, path: Names, value: object) -> None:
        paths = self._paths_of.get(key)
        if paths is None or paths == path:
            self._paths_of[key] = path
        else:
            if isinstance(paths, tuple):
                self._paths_of[key] = paths = [paths]
            # Searched by halves: many paths may have one key, and each is written at its time.
            place = bisect_left(paths, path)
            if paths[place : place + 1] != [path]:
                paths.insert(place, path)
            if paths[-1] != path:
                return
        self._draft[key] = value

    def _withdraw(self, key: object, path: Names) -> None:
        paths = self._paths_of[key]
        if isinstance(paths, tuple):
            del self._paths_of[key], self._draft[key]
            return
        del paths[bisect_left(paths, path)]
        if len(paths) == 1:
            self._paths_of[key] = paths[0]
        self._draft[key] = self._of_path[paths[-1]][key]


class Extended:
    """The records that a function manages itself."""

    def __init__(
        self,
        function: Callable[[Draft, Any, NodeProperties | None, NodeProperties | None], object],
        mask: int,
    ) -> None:
        """Begin without records."""
        self._function = function
        self._mask = mask
        self._draft = Draft()

    def change(self, path: Names, old: TreeNode | None, new: TreeNode | None) -> None:
        """See `Content`."""
        before = self._draft.finish()
        try:
            self._function(
                self._draft, known_path(path), self._properties(old), self._properties(new)
            )
        except BaseException:
            self._draft.go_back(before)
            raise

    def records(self) -> Mapping[Any, Any]:
        """See `Content`."""
        return cast("Mapping[Any, Any]", self._draft.finish())

    def _properties(self, node: TreeNode | None) -> NodeProperties | None:
        return None if node is None else properties_of(node, self._mask)


def _as_records(result: object) -> dict[Any, Any]:
    """Give what a function has made as records by key.

    Raises:
        TypeError: it is no record, no list of them and not None; or a key has no hash.
    """
    if result is None:
        return {}
    records = cast("list[object]", result) if isinstance(result, list) else [result]
    by_key: dict[Any, Any] = {}
    for record in records:
        parts = cast("Sequence[Any]", record) if isinstance(record, tuple) else ()
        if len(parts) != 2:  # noqa: PLR2004
            raise TypeError(
                "a projection's function gives (key, value), a list of these, or None, not "
                f"{record!r:.100}"
            )
        key, value = parts
        by_key[key] = value
    return by_key
