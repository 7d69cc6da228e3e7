"""The writes of a store: encoded here, applied by every member, answered once they are.

A write that returned is on the disks of a majority, is applied on this node, and is visible to
the next local read here. It is applied exactly once, however often it had to be sent. One that
ran out of time may still be applied, once.

It is longer than other files because each function is declared for every kind of ``async_``:
false, true, and a flag that only the program knows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from khepri.actors.server_messages import ConsistentRead
from khepri.machine import commands
from khepri.machine.paths import resolve_path
from khepri.machine.values import encode_value

from .batch import Batch
from .calls import DEFAULT, Timeout, call, result, timeout_seconds
from .more_writing import MoreWriter
from .options import (
    MANY_WRITE,
    PUT,
    PUT_MANY,
    WRITE,
    ManyWriteOptions,
    PutManyOptions,
    PutOptions,
    WriteOptions,
    check_options,
    lifetime_options,
)

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

T = TypeVar("T")


class Writer(MoreWriter):
    """The writing half of a `Store`.

    A write that returned is on the disks of a majority of the members, is applied on this node,
    and is visible to the next local read here. It is applied exactly once, however often it had
    to be sent. All writing functions take ``timeout`` (seconds for the whole call) and
    ``async_``: if true they return a future at once, whose ``get(timeout=...)`` gives the result
    or raises the error, and which can be awaited. Writes of one thread are applied in the order
    of the calls.

    Functions that put also take ``keep_while`` (paths to conditions under which the written tree
    node lives) and ``ttl`` (seconds that it lives from now on, see `touch`); functions on many
    tree nodes take ``include_root_props``.

    Two options say how a write is sent. ``reply_from`` names a member that must have applied it
    too before the call returns, so that a local read there sees it: ``"leader"``, a
    `khepri.ServerId`, or the name of a node; ``"local"``, the default, waits for no other. If that
    member does not answer within the time, the write is done nevertheless: the error's
    ``outcome`` is ``"applied"``. ``priority="low"`` is for bulk work: such writes go behind all
    normal ones that wait, a few at a time, so nobody waits for them; among themselves they keep
    their order. Reads with ``favor="consistency"`` and `fence` do not wait for them either.

    Errors that every function may raise: `MisuseError` for bad arguments, before anything is
    sent; `NoSuchServerError` if the store does not run here; `OverloadedError` and the
    `StorageError`s `DiskFullError`, `DiskFailedError` and `DirectoryAccessError` if it cannot take
    the write now; `KhepriTimeoutError` and `ServerStoppedError`, after which the outcome is
    unknown unless their ``outcome`` says ``"not_applied"`` or ``"applied"``; `NotAMemberError` if
    ``reply_from`` is no member.
    """

    __slots__ = ()

    @overload
    def put(
        self,
        path: PathLike,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutOptions],
    ) -> None: ...
    @overload
    def put(
        self, path: PathLike, data: object, *, async_: Literal[True], **options: Unpack[PutOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def put(
        self, path: PathLike, data: object, *, async_: bool, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None: ...
    def put(
        self,
        path: PathLike,
        data: object,
        *,
        async_: bool = False,
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None] | None:
        """Create a tree node or replace its data; missing parents are made (Khepri's put/2).

        Args:
            path: of one tree node; conditions asked of it must be met.
            data: None, bool, int of 64 bits, float, str, bytes, list, tuple, dict, aware
                datetime, UUID, nested as liked.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            InvalidValueError: the data cannot be carried; says what and where.
            ValueTooLargeError: the data are above ``max_command_bytes``.
            ManyNodesDeniedError: the path is a pattern that may match several.
            MismatchingNodeError, NodeNotFoundError: a condition in the path is not met.
            KeepWhileConditionsNotMetError: a ``keep_while`` condition is unmet already.
        """
        payload = encode_value(data)
        if not options:
            command = commands.encode_put_at(path, payload)
            if command is not None:
                sent: KhepriFuture[None] | None = self._send(command, DEFAULT, async_)
                return sent
        check_options("put", options, PUT)
        operation = commands.put(resolve_path(path), payload, **lifetime_options(options))
        return self._write(operation, options, async_)

    @overload
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutManyOptions],
    ) -> None: ...
    @overload
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: Literal[True],
        **options: Unpack[PutManyOptions],
    ) -> KhepriFuture[None]: ...
    @overload
    def put_many(
        self, pattern: PathLike, data: object, *, async_: bool, **options: Unpack[PutManyOptions]
    ) -> KhepriFuture[None] | None: ...
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: bool = False,
        **options: Unpack[PutManyOptions],
    ) -> KhepriFuture[None] | None:
        """Replace the data of all matching tree nodes; names at the end are created as by `put`.

        Nothing matching is no error. Arguments and errors as for `put`.
        """
        check_options("put_many", options, PUT_MANY)
        operation = commands.put(
            resolve_path(pattern),
            encode_value(data),
            many=True,
            include_root=options.get("include_root_props", False),
            **lifetime_options(options),
        )
        return self._write(operation, options, async_)

    @overload
    def create(
        self,
        path: PathLike,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutOptions],
    ) -> None: ...
    @overload
    def create(
        self, path: PathLike, data: object, *, async_: Literal[True], **options: Unpack[PutOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def create(
        self, path: PathLike, data: object, *, async_: bool, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None: ...
    def create(
        self, path: PathLike, data: object, *, async_: bool = False, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None:
        """Create a tree node that must not exist yet; otherwise as `put`.

        Raises:
            MismatchingNodeError: it exists.
        """
        check_options("create", options, PUT)
        operation = commands.create(
            resolve_path(path), encode_value(data), **lifetime_options(options)
        )
        return self._write(operation, options, async_)

    @overload
    def update(
        self,
        path: PathLike,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutOptions],
    ) -> None: ...
    @overload
    def update(
        self, path: PathLike, data: object, *, async_: Literal[True], **options: Unpack[PutOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def update(
        self, path: PathLike, data: object, *, async_: bool, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None: ...
    def update(
        self, path: PathLike, data: object, *, async_: bool = False, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None:
        """Replace the data of a tree node that must exist; otherwise as `put`.

        Raises:
            NodeNotFoundError: it does not exist.
        """
        check_options("update", options, PUT)
        operation = commands.update(
            resolve_path(path), encode_value(data), **lifetime_options(options)
        )
        return self._write(operation, options, async_)

    @overload
    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutOptions],
    ) -> None: ...
    @overload
    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        async_: Literal[True],
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None]: ...
    @overload
    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        async_: bool,
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None] | None: ...
    def compare_and_swap(
        self,
        path: PathLike,
        expected: object,
        data: object,
        *,
        async_: bool = False,
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None] | None:
        """Replace the data of a tree node whose data are as expected; otherwise as `put`.

        Args:
            path: of one tree node.
            expected: plain data, which match themselves only, a data pattern, or a condition
                such as ``IfPayloadVersion(3)``; of a tree node without data no data are expected
                but ``IfHasData(False)``.
            data: the new data.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            MismatchingNodeError: the data are others; its ``node_props`` say which.
            NodeNotFoundError: there is no such tree node.
        """
        check_options("compare_and_swap", options, PUT)
        operation = commands.compare_and_swap(
            resolve_path(path), expected, encode_value(data), **lifetime_options(options)
        )
        return self._write(operation, options, async_)

    @overload
    def delete(
        self, path: PathLike, *, async_: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> None: ...
    @overload
    def delete(
        self, path: PathLike, *, async_: Literal[True], **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def delete(
        self, path: PathLike, *, async_: bool, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def delete(
        self, path: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Remove a tree node and everything below it. Nothing there is no error.

        Parents that were made on the way to it, and are empty now, go too. Of the root only the
        data and what is below are removed.

        A condition in the path that is not met is no error either: nothing is removed, and
        nothing says so, but for ``adv.delete``, which gives an empty dict. So a `delete` with a
        condition does not hold back the other operations of a batch: `Batch.require` does.

        Args:
            path: of one tree node; conditions may be asked of it.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            ManyNodesDeniedError: the path is a pattern that may match several.
        """
        check_options("delete", options, WRITE)
        return self._write(commands.delete(resolve_path(path)), options, async_)

    @overload
    def delete_many(
        self,
        pattern: PathLike,
        *,
        async_: Literal[False] = False,
        **options: Unpack[ManyWriteOptions],
    ) -> None: ...
    @overload
    def delete_many(
        self, pattern: PathLike, *, async_: Literal[True], **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def delete_many(
        self, pattern: PathLike, *, async_: bool, **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def delete_many(
        self, pattern: PathLike, *, async_: bool = False, **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None] | None:
        """Remove all matching tree nodes and everything below them."""
        check_options("delete_many", options, MANY_WRITE)
        operation = commands.delete(
            resolve_path(pattern),
            many=True,
            include_root=options.get("include_root_props", False),
        )
        return self._write(operation, options, async_)

    @overload
    def clear_payload(
        self, path: PathLike, *, async_: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> None: ...
    @overload
    def clear_payload(
        self, path: PathLike, *, async_: Literal[True], **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def clear_payload(
        self, path: PathLike, *, async_: bool, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def clear_payload(
        self, path: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Take the data off a tree node; it stays. Nothing there is no error.

        Args:
            path: of one tree node; conditions asked of it must be met, if it is there.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            ManyNodesDeniedError: the path is a pattern that may match several.
            MismatchingNodeError: a condition in the path is not met.
        """
        check_options("clear_payload", options, WRITE)
        return self._write(commands.clear_payload(resolve_path(path)), options, async_)

    @overload
    def clear_many_payloads(
        self,
        pattern: PathLike,
        *,
        async_: Literal[False] = False,
        **options: Unpack[ManyWriteOptions],
    ) -> None: ...
    @overload
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: Literal[True], **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None]: ...
    @overload
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: bool, **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: bool = False, **options: Unpack[ManyWriteOptions]
    ) -> KhepriFuture[None] | None:
        """Take the data off all matching tree nodes; they stay."""
        check_options("clear_many_payloads", options, MANY_WRITE)
        operation = commands.clear_payload(
            resolve_path(pattern),
            many=True,
            include_root=options.get("include_root_props", False),
        )
        return self._write(operation, options, async_)

    def batch(self, **options: Unpack[WriteOptions]) -> Batch:
        """Begin a write batch: many operations, one log entry, all or nothing.

        Use it as a context manager, which commits at its end unless an exception leaves it, or
        call `Batch.commit`.

        Args:
            options: see `Store`.
        """
        check_options("batch", options, WRITE)
        timeout = options.get("timeout", DEFAULT)
        if timeout is not DEFAULT:
            timeout_seconds(timeout)
        return Batch(partial(self._send, options=options), timeout)

    def fence(self, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until everything acknowledged before this call is applied on this node.

        Raises:
            KhepriTimeoutError: not within the time.
            KhepriError: as a read with ``favor="consistency"``.
        """
        call(self._get_node(), self._store_id, ConsistentRead(), result, timeout)
