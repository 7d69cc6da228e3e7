"""The writes beyond Khepri's: counters, copies, moves, renewals; and how any write is sent.

All of them are one command each: other writers see nothing in between, and a retry after a
change of leader does nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from khepri.actors.default_node import default_node
from khepri.config import LEAST_COMMAND_BYTES
from khepri.machine import commands

from .calls import DEFAULT, Timeout, call, check_size, result, submit, timeout_seconds
from .options import WRITE, check_options, is_special, ttl_milliseconds
from .reading import concrete_path, one_node
from .sending import send
from .viewing import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike

    from .options import WriteOptions

T = TypeVar("T")


class MoreWriter(Viewer):
    """The writes of a `Store` that Khepri does not have. Options and errors as for all writes."""

    __slots__ = ()

    @overload
    def increment(
        self,
        path: PathLike,
        by: int = 1,
        *,
        async_: Literal[False] = False,
        **options: Unpack[WriteOptions],
    ) -> int: ...
    @overload
    def increment(
        self,
        path: PathLike,
        by: int = 1,
        *,
        async_: Literal[True],
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[int]: ...
    @overload
    def increment(
        self, path: PathLike, by: int = 1, *, async_: bool, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[int] | int: ...
    def increment(
        self, path: PathLike, by: int = 1, *, async_: bool = False, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[int] | int:
        """Add to the whole number a tree node holds, and give the new one.

        A missing tree node is made, and counts as 0 as one without data does.

        Args:
            path: of one tree node, without conditions.
            by: what to add; may be negative.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            MismatchingNodeError: there are other data; the condition is ``IfDataMatches(int)``.
            CommandFailedError: the sum does not fit into 64 bits.
        """
        check_options("increment", options, WRITE)
        command = commands.encode(commands.increment(concrete_path(path), by))
        sum_or_future: KhepriFuture[int] | int = self._send(
            command, options.get("timeout", DEFAULT), async_, result, options
        )
        return sum_or_future

    @overload
    def copy(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: Literal[False] = False,
        **options: Unpack[WriteOptions],
    ) -> None: ...
    @overload
    def copy(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: Literal[True],
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None]: ...
    @overload
    def copy(
        self, path: PathLike, new_path: PathLike, *, async_: bool, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def copy(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: bool = False,
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None] | None:
        """Copy a tree node and everything below it to a place where nothing is.

        The copies are new tree nodes, with versions of 1. What the originals live under (keep
        while conditions, the moment of expiry) is copied as it is: the copies watch the same tree
        nodes and expire at the same moment. Missing parents are made.

        Args:
            path: of one tree node, without conditions.
            new_path: where; neither at nor below `path`.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            NodeNotFoundError: nothing is at `path`.
            MismatchingNodeError: something is at `new_path`.
            InvalidOptionError: `new_path` is at or below `path`.
            CommandFailedError: a path would have more than 1,024 components.
        """
        check_options("copy", options, WRITE)
        operation = commands.copy(concrete_path(path), concrete_path(new_path))
        return self._write(operation, options, async_)

    @overload
    def move(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: Literal[False] = False,
        **options: Unpack[WriteOptions],
    ) -> None: ...
    @overload
    def move(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: Literal[True],
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None]: ...
    @overload
    def move(
        self, path: PathLike, new_path: PathLike, *, async_: bool, **options: Unpack[WriteOptions]
    ) -> KhepriFuture[None] | None: ...
    def move(
        self,
        path: PathLike,
        new_path: PathLike,
        *,
        async_: bool = False,
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None] | None:
        """Move a tree node and everything below it to a place where nothing is.

        It is a `copy` and a `delete` in one: whoever watches the old place sees it go, and parents
        that were made on the way to it go if they are left empty. Arguments and errors as for
        `copy`; the root cannot be moved.
        """
        check_options("move", options, WRITE)
        operation = commands.move(concrete_path(path), concrete_path(new_path))
        return self._write(operation, options, async_)

    @overload
    def touch(
        self,
        path: PathLike,
        *,
        ttl: float | None = None,
        async_: Literal[False] = False,
        **options: Unpack[WriteOptions],
    ) -> None: ...
    @overload
    def touch(
        self,
        path: PathLike,
        *,
        ttl: float | None = None,
        async_: Literal[True],
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None]: ...
    @overload
    def touch(
        self,
        path: PathLike,
        *,
        ttl: float | None = None,
        async_: bool,
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None] | None: ...
    def touch(
        self,
        path: PathLike,
        *,
        ttl: float | None = None,
        async_: bool = False,
        **options: Unpack[WriteOptions],
    ) -> KhepriFuture[None] | None:
        """Let the time to live of a tree node begin anew, or give it another one.

        A tree node with a time to live goes by itself, with everything below it, as if it had been
        deleted: at the same place in the log on all members, by the time that the leader writes
        into the log. That moves when something is written, and about a quarter of a second after
        an expiry at the latest. Touching changes no version, and `diff` does not tell of it.

        Args:
            path: of one tree node; conditions may be asked of it, so that a lock can be kept by
                its owner alone: ``["locks", IfAll(name, IfDataMatches(owner))]``.
            ttl: seconds from now on; ``math.inf`` takes the time to live away; left out: as long
                as it was given before.
            async_: return a future at once.
            options: see `Store`.

        Raises:
            NodeNotFoundError: it is not there, perhaps no more.
            MismatchingNodeError: it has no time to live that could begin anew, or does not meet
                a condition.
            InvalidOptionError: an impossible ``ttl``, or the root, which has none.
        """
        check_options("touch", options, WRITE)
        operation = commands.touch(one_node(path), ttl_milliseconds(ttl))
        return self._write(operation, options, async_)

    def change(self, command: bytes, options: WriteOptions) -> Any:  # noqa: ANN401 - the command decides
        """Send an encoded command and give what its reply says; for `AdvancedStore`."""
        return self._send(command, options.get("timeout", DEFAULT), False, result, options)  # noqa: FBT003

    # --- inside

    def _write(
        self,
        operation: commands.Operation,
        options: WriteOptions,
        async_: bool,  # noqa: FBT001 - private
    ) -> KhepriFuture[Any] | None:
        """Send a command that gives nothing back."""
        sent: KhepriFuture[Any] | None = self._send(
            commands.encode(operation), options.get("timeout", DEFAULT), async_, result, options
        )
        return sent

    def _send(
        self,
        command: bytes,
        timeout: Timeout,
        async_: bool,  # noqa: FBT001 - private
        decode: Callable[[Any], Any] = result,
        options: WriteOptions | None = None,
    ) -> Any:  # noqa: ANN401 - a future, or what the command gives
        if len(command) > LEAST_COMMAND_BYTES:  # saves looking the limit up
            check_size(command)
        node = self._node or default_node()
        if options and is_special(options):
            return send(node, self._store_id, command, decode, options, async_=async_)
        if async_:
            if timeout is not DEFAULT:
                timeout_seconds(timeout)  # nobody waits here, but a mistake is a mistake
            access = node.stores.get(self._store_id) or node.access(self._store_id)
            access.unawaited.books.sent += 1
            return submit(access, command, decode)
        return call(node, self._store_id, command, decode, timeout)
