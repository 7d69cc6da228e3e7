"""One tree node as it is exported: what `export` gives a writer and `import_` takes of a reader.

Here are what such a node is, how one is made of a tree and of plain values, and what is refused.
Files are in `export_file.py`; what becomes of nodes in a store is in `importing.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from khepri.encoding import EncodingError, pack
from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.machine.command_codes import keep_while_to_plain
from khepri.machine.components import Condition
from khepri.machine.condition_codec import component_from_plain, component_to_plain
from khepri.machine.data_pattern_codec import list_of
from khepri.machine.keep_while import Watch, first_unmet, literal_prefix
from khepri.machine.names import MAX_PATH_COMPONENTS
from khepri.machine.paths import Path, PathPattern, abspath, resolve_path
from khepri.machine.properties import known_path
from khepri.machine.values import decode_value, encode_value

from .reading import concrete_path

if TYPE_CHECKING:
    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.keep_while import KeepWhile
    from khepri.machine.paths import PathLike
    from khepri.machine.tree import Names, TreeNode

_PLAIN: Final = 2  # of what most nodes have: a path and a payload
_WHOLE: Final = 7


class ExportedNode(NamedTuple):
    """A tree node in an export: everything that is kept of it. Versions are not.

    Attributes:
        path: where it is.
        payload: its payload as the store holds it, None for none; `data` decodes it.
        keep_while: pairs of a path or pattern, from the root on, and the condition there, under
            all of which it lives.
        expires_at_milliseconds: until when it lives, in the log's time: milliseconds since 1970;
            None if it has no end.
        ttl_milliseconds: the time to live it was given last, None if none.
        is_implicit: it was made on the way to a child, and goes with its last child once it has no
            payload.
        is_waiting: some of its conditions are on itself or on what is below it, and are not met.
            They are not asked of a tree node that is just being made, but from the next change on
            of what they look at.
    """

    path: Path
    payload: bytes | None
    keep_while: tuple[Watch, ...] = ()
    expires_at_milliseconds: int | None = None
    ttl_milliseconds: int | None = None
    is_implicit: bool = False
    is_waiting: bool = False

    @classmethod
    def of(
        cls, path: PathLike, data: object, *, keep_while: KeepWhileOption | None = None
    ) -> Self:
        """Make one of data, for a reader of a format of your own.

        Args:
            path: of one tree node, without conditions.
            data: what `put` takes; `khepri.ProcedureName` for the name of a stored
                procedure.
            keep_while: as for `put`.

        Raises:
            InvalidPathError, ManyNodesDeniedError: not the path of one tree node.
            InvalidValueError: the data cannot be carried.
            InvalidConditionError, WrongTypeError: in `keep_while`.
        """
        at = concrete_path(path)
        watches = tuple(
            Watch(
                abspath(PathPattern([component_from_plain(part) for part in pattern]), at),
                component_from_plain(condition),
            )
            for pattern, condition in keep_while_to_plain(keep_while or {})
        )
        return cls(at, encode_value(data), watches)

    @property
    def data(self) -> Any:  # noqa: ANN401 - what was put
        """A new copy of what was put; None without payload."""
        return None if self.payload is None else decode_value(self.payload)

    @property
    def has_payload(self) -> bool:
        """Whether there is one; `data` is None also where None was put."""
        return self.payload is not None

    def to_plain(self) -> list[Any]:
        """Give it as lists, texts, numbers and bytes, for formats that carry these."""
        if self[_PLAIN:] == _USUAL:
            return [list(self.path), self.payload]
        watches = [
            [[component_to_plain(part) for part in pattern], component_to_plain(condition)]
            for pattern, condition in self.keep_while
        ]
        return [list(self.path), self.payload, watches, *self[_PLAIN + 1 :]]

    def about_bytes(self) -> int:
        """Give how many bytes the packed plain values take, but for small change."""
        if self.keep_while:  # may be larger than all the rest, and is rare
            return len(pack(self.to_plain()))
        return len(self.payload or b"") + sum(map(len, self.path))

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """Give back what `to_plain` was called on.

        Raises:
            EncodingError: it is something else; it is a `khepri.KhepriError`.
        """
        parts = list_of(plain)
        if len(parts) not in (_PLAIN, _WHOLE):
            raise EncodingError("not a tree node: a list of two or seven")
        names, payload, *rest = parts
        if not all(type(name) is str for name in list_of(names)):
            raise EncodingError("not a tree node: its path is no list of names")
        try:
            path = Path(list_of(names))
            watches = _watches_from_plain(rest[0]) if rest else ()
            node = cls(path, payload, watches, *rest[1:])
            check(node)
        except EncodingError:
            raise
        except (TypeError, ValueError) as error:  # a misuse here is one of the file's
            raise EncodingError(f"not a tree node: {error}") from error
        return node


_USUAL: Final = ExportedNode(Path(), None)[_PLAIN:]


def exported(root: TreeNode, names: Names, node: TreeNode) -> ExportedNode | None:
    """Give a tree node as it is exported.

    Args:
        root: of the tree.
        names: where the tree node is.
        node: the tree node.

    Returns:
        None for one that comes back by itself with what is below it, or that is always there: a
        parent made on the way to a child, and the root, without a payload.
    """
    kept = node.keep_while
    if kept is None:
        is_there_anyway = node.payload is None and not names
        return None if is_there_anyway else ExportedNode(known_path(names), node.payload)
    if node.payload is None and not kept.watches and kept.expiry is None:
        return None
    return ExportedNode(
        known_path(names),
        node.payload,
        kept.watches,
        None if kept.expiry is None else kept.expiry.at_milliseconds,
        None if kept.expiry is None else kept.expiry.ttl_milliseconds,
        kept.is_implicit,
        _is_about_itself(names, kept) and first_unmet(root, kept) is not None,
    )


def _is_about_itself(names: Names, kept: KeepWhile) -> bool:
    """Tell whether there are conditions on a tree node itself or on what is below it."""
    return any(literal_prefix(pattern)[: len(names)] == names for pattern, _ in kept.watches)


def check(node: object) -> None:
    """Refuse what no store can hold.

    Raises:
        WrongTypeError: it, or a part of it, is of another type.
        InvalidOptionError: the root cannot have what it says.
        EncodingError: its payload is no encoded value.
    """
    if not isinstance(node, ExportedNode):
        raise _wrong("a reader gives ExportedNode", node)
    if type(node.path) is not Path or len(node.path) > MAX_PATH_COMPONENTS:
        raise _wrong("the path of an ExportedNode is a Path", node.path)
    if node.payload is not None:
        if type(node.payload) is not bytes or not node.payload:
            raise _wrong("the payload of an ExportedNode is bytes", node.payload)
        decode_value(node.payload)
    if node[_PLAIN:] != _USUAL:
        _check_lifetime(node)


def _check_lifetime(node: ExportedNode) -> None:
    watches: tuple[Any, ...] = node.keep_while
    if type(watches) is not tuple:
        raise _wrong("keep_while of an ExportedNode is a tuple of pairs", watches)
    for watch in map(_pair, watches):
        if not isinstance(watch[0], Path | PathPattern) or not isinstance(
            watch[1], Condition | str
        ):
            raise _wrong("keep_while of an ExportedNode has pairs of path and condition", watch)
    for number in (node.expires_at_milliseconds, node.ttl_milliseconds):
        if number is not None and (type(number) is not int or not 0 < number < 1 << 62):
            raise _wrong("times of an ExportedNode are milliseconds", number)
    if type(node.is_implicit) is not bool or type(node.is_waiting) is not bool:
        raise _wrong("marks of an ExportedNode are true or false", node[-_PLAIN:])
    if not node.path:
        raise InvalidOptionError(
            "the root stays whatever happens and lives under nothing", option="node", value=node
        )


def _pair(watch: Any) -> tuple[object, object]:  # noqa: ANN401 - whatever somebody has made
    if type(watch) not in (tuple, Watch) or len(watch) != _PLAIN:
        raise _wrong("keep_while of an ExportedNode is a tuple of pairs", watch)
    return watch[0], watch[1]


def _wrong(what: str, value: object) -> WrongTypeError:
    return WrongTypeError(f"{what}, not {value!r:.100}", option="node", value=value)


def _watches_from_plain(plain: object) -> tuple[Watch, ...]:
    watches: list[Watch] = []
    for pattern, condition in map(list_of, list_of(plain)):
        parts = [component_from_plain(part) for part in list_of(pattern)]
        watches.append(Watch(resolve_path(parts), component_from_plain(condition)))
    return tuple(watches)
