"""Locks and ephemeral tree nodes for asyncio; what is held is kept alive by the same thread."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from khepri.actors.server_clock import server_clock
from khepri.config import get_default_store_id
from khepri.errors import (
    KhepriError,
    KhepriTimeoutError,
    LockLostError,
    MismatchingNodeError,
    NodeNotFoundError,
    ServerStoppedError,
    WrongTypeError,
)

from .announcing import Announced
from .async_backup import AsyncBackup
from .calls import DEFAULT, Deadline
from .lock_holder import Holder
from .lock_line import GONE, Hold, Place, PlaceLostError, new_mark
from .writing import Writer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from khepri.machine.paths import PathLike

    from .options import ReadOptions, TransactionOptions


class AsyncLock(Holder):
    """`khepri.Lock` for the tasks of one loop: ``async with khepri.aio.Lock("/locks/printer"):``.

    `acquire`, `release` and `holder` are awaited, all else is the same. A task that is cancelled
    while it waits for the lock leaves the line.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        ttl: float = 15.0,
        data: object = None,
        store: AsyncBackup | None = None,
    ) -> None:
        """Describe the lock; arguments and errors as for `khepri.Lock`, but for the handle.

        Args:
            path: where it is.
            ttl: seconds.
            data: what others see of the holder.
            store: a `khepri.aio.Store`.
        """
        self._tree = checked_async_store(store)
        super().__init__(path, ttl, data, twin(self._tree))
        self._turn = asyncio.Lock()  # of this object's tasks; held while one has the lock

    async def acquire(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as the twin
        """Wait for the lock and take it; see `khepri.Lock.acquire`."""
        deadline = Deadline(timeout)
        try:
            async with asyncio.timeout(deadline.remaining()):
                await self._turn.acquire()
        except TimeoutError:
            return False
        try:
            self._hold = await self._acquire(deadline)
        finally:
            if self._hold is None:
                self._turn.release()
        return self._hold is not None

    async def release(self) -> None:
        """Give the lock back; see `khepri.Lock.release`."""
        hold, self._hold = self._acquired(), None
        try:
            was_valid = hold.is_valid
            hold.end()
            if not was_valid:
                raise hold.lost_error()
            async with self._tree.batch() as batch:
                hold.end_in(batch)
        except NodeNotFoundError:
            raise hold.lost_error(GONE) from None
        except LockLostError:
            hold.give_back()
            raise
        finally:
            self._turn.release()

    async def holder(self, default: object = None, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """Give the data of who has the lock; see `khepri.Lock.holder`."""
        view = await self._tree.view(**options)
        first = self._line.first(view)
        return default if first is None else view.get(first)

    async def __aenter__(self) -> Self:
        """Wait for the lock and take it."""
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it back. An exception that leaves the block goes first."""
        with suppress(*() if error is None else (KhepriError,)):
            await self.release()

    # --- inside

    async def _acquire(self, deadline: Deadline) -> Hold | None:
        """Come to the head of the line; None if the time is over."""
        waits = deadline.budget_seconds != 0
        while True:
            mark = new_mark()
            try:
                place = await self._take_place(mark, deadline, waits=waits)
            except ServerStoppedError as error:
                self._forget(mark)
                self._check_runs(error)
                continue
            except KhepriTimeoutError:
                self._forget(mark)
                if not waits:
                    raise
                return None
            except KhepriError:  # it has no effect
                raise
            except BaseException:
                self._forget(mark)
                raise
            hold = None if place is None else self._keep(place)
            try:
                if hold is None or await self._wait_at(hold, deadline):
                    return hold
            except KhepriTimeoutError:
                return None

    async def _take_place(self, mark: str, deadline: Deadline, *, waits: bool) -> Place | None:
        options: TransactionOptions = (
            {"timeout": deadline.remaining()}
            if waits
            else {"timeout": DEFAULT, "favor": "consistency"}
        )
        return await self._tree.transaction(self._line.stand, [mark, not waits], **options)

    async def _wait_at(self, hold: Hold, deadline: Deadline) -> bool:
        """Wait until nobody is ahead; tell whether the lock is held then."""
        try:
            view = await self._tree.view()
            while (ahead := self._line.ahead_of(hold.place.path, view)) is not None:
                changes = self._tree.follow(ahead, since=view, timeout=deadline.remaining())
                view = (await anext(changes)).view
                await changes.aclose()
            if hold.is_valid:
                return True
        except PlaceLostError:
            pass
        except BaseException:
            hold.give_back()
            raise
        hold.give_back()  # it was not heard of for too long: to the end of the line
        return False


class AsyncEphemeralNode(Announced):
    """`khepri.EphemeralNode` for tasks of one loop: ``async with khepri.aio.EphemeralNode(...):``.

    `start` and `stop` are awaited, all else is the same.
    """

    def __init__(
        self,
        path: PathLike,
        data: object,
        *,
        ttl: float = 15.0,
        store: AsyncBackup | None = None,
    ) -> None:
        """Describe it; arguments and errors as for `khepri.EphemeralNode`, but for the handle.

        Args:
            path: where it is.
            data: what it has.
            ttl: seconds.
            store: a `khepri.aio.Store`.
        """
        self._tree = checked_async_store(store)
        super().__init__(path, data, ttl, twin(self._tree))
        self._changing = asyncio.Lock()  # held while it is started or stopped

    async def start(self) -> None:
        """Make it, and keep it alive from now on; see `khepri.EphemeralNode.start`."""
        async with self._changing:
            self._check_not_started()
            self._keep(await self._make())

    async def stop(self) -> None:
        """Delete it if it is still ours; see `khepri.EphemeralNode.stop`."""
        async with self._changing:
            if not self._end():
                return
            with suppress(NodeNotFoundError, MismatchingNodeError):
                async with self._tree.batch() as batch:
                    self._claim.delete(batch)

    async def __aenter__(self) -> Self:
        """Make it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete it. An exception that leaves the block goes first."""
        with suppress(*() if error is None else (KhepriError,)):
            await self.stop()

    async def _make(self) -> float:
        began = server_clock()
        try:
            async with self._tree.batch() as batch:
                self._claim.create(batch)
        except MismatchingNodeError as error:
            began = server_clock()
            try:
                async with self._tree.batch() as batch:
                    self._claim.touch(batch)
            except (NodeNotFoundError, MismatchingNodeError):
                raise self._claim.occupied(error) from None
        return began


def checked_async_store(store: Any) -> AsyncBackup:  # noqa: ANN401 - checked here
    """Give the store that something is for; the default one if None.

    Raises:
        WrongTypeError: it is no handle for asyncio.
    """
    if store is None:
        return AsyncBackup(get_default_store_id())
    if not isinstance(store, AsyncBackup):
        raise WrongTypeError(
            f"store is a khepri.aio.Store, not {store!r:.100}", option="store", value=store
        )
    return store


def twin(store: AsyncBackup) -> Writer:
    """Give the handle for threads on the same store, which writes."""
    return Writer(store.store_id, store._reader._node)  # noqa: SLF001
