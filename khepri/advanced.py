"""The variants that return node properties (Khepri's khepri_adv).

Reads give the properties of what they found, writes those of what they changed: of a tree node
that was there before, its former data and its new versions; of a new one, its versions; of a
removed one, its last properties and a ``delete_reason``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.machine import commands, queries
from khepri.machine.paths import Path, resolve_path
from khepri.machine.values import encode_value

from .calls import DEFAULT, Timeout
from .options import Favor, returned_properties
from .reading import one_node
from .writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties

    Properties = dict[Path, NodeProperties]


class AdvancedStore:
    """A handle on a store whose functions return node properties; `Store.adv` gives one.

    ``props_to_return`` names the wanted properties: ``payload``, ``has_payload``,
    ``payload_version``, ``child_list_version``, ``child_list_length``, ``child_names``,
    ``delete_reason``, ``raw_payload``; left out: payload, payload_version and delete_reason.
    Errors and all other options as for the function of the same name in `Store`.
    """

    __slots__ = ("_store",)

    def __init__(self, store_id: str, node: Any = None) -> None:  # noqa: ANN401
        """Make a handle."""
        self._store = Writer(store_id, node)

    def get(
        self,
        path: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
    ) -> NodeProperties:
        """Give the properties of one tree node."""
        mask = returned_properties(props_to_return)
        root = self._store._root(timeout, favor)  # noqa: SLF001 - the other half of Store
        return queries.properties_of(queries.find_node(root, one_node(path)), mask)

    def get_many(
        self,
        pattern: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        favor: Favor = "low_latency",
        props_to_return: Iterable[str] | None = None,
        include_root_props: bool = False,
    ) -> Properties:
        """Give the properties of all matching tree nodes, in path order."""
        mask = returned_properties(props_to_return)
        root = self._store._root(timeout, favor)  # noqa: SLF001
        return dict(
            queries.walk(root, resolve_path(pattern), mask, include_root=include_root_props)
        )

    def put(
        self,
        path: PathLike,
        data: object,
        *,
        timeout: Timeout = DEFAULT,
        keep_while: KeepWhileOption | None = None,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Create a tree node or replace its data."""
        return self._write(
            commands.put(
                resolve_path(path),
                encode_value(data),
                keep_while=keep_while,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        timeout: Timeout = DEFAULT,
        keep_while: KeepWhileOption | None = None,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
        include_root_props: bool = False,
    ) -> Properties:
        """Replace the data of all matching tree nodes."""
        return self._write(
            commands.put(
                resolve_path(pattern),
                encode_value(data),
                many=True,
                keep_while=keep_while,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
                include_root=include_root_props,
            ),
            timeout,
        )

    def create(
        self,
        path: PathLike,
        data: object,
        *,
        timeout: Timeout = DEFAULT,
        keep_while: KeepWhileOption | None = None,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Create a tree node that must not exist yet."""
        return self._write(
            commands.create(
                resolve_path(path),
                encode_value(data),
                keep_while=keep_while,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def update(
        self,
        path: PathLike,
        data: object,
        *,
        timeout: Timeout = DEFAULT,
        keep_while: KeepWhileOption | None = None,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Replace the data of a tree node that must exist."""
        return self._write(
            commands.update(
                resolve_path(path),
                encode_value(data),
                keep_while=keep_while,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        timeout: Timeout = DEFAULT,
        keep_while: KeepWhileOption | None = None,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Replace the data of a tree node whose data are as expected."""
        return self._write(
            commands.compare_and_swap(
                resolve_path(path),
                expected,
                encode_value(data),
                keep_while=keep_while,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def delete(
        self,
        path: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Remove a tree node; every removed one is told, with its ``delete_reason``."""
        return self._write(
            commands.delete(
                resolve_path(path),
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def delete_many(
        self,
        pattern: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
        include_root_props: bool = False,
    ) -> Properties:
        """Remove all matching tree nodes."""
        return self._write(
            commands.delete(
                resolve_path(pattern),
                many=True,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
                include_root=include_root_props,
            ),
            timeout,
        )

    def clear_payload(
        self,
        path: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
    ) -> Properties:
        """Take the data off a tree node."""
        return self._write(
            commands.clear_payload(
                resolve_path(path),
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
            ),
            timeout,
        )

    def clear_many_payloads(
        self,
        pattern: PathLike,
        *,
        timeout: Timeout = DEFAULT,
        props_to_return: Iterable[str] | None = None,
        return_indirect_deletes: bool = True,
        include_root_props: bool = False,
    ) -> Properties:
        """Take the data off all matching tree nodes."""
        return self._write(
            commands.clear_payload(
                resolve_path(pattern),
                many=True,
                returning=returned_properties(props_to_return),
                return_indirect_deletes=return_indirect_deletes,
                include_root=include_root_props,
            ),
            timeout,
        )

    def _write(self, operation: commands.Operation, timeout: Timeout) -> Properties:
        changed: Properties = self._store.change(commands.encode(operation), timeout)
        return changed
