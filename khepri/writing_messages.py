"""The messages that change a tree; `khepri.messages` is their public name.

Each is the function of the same name in `khepri.Store`, with its arguments, results and errors.
All of them, but for `Batch` itself, can stand in a `Batch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from khepri.errors import InvalidOptionError, WrongTypeError

from .calls import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.future import KhepriFuture
    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike
    from khepri.raft.types import ServerId

    from .batch import Batch as WriteBatch
    from .calls import Timeout
    from .options import ManyWriteOptions, Priority, PutOptions, WriteOptions
    from .store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMessage:
    """What all writes have.

    Attributes:
        reply_from: see `khepri.writing.Writer`.
        priority: see there.
    """

    reply_from: str | ServerId = "local"
    priority: Priority = "normal"

    def sending(self, timeout: Timeout = DEFAULT) -> WriteOptions:
        """Say how it is sent; nothing if that is the default, which is the fastest.

        Args:
            timeout: seconds for all of it; only who waits for another member needs them.
        """
        options: WriteOptions = {}
        if self.reply_from != "local":
            options["reply_from"] = self.reply_from
            options["timeout"] = timeout
        if self.priority != "normal":
            options["priority"] = self.priority
        return options


@dataclass(frozen=True, slots=True, kw_only=True)
class PutMessage(WriteMessage):
    """What all writes have that can create a tree node.

    Attributes:
        keep_while: see `khepri.Store.put`.
        ttl: seconds, see there.
    """

    keep_while: KeepWhileOption | None = None
    ttl: float | None = None

    def options(self, timeout: Timeout) -> PutOptions:
        """Give the options of the function."""
        options = cast("PutOptions", self.sending(timeout))
        if self.keep_while is not None:
            options["keep_while"] = self.keep_while
        if self.ttl is not None:
            options["ttl"] = self.ttl
        return options


class Operation(Protocol):
    """A message that can stand in a `Batch`."""

    def sending(self) -> WriteOptions:
        """Say how it would be sent alone."""
        ...

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to the operations of a batch; bad arguments raise."""
        ...


@dataclass(frozen=True, slots=True)
class Put(PutMessage):
    """See `khepri.Store.put`."""

    path: PathLike
    data: object

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.put(self.path, self.data, async_=True, **self.options(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.put(self.path, self.data, keep_while=self.keep_while, ttl=self.ttl)


@dataclass(frozen=True, slots=True)
class PutMany(PutMessage):
    """See `khepri.Store.put_many`."""

    pattern: PathLike
    data: object
    include_root_props: bool = False

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.put_many(
            self.pattern,
            self.data,
            async_=True,
            include_root_props=self.include_root_props,
            **self.options(timeout),
        )

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.put_many(
            self.pattern,
            self.data,
            keep_while=self.keep_while,
            ttl=self.ttl,
            include_root_props=self.include_root_props,
        )


@dataclass(frozen=True, slots=True)
class Create(PutMessage):
    """See `khepri.Store.create`."""

    path: PathLike
    data: object

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.create(self.path, self.data, async_=True, **self.options(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.create(self.path, self.data, keep_while=self.keep_while, ttl=self.ttl)


@dataclass(frozen=True, slots=True)
class Update(PutMessage):
    """See `khepri.Store.update`."""

    path: PathLike
    data: object

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.update(self.path, self.data, async_=True, **self.options(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.update(self.path, self.data, keep_while=self.keep_while, ttl=self.ttl)


@dataclass(frozen=True, slots=True)
class CompareAndSwap(PutMessage):
    """See `khepri.Store.compare_and_swap`."""

    path: PathLike
    expected: object
    data: object

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.compare_and_swap(
            self.path, self.expected, self.data, async_=True, **self.options(timeout)
        )

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.compare_and_swap(
            self.path, self.expected, self.data, keep_while=self.keep_while, ttl=self.ttl
        )


@dataclass(frozen=True, slots=True)
class Delete(WriteMessage):
    """See `khepri.Store.delete`."""

    path: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.delete(self.path, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.delete(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyMessage(WriteMessage):
    """What deletes and clears of many tree nodes have.

    Attributes:
        include_root_props: the root is meant too if the pattern begins with a condition.
    """

    include_root_props: bool = False

    def options(self, timeout: Timeout) -> ManyWriteOptions:
        """Give the options of the function."""
        return {**self.sending(timeout), "include_root_props": self.include_root_props}


@dataclass(frozen=True, slots=True)
class DeleteMany(ManyMessage):
    """See `khepri.Store.delete_many`."""

    pattern: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.delete_many(self.pattern, async_=True, **self.options(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.delete_many(self.pattern, include_root_props=self.include_root_props)


@dataclass(frozen=True, slots=True)
class ClearPayload(WriteMessage):
    """See `khepri.Store.clear_payload`."""

    path: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.clear_payload(self.path, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.clear_payload(self.path)


@dataclass(frozen=True, slots=True)
class ClearManyPayloads(ManyMessage):
    """See `khepri.Store.clear_many_payloads`."""

    pattern: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.clear_many_payloads(self.pattern, async_=True, **self.options(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.clear_many_payloads(self.pattern, include_root_props=self.include_root_props)


@dataclass(frozen=True, slots=True)
class Increment(WriteMessage):
    """See `khepri.Store.increment`; the answer is the new number."""

    path: PathLike
    by: int = 1

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.increment(self.path, self.by, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.increment(self.path, self.by)


@dataclass(frozen=True, slots=True)
class Copy(WriteMessage):
    """See `khepri.Store.copy`."""

    path: PathLike
    new_path: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.copy(self.path, self.new_path, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.copy(self.path, self.new_path)


@dataclass(frozen=True, slots=True)
class Move(WriteMessage):
    """See `khepri.Store.move`."""

    path: PathLike
    new_path: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.move(self.path, self.new_path, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.move(self.path, self.new_path)


@dataclass(frozen=True, slots=True)
class Touch(WriteMessage):
    """See `khepri.Store.touch`."""

    path: PathLike
    ttl: float | None = None

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it."""
        return store.touch(self.path, ttl=self.ttl, async_=True, **self.sending(timeout))

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.touch(self.path, ttl=self.ttl)


@dataclass(frozen=True, slots=True)
class Require(WriteMessage):
    """See `khepri.Store.batch` and its ``require``. Alone it would do nothing, and is refused."""

    path: PathLike

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Refuse.

        Raises:
            WrongTypeError: always.
        """
        del store, timeout
        raise WrongTypeError(
            f"{self!r:.200} stands in a Batch, with what depends on it",
            option="message",
            value=self,
        )

    def add_to(self, operations: WriteBatch) -> None:
        """Add it to a batch."""
        operations.require(self.path)


@dataclass(frozen=True, slots=True)
class Batch(WriteMessage):
    """See `khepri.Store.batch`: all of the operations, or none; the answer is their results.

    ``reply_from`` and ``priority`` are those of the batch; its operations have none of their own.
    """

    operations: Sequence[Operation]

    def submit(self, store: Store, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        """Send it.

        Raises:
            WrongTypeError: something in it is no message that writes, or is a batch itself.
            InvalidOptionError: an operation has a ``reply_from`` or ``priority`` of its own.
        """
        operations = store.batch(**self.sending(timeout))
        for operation in self.operations:
            if not isinstance(operation, WriteMessage) or isinstance(operation, Batch):
                raise WrongTypeError(
                    f"a batch holds messages that write, not {operation!r:.200}",
                    option="operations",
                    value=operation,
                )
            if own := operation.sending():
                raise InvalidOptionError(
                    f"a batch is sent as a whole: {', '.join(sorted(own))} is its option, not "
                    f"that of {operation!r:.200}",
                    option="operations",
                    value=operation,
                )
            operation.add_to(operations)
        return operations.commit(async_=True)
