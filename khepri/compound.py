"""What a batch and a transaction have in common: writes that are added one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from khepri.machine import commands
from khepri.machine.paths import resolve_path
from khepri.machine.values import encode_value

from .options import lifetime_options, ttl_milliseconds
from .reading import concrete_path, one_node

if TYPE_CHECKING:
    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike


class CompoundWrite(ABC):
    """Writes that are applied together: each sees those before it, and all are done, or none.

    Arguments are checked when a write is added, and encoded: what happens to them afterwards
    changes nothing. One thread.

    Each function takes the arguments of the function of the same name in `Store`, without those
    that say how it is sent, and raises at once what that would raise for bad arguments.
    """

    __slots__ = ()

    @abstractmethod
    def _add(self, operation: commands.Operation) -> None:
        """Take one more."""

    def put(
        self,
        path: PathLike,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
    ) -> None:
        """Add a `Store.put`."""
        self._add(
            commands.put(
                resolve_path(path),
                encode_value(data),
                **lifetime_options({"keep_while": keep_while, "ttl": ttl}),
            )
        )

    def create(
        self,
        path: PathLike,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
    ) -> None:
        """Add a `Store.create`."""
        self._add(
            commands.create(
                resolve_path(path),
                encode_value(data),
                **lifetime_options({"keep_while": keep_while, "ttl": ttl}),
            )
        )

    def update(
        self,
        path: PathLike,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
    ) -> None:
        """Add a `Store.update`."""
        self._add(
            commands.update(
                resolve_path(path),
                encode_value(data),
                **lifetime_options({"keep_while": keep_while, "ttl": ttl}),
            )
        )

    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
    ) -> None:
        """Add a `Store.compare_and_swap`: if it does not fit, nothing at all is done."""
        self._add(
            commands.compare_and_swap(
                resolve_path(path),
                expected,
                encode_value(data),
                **lifetime_options({"keep_while": keep_while, "ttl": ttl}),
            )
        )

    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        keep_while: KeepWhileOption | None = None,
        ttl: float | None = None,
        include_root_props: bool = False,
    ) -> None:
        """Add a `Store.put_many`."""
        self._add(
            commands.put(
                resolve_path(pattern),
                encode_value(data),
                many=True,
                **lifetime_options({"keep_while": keep_while, "ttl": ttl}),
                include_root=include_root_props,
            )
        )

    def require(self, path: PathLike) -> None:
        """Do all of it only if one tree node is as a path says; change nothing of that.

        Args:
            path: of the tree node, which must be there and meet the path's conditions as the
                operations before have left it. With ``IfNodeExists(False)``, alone or in an
                `khepri.IfAny`, it may be missing.

        Raises:
            ManyNodesDeniedError: the path is a pattern that may match several.
            NodeNotFoundError, MismatchingNodeError: it is not so; of a batch by its `commit`.
        """
        self._add(commands.require(one_node(path)))

    def delete(self, path: PathLike) -> None:
        """Add a `Store.delete`.

        It is no guard: if a condition in its path is not met, it removes nothing, and the rest is
        done all the same. `require` is one.
        """
        self._add(commands.delete(resolve_path(path)))

    def delete_many(self, pattern: PathLike, *, include_root_props: bool = False) -> None:
        """Add a `Store.delete_many`."""
        self._add(
            commands.delete(resolve_path(pattern), many=True, include_root=include_root_props)
        )

    def clear_payload(self, path: PathLike) -> None:
        """Add a `Store.clear_payload`."""
        self._add(commands.clear_payload(resolve_path(path)))

    def clear_many_payloads(self, pattern: PathLike, *, include_root_props: bool = False) -> None:
        """Add a `Store.clear_many_payloads`."""
        self._add(
            commands.clear_payload(
                resolve_path(pattern), many=True, include_root=include_root_props
            )
        )

    def copy(self, path: PathLike, new_path: PathLike) -> None:
        """Add a `Store.copy`."""
        self._add(commands.copy(concrete_path(path), concrete_path(new_path)))

    def move(self, path: PathLike, new_path: PathLike) -> None:
        """Add a `Store.move`."""
        self._add(commands.move(concrete_path(path), concrete_path(new_path)))

    def touch(self, path: PathLike, *, ttl: float | None = None) -> None:
        """Add a `Store.touch`."""
        self._add(commands.touch(one_node(path), ttl_milliseconds(ttl)))
