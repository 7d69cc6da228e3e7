"""The variants that return node properties (Khepri's khepri_adv).

Reads give the properties of what they found, writes those of what they changed: of a tree node
that was there before, its former data and its new versions; of a new one, its versions; of a
removed one, its last properties and a ``delete_reason``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypedDict

from khepri.machine import commands, queries
from khepri.machine.paths import Path, resolve_path
from khepri.machine.values import encode_value

from .options import (
    MANY_WRITE,
    PUT,
    PUT_MANY,
    READ,
    TELLING,
    WRITE,
    check_options,
    lifetime_options,
    returned_properties,
    ttl_milliseconds,
)
from .reading import concrete_path, one_node
from .writing import Writer

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.actors.node import Node
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties

    from .options import (
        AdvancedManyOptions,
        AdvancedManyWriteOptions,
        AdvancedPutManyOptions,
        AdvancedPutOptions,
        AdvancedReadOptions,
        AdvancedWriteOptions,
    )

    Properties = dict[Path, NodeProperties]


class _Told(TypedDict):
    """What to tell, as the machine's commands take it."""

    returning: int
    return_indirect_deletes: bool


class AdvancedStore:
    """A handle on a store whose functions return node properties; `Store.adv` gives one.

    ``props_to_return`` names the wanted properties: ``payload``, ``has_payload``,
    ``payload_version``, ``child_list_version``, ``child_list_length``, ``child_names``,
    ``delete_reason``, ``raw_payload``, ``expires_at`` (an aware datetime, of a tree node with a
    time to live), ``keep_while`` (its conditions by path or pattern, as a put takes them; of a
    tree node that has some); left out: payload, payload_version and delete_reason. They come back
    under their names, but ``payload`` as ``data``, and ``has_payload`` as ``has_data`` (``sproc``
    and ``is_sproc`` for a stored procedure). Writes also take
    ``return_indirect_deletes``: whether to tell of tree nodes removed as a consequence.

    Arguments, options, errors and durability are those of the function of the same name in
    `Store`, but for ``async_``, which there is none of; any thread may use a handle. Besides,
    every function raises `InvalidOptionError` for a property nobody knows. `get` gives the
    properties of the one tree node; all others give a dict from the path of each tree node that
    was found or changed to its properties.
    """

    __slots__ = ("_store",)

    def __init__(self, store_id: str, node: Node | None = None) -> None:
        """Make a handle."""
        self._store = Writer(store_id, node)

    @classmethod
    def of(cls, store: Any) -> Self:  # noqa: ANN401 - reads need a `Reader` only
        """Make a handle on what a reader reads or a writer writes; for `khepri.aio`."""
        handle = cls.__new__(cls)
        handle._store = store  # noqa: SLF001 - our own
        return handle

    def __repr__(self) -> str:
        """Show which store it is a handle of."""
        return f"AdvancedStore({self._store.store_id!r})"

    def get(self, path: PathLike, **options: Unpack[AdvancedReadOptions]) -> NodeProperties:
        """Give the properties of one tree node."""
        mask = returned_properties(options.pop("props_to_return", None))
        root = self._store._read("get", options, READ)  # noqa: SLF001 - the other half of Store
        return queries.properties_of(queries.find_node(root, one_node(path)), mask)

    def get_many(self, pattern: PathLike, **options: Unpack[AdvancedManyOptions]) -> Properties:
        """Give the properties of all matching tree nodes, in path order."""
        return dict(self._store._properties("get_many", pattern, options))  # noqa: SLF001

    def put(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """Create a tree node or replace its data."""
        check_options("put", options, PUT | TELLING)
        operation = commands.put(
            resolve_path(path), encode_value(data), **lifetime_options(options), **_told(options)
        )
        return self._write(operation, options)

    def put_many(
        self, pattern: PathLike, data: object, **options: Unpack[AdvancedPutManyOptions]
    ) -> Properties:
        """Replace the data of all matching tree nodes."""
        check_options("put_many", options, PUT_MANY | TELLING)
        operation = commands.put(
            resolve_path(pattern),
            encode_value(data),
            many=True,
            include_root=options.get("include_root_props", False),
            **lifetime_options(options),
            **_told(options),
        )
        return self._write(operation, options)

    def create(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """Create a tree node that must not exist yet."""
        check_options("create", options, PUT | TELLING)
        operation = commands.create(
            resolve_path(path), encode_value(data), **lifetime_options(options), **_told(options)
        )
        return self._write(operation, options)

    def update(
        self, path: PathLike, data: object, **options: Unpack[AdvancedPutOptions]
    ) -> Properties:
        """Replace the data of a tree node that must exist."""
        check_options("update", options, PUT | TELLING)
        operation = commands.update(
            resolve_path(path), encode_value(data), **lifetime_options(options), **_told(options)
        )
        return self._write(operation, options)

    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        **options: Unpack[AdvancedPutOptions],
    ) -> Properties:
        """Replace the data of a tree node whose data are as expected."""
        check_options("compare_and_swap", options, PUT | TELLING)
        operation = commands.compare_and_swap(
            resolve_path(path),
            expected,
            encode_value(data),
            **lifetime_options(options),
            **_told(options),
        )
        return self._write(operation, options)

    def delete(self, path: PathLike, **options: Unpack[AdvancedWriteOptions]) -> Properties:
        """Remove a tree node; every removed one is told, with its ``delete_reason``.

        An empty dict says that nothing was removed: there was nothing, or a condition in the path
        was not met.
        """
        check_options("delete", options, WRITE | TELLING)
        return self._write(commands.delete(resolve_path(path), **_told(options)), options)

    def delete_many(
        self, pattern: PathLike, **options: Unpack[AdvancedManyWriteOptions]
    ) -> Properties:
        """Remove all matching tree nodes."""
        check_options("delete_many", options, MANY_WRITE | TELLING)
        operation = commands.delete(
            resolve_path(pattern),
            many=True,
            include_root=options.get("include_root_props", False),
            **_told(options),
        )
        return self._write(operation, options)

    def clear_payload(self, path: PathLike, **options: Unpack[AdvancedWriteOptions]) -> Properties:
        """Take the data off a tree node."""
        check_options("clear_payload", options, WRITE | TELLING)
        return self._write(commands.clear_payload(resolve_path(path), **_told(options)), options)

    def clear_many_payloads(
        self, pattern: PathLike, **options: Unpack[AdvancedManyWriteOptions]
    ) -> Properties:
        """Take the data off all matching tree nodes."""
        check_options("clear_many_payloads", options, MANY_WRITE | TELLING)
        operation = commands.clear_payload(
            resolve_path(pattern),
            many=True,
            include_root=options.get("include_root_props", False),
            **_told(options),
        )
        return self._write(operation, options)

    def increment(
        self, path: PathLike, by: int = 1, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """Add to the whole number a tree node holds; told is, as by a put, the former one."""
        check_options("increment", options, WRITE | TELLING)
        operation = commands.increment(concrete_path(path), by, **_told(options))
        return self._write(operation, options)

    def copy(
        self, path: PathLike, new_path: PathLike, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """Copy a tree node and everything below it; told is the copy, not what is below it."""
        check_options("copy", options, WRITE | TELLING)
        operation = commands.copy(concrete_path(path), concrete_path(new_path), **_told(options))
        return self._write(operation, options)

    def move(
        self, path: PathLike, new_path: PathLike, **options: Unpack[AdvancedWriteOptions]
    ) -> Properties:
        """Move a tree node and everything below it; told are the new one and all removed ones."""
        check_options("move", options, WRITE | TELLING)
        operation = commands.move(concrete_path(path), concrete_path(new_path), **_told(options))
        return self._write(operation, options)

    def touch(
        self,
        path: PathLike,
        *,
        ttl: float | None = None,
        **options: Unpack[AdvancedWriteOptions],
    ) -> Properties:
        """Let the time to live of a tree node begin anew, or give it another one."""
        check_options("touch", options, WRITE | TELLING)
        mask = _told(options)["returning"]
        operation = commands.touch(one_node(path), ttl_milliseconds(ttl), returning=mask)
        return self._write(operation, options)

    def _write(self, operation: commands.Operation, options: AdvancedWriteOptions) -> Properties:
        changed: Properties = self._store.change(commands.encode(operation), options)
        return changed


def _told(options: AdvancedWriteOptions) -> _Told:
    """Take out of the options what is to be told."""
    return {
        "returning": returned_properties(options.get("props_to_return")),
        "return_indirect_deletes": bool(options.get("return_indirect_deletes", True)),
    }
