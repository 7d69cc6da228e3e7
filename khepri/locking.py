"""Locks: one holder at a time among all programs that have the store. Beyond Khepri."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from khepri.actors.own_threads import refuse_to_wait_here
from khepri.errors import (
    KhepriError,
    KhepriTimeoutError,
    LockLostError,
    NodeNotFoundError,
    ServerStoppedError,
)

from .calls import DEFAULT, Deadline
from .lock_holder import Holder
from .lock_line import GONE, Hold, Place, PlaceLostError, new_mark
from .store_argument import checked_store

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from khepri.machine.paths import PathLike

    from .options import ReadOptions, TransactionOptions
    from .store import Store


class Lock(Holder):
    """A lock in the tree: one holder at a time among all programs that have the store.

    ::

        with khepri.Lock("/locks/printer") as lock:
            ...

    It passes on in the order in which they came, and whoever waits is woken by the one before
    alone. It is lost if its holder is not heard of for the time to live: then `held` is False,
    `check` and leaving the block raise `LockLostError`, and a batch with `guard` is refused. It is
    not reentrant. An object may be used by any number of threads: one after the other acquires it,
    and any of them may release it. In a forked child what the parent holds is lost.

    A program that ends without a release, or while it waits, leaves its place in the line when the
    time to live is over, and nobody behind it has the lock before.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        ttl: float = 15.0,
        data: object = None,
        store: Store | None = None,
    ) -> None:
        """Describe the lock; nothing is sent and nothing has to run yet.

        Args:
            path: of the lock's own tree node, where the number of its acquisitions is kept.
            ttl: seconds after which the lock passes on if its holder is not heard of; it is
                renewed every third of it. 0.1 or more; above the differences between the clocks
                of the members, and above the pauses that a program may have.
            data: what others see of the holder, at its place.
            store: a handle; of the default store if left out.

        Raises:
            MisuseError: an impossible argument.
        """
        super().__init__(path, ttl, data, checked_store(store))
        self._store: Store
        self._turn = threading.Lock()  # of this object's threads; held while one has the lock
        self._ending = threading.Lock()  # held for a moment only

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait for the lock and take it.

        Args:
            timeout: seconds to wait at most; None waits for ever. With 0 nobody is waited for, but
                the store is asked, as by every write.

        Returns:
            whether it was acquired. If not, others have it, or with a timeout above 0 the store
            did not answer in time; an attempt that comes through nevertheless is undone, at the
            latest by its time to live.

        Raises:
            WrongTypeError, InvalidOptionError: not a timeout.
            MismatchingNodeError: something else is at the path.
            KhepriTimeoutError: with a timeout of 0, the store did not answer within the default
                timeout.
            NoSuchServerError, ServerStoppedError: the store does not run here, or not any more.
            KhepriError: as every write.
        """
        deadline = Deadline(timeout)
        refuse_to_wait_here()
        seconds = deadline.remaining()
        turn = self._turn
        if not turn.acquire(timeout=-1 if seconds is None else seconds):
            return False
        try:
            self._hold = self._acquire(deadline)
        finally:
            if self._hold is None:
                turn.release()
        return self._hold is not None

    def release(self) -> None:
        """Give the lock back; whoever is next has it when this returns.

        Afterwards it can be acquired anew, also if this raises `LockLostError` or
        `KhepriTimeoutError`.

        Raises:
            MisuseError: it is not acquired.
            LockLostError: it was lost before; nothing is taken from who has it now.
            KhepriTimeoutError: the store did not answer within the default timeout.
            KhepriError: as every write. It was held until now, and passes on when its time to
                live is over at the latest.
        """
        refuse_to_wait_here()
        with self._ending:
            hold, self._hold = self._acquired(), None
        try:
            was_valid = hold.is_valid
            hold.end()
            if not was_valid:
                raise hold.lost_error()
            with self._store.batch() as batch:
                hold.end_in(batch)
        except NodeNotFoundError:
            raise hold.lost_error(GONE) from None
        except LockLostError:
            hold.give_back()
            raise
        finally:
            self._turn.release()

    def __enter__(self) -> Self:
        """Wait for the lock and take it; see `acquire`."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it back; see `release`. An exception that leaves the block goes first."""
        with suppress(*() if error is None else (KhepriError,)):
            self.release()

    def forget_parent_process(self) -> None:
        """In a forked child: what the parent holds is lost here, and nobody waits."""
        super().forget_parent_process()
        self._turn, self._ending = threading.Lock(), threading.Lock()
        if self._hold is not None:
            self._turn.acquire()

    def holder(self, default: object = None, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """Give the data of who has the lock, whoever it is.

        Args:
            default: what to give if nobody has it.
            options: as for `Store.get`. Left out, this node's tree is read, which may tell of who
                had it a moment ago.

        Raises:
            KhepriError: as `Store.get`.
        """
        view = self._store.view(**options)
        first = self._line.first(view)
        return default if first is None else view.get(first)

    # --- inside

    def _acquire(self, deadline: Deadline) -> Hold | None:
        """Come to the head of the line; None if the time is over."""
        waits = deadline.budget_seconds != 0
        while True:
            mark = new_mark()
            try:
                place = self._take_place(mark, deadline, waits=waits)
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
                if hold is None or self._wait_at(hold, deadline):
                    return hold
            except KhepriTimeoutError:
                return None

    def _take_place(self, mark: str, deadline: Deadline, *, waits: bool) -> Place | None:
        options: TransactionOptions = (
            {"timeout": deadline.remaining()}
            if waits
            else {"timeout": DEFAULT, "favor": "consistency"}  # not what was so a moment ago
        )
        return self._store.transaction(self._line.stand, [mark, not waits], **options)

    def _wait_at(self, hold: Hold, deadline: Deadline) -> bool:
        """Wait until nobody is ahead; tell whether the lock is held then."""
        try:
            view = self._store.view()
            while (ahead := self._line.ahead_of(hold.place.path, view)) is not None:
                view = next(
                    self._store.follow(ahead, since=view, timeout=deadline.remaining())
                ).view
            if hold.is_valid:
                return True
        except PlaceLostError:
            pass
        except BaseException:
            hold.give_back()
            raise
        hold.give_back()  # it was not heard of for too long: to the end of the line
        return False
