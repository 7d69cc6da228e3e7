"""The writes of a store: encoded here, applied by every member, answered once they are.

A write that returned is on the disks of a majority, is applied on this node, and is visible to
the next local read here. It is applied exactly once, however often it had to be sent. One that
ran out of time may still be applied, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from khepri.actors.server_messages import ConsistentRead
from khepri.machine import commands
from khepri.machine.paths import Path, resolve_path
from khepri.machine.values import encode_value

from .batch import Batch
from .calls import DEFAULT, Timeout, call, check_size, result, submit, timeout_seconds
from .options import PutOptions, WriteOptions, check_unknown
from .reading import Reader

if TYPE_CHECKING:
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

T = TypeVar("T")

_SMALL_BYTES = 4096
"""Commands up to this size are below any limit that makes sense; saves looking the limit up."""

_WRITE = frozenset({"timeout", "async_"})
_PUT = frozenset({"timeout", "async_", "keep_while"})


class Writer(Reader):
    """The writing half of a `Store`.

    All functions take ``timeout`` (seconds for the whole call) and ``async_``: if true they
    return a future at once, whose ``get(timeout=...)`` gives the result or raises the error, and
    which can be awaited. Writes of one thread are applied in the order of the calls.

    Errors that every function may raise: `MisuseError` for bad arguments, before anything is
    sent; `NoSuchServerError` if the store does not run here; `OverloadedError` and
    `DiskFullError` if it cannot take the write now; `KhepriTimeoutError` and
    `ServerStoppedError`, after which the outcome is unknown unless their ``outcome`` says
    ``"not_applied"``.
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
            options: ``timeout``, ``keep_while``.

        Raises:
            InvalidValueError: the data cannot be carried; says what and where.
            ValueTooLargeError: the data are above ``max_command_bytes``.
            ManyNodesDeniedError: the path is a pattern that may match several.
            MismatchingNodeError, NodeNotFoundError: a condition in the path is not met.
            KeepWhileConditionsNotMetError: a ``keep_while`` condition is unmet already.
        """
        where = resolve_path(path)
        payload = encode_value(data)
        if not options and type(where) is Path:
            return self._send(commands.encode_put(where, payload), DEFAULT, async_)
        check_unknown("put", options, _PUT)  # type: ignore[arg-type]
        operation = commands.put(where, payload, keep_while=options.get("keep_while"))
        return self._write(operation, options, async_)

    @overload
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: Literal[False] = False,
        **options: Unpack[PutOptions],
    ) -> None: ...
    @overload
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: Literal[True],
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None]: ...
    def put_many(
        self,
        pattern: PathLike,
        data: object,
        *,
        async_: bool = False,
        **options: Unpack[PutOptions],
    ) -> KhepriFuture[None] | None:
        """Replace the data of all matching tree nodes; names at the end are created as by `put`.

        Nothing matching is no error. Arguments and errors as for `put`.
        """
        check_unknown("put_many", options, _PUT)  # type: ignore[arg-type]
        operation = commands.put(
            resolve_path(pattern),
            encode_value(data),
            many=True,
            keep_while=options.get("keep_while"),
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
    def create(
        self, path: PathLike, data: object, *, async_: bool = False, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None:
        """Create a tree node that must not exist yet; otherwise as `put`.

        Raises:
            MismatchingNodeError: it exists.
        """
        check_unknown("create", options, _PUT)  # type: ignore[arg-type]
        operation = commands.create(
            resolve_path(path), encode_value(data), keep_while=options.get("keep_while")
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
    def update(
        self, path: PathLike, data: object, *, async_: bool = False, **options: Unpack[PutOptions]
    ) -> KhepriFuture[None] | None:
        """Replace the data of a tree node that must exist; otherwise as `put`.

        Raises:
            NodeNotFoundError: it does not exist.
        """
        check_unknown("update", options, _PUT)  # type: ignore[arg-type]
        operation = commands.update(
            resolve_path(path), encode_value(data), keep_while=options.get("keep_while")
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
                such as ``IfPayloadVersion(3)``.
            data: the new data.
            async_: return a future at once.
            options: ``timeout``, ``keep_while``.

        Raises:
            MismatchingNodeError: the data are others; its ``node_props`` say which.
            NodeNotFoundError: there is no such tree node.
        """
        check_unknown("compare_and_swap", options, _PUT)  # type: ignore[arg-type]
        operation = commands.compare_and_swap(
            resolve_path(path), expected, encode_value(data), keep_while=options.get("keep_while")
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
    def delete(
        self, path: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Remove a tree node and everything below it. Nothing there is no error.

        Parents that were made on the way to it, and are empty now, go too. Of the root only the
        data and what is below are removed.
        """
        check_unknown("delete", options, _WRITE)  # type: ignore[arg-type]
        return self._write(commands.delete(resolve_path(path)), options, async_)

    @overload
    def delete_many(
        self, pattern: PathLike, *, async_: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> None: ...
    @overload
    def delete_many(
        self, pattern: PathLike, *, async_: Literal[True], **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None]: ...
    def delete_many(
        self, pattern: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Remove all matching tree nodes and everything below them."""
        check_unknown("delete_many", options, _WRITE)  # type: ignore[arg-type]
        return self._write(commands.delete(resolve_path(pattern), many=True), options, async_)

    @overload
    def clear_payload(
        self, path: PathLike, *, async_: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> None: ...
    @overload
    def clear_payload(
        self, path: PathLike, *, async_: Literal[True], **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None]: ...
    def clear_payload(
        self, path: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Take the data off a tree node; it stays. Nothing there is no error."""
        check_unknown("clear_payload", options, _WRITE)  # type: ignore[arg-type]
        return self._write(commands.clear_payload(resolve_path(path)), options, async_)

    @overload
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> None: ...
    @overload
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: Literal[True], **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None]: ...
    def clear_many_payloads(
        self, pattern: PathLike, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None:
        """Take the data off all matching tree nodes; they stay."""
        check_unknown("clear_many_payloads", options, _WRITE)  # type: ignore[arg-type]
        operation = commands.clear_payload(resolve_path(pattern), many=True)
        return self._write(operation, options, async_)

    def batch(self, *, timeout: Timeout = DEFAULT) -> Batch:
        """Begin a write batch: many operations, one log entry, all or nothing.

        Use it as a context manager, which commits at its end unless an exception leaves it, or
        call `Batch.commit`.
        """
        if timeout is not DEFAULT:
            timeout_seconds(timeout)
        return Batch(self._send, timeout)

    def fence(self, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until everything acknowledged before this call is applied on this node.

        Raises:
            KhepriTimeoutError: not within the time.
        """
        call(self._get_node(), self._store_id, ConsistentRead(), result, timeout)

    def change(self, command: bytes, timeout: Timeout) -> Any:  # noqa: ANN401 - the command decides
        """Send an encoded command and give what its reply says; for `AdvancedStore`."""
        check_size(command)
        return call(self._get_node(), self._store_id, command, result, timeout)

    # --- inside

    def _write(
        self,
        operation: commands.Operation,
        options: WriteOptions,
        async_: bool,  # noqa: FBT001 - private
    ) -> KhepriFuture[Any] | None:
        return self._send(commands.encode(operation), options.get("timeout", DEFAULT), async_)

    def _send(
        self,
        command: bytes,
        timeout: Timeout,
        async_: bool,  # noqa: FBT001 - private
    ) -> KhepriFuture[Any] | None:
        if len(command) > _SMALL_BYTES:
            check_size(command)
        node = self._get_node()
        if async_:
            if timeout is not DEFAULT:
                timeout_seconds(timeout)  # nobody waits here, but a mistake is a mistake
            return submit(node.access(self._store_id), command, result)
        call(node, self._store_id, command, result, timeout)
        return None
