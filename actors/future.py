"""The future of a reply: cheap to make, cheap to resolve, and never waited for in vain.

`KhepriFuture` is a `pykka.Future`, with these differences:

- It makes a lock only for a thread that waits; one that will wait for sure makes it before it
  sends (`get_with`). Pykka's makes a condition for every ask.
- It carries a *decode* step that runs in the thread that asks for the value. Expected outcomes
  travel between actors as plain values; the exception a user sees is raised, and a value from
  the tree is decoded, in the user's thread, never in the actor's.
- It knows the mailbox it was sent to. When that actor is gone without an answer, `get` raises.
- It has callbacks, and ``await`` never blocks the event loop (Pykka's does).

How many threads are woken at once is in `wake_chain.py`. Tried and not kept: a lock per thread,
used again. ``python -m tests.bench.actor_round_trip`` measures it against Pykka's.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from _thread import LockType, allocate_lock
from functools import partial
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

import pykka

from khepri.config import check_timeout

from . import asyncio_bridge, wake_chain
from .actor_errors import ReplyTimeoutError
from .own_threads import refuse_to_wait_here

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

    from .mailbox import Mailbox

    OptionalExceptionInfo = tuple[
        type[BaseException] | None, BaseException | None, TracebackType | None
    ]

T = TypeVar("T")

_logger = logging.getLogger("khepri.actors.future")

LIVENESS_CHECK_SECONDS = 1.0
"""How often a waiting thread looks whether the actor still lives."""


Observer: TypeAlias = "Callable[[], object] | LockType"
"""Who is told of an outcome: what is called, or a lock that is held and then released."""


class _Pending:
    """The outcome of a future that has none."""


class _Failure:
    """The outcome of a future whose value is an exception."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


_PENDING: Final = _Pending()

_making_lists: Final = RLock()  # reentrant: a signal handler may wait for a future of its own


class KhepriFuture(pykka.Future[T], Generic[T]):
    """A reply that is there now or comes later; set once, read by any number of threads.

    How threads meet without a lock: who resolves first stores the outcome and then calls the
    observers; who observes first adds its observer and then looks at the outcome. Whatever the
    order, one of the two sees the other. List operations and attribute stores are atomic. Only
    the list itself, which most futures never need, is made under a lock that all share.
    """

    # Slots and no call of the base's __init__: 0.2 microseconds against 1.6 for Pykka's future.
    __slots__ = ("_decode", "_mailbox", "_observers", "_outcome", "_unresolved")

    _get_hook = None  # Pykka's default, without storing it in every instance

    def __init__(
        self,
        decode: Callable[[Any], T] | None = None,
        mailbox: Mailbox | None = None,
        observers: list[Observer] | None = None,
    ) -> None:
        """Make a future without an outcome.

        Args:
            decode: turns the actor's reply into the caller's result or raises the caller's
                exception; runs in the caller's thread, at each `get`.
            mailbox: where the request goes; None if the future cannot outlive its actor.
            observers: told once it is resolved; more may come.
        """
        self._outcome: Any = _PENDING
        self._observers = observers
        self._unresolved = True
        self._decode = decode
        self._mailbox = mailbox

    def __repr__(self) -> str:
        """Tell whether it has an outcome."""
        return f"<{type(self).__name__} {'done' if self.done() else 'pending'}>"

    # --- the caller's side

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the reply and give the result.

        Args:
            timeout: seconds to wait at most, 0 or more; None waits until there is a reply, or
                until the actor is gone.

        Returns:
            the reply, decoded.

        Raises:
            KhepriTimeoutError: no reply came in time (also a `pykka.Timeout`).
            ServerStoppedError: the actor is gone and will not reply.
            ForkedProcessError: the actor lives in the parent process.
            MisuseError: this is a thread of khepri's own, which must not wait; or that is no
                timeout.
            BaseException: what the actor answered with, or what the decode step raised.
        """
        if timeout is not None and not (timeout.__class__ is float and timeout >= 0.0):
            timeout = check_timeout(timeout)
        if self._outcome is _PENDING:
            if self._get_hook is not None:
                self._outcome = super().get(timeout=timeout)
            else:
                self._wait(timeout)
        outcome = self._outcome
        if outcome.__class__ is _Failure:
            raise outcome.error
        decode = self._decode
        return cast("T", outcome) if decode is None else decode(outcome)

    def get_with(self, lock: LockType, *, timeout: float | None) -> T:
        """Do as `get`, in the one thread for which the future was made.

        Args:
            lock: held; it was given to the future as its first observer, before anybody could
                resolve it, so that nothing has to be made or looked at now.
            timeout: as for `get`.
        """
        if self._outcome is _PENDING:
            self._sleep(lock, timeout)
        else:
            wake_chain.wake_next()  # its lock may be a link of the chain
        outcome = self._outcome
        if outcome.__class__ is _Failure:
            raise outcome.error
        decode = self._decode
        return cast("T", outcome) if decode is None else decode(outcome)

    def done(self) -> bool:
        """Tell whether `get` would answer at once. Never blocks."""
        return self._outcome is not _PENDING

    @property
    def failure(self) -> BaseException | None:
        """The exception it was resolved with; None if there is none (yet). Never blocks.

        A write that the tree refuses is a reply: `get` raises what it stands for.
        """
        outcome = self._outcome
        return outcome.error if isinstance(outcome, _Failure) else None

    def add_done_callback(self, callback: Callable[[KhepriFuture[T]], object]) -> None:
        """Have `callback(future)` called once there is an outcome, at once if there is one.

        It runs in the thread that resolves the future, mostly an actor's: it must be quick and
        must not wait. What it raises is logged and goes no further.

        Raises:
            TypeError: the future was made by `map`, `filter`, `join` or `reduce`; it has no
                moment of its own. Put the callback on its source.
        """
        if self._get_hook is not None:
            raise TypeError("a derived future has no callbacks; use its source")
        self._observe(partial(_call_back, callback, self))

    def __await__(self) -> Generator[Any, None, T]:
        """Wait in an asyncio task without blocking its loop; cancelling leaves the future alone.

        The request itself is not undone by a cancellation.
        """
        if not self.done():
            if self._get_hook is not None:
                # A derived future computes in `get`, which waits: not on the loop's thread.
                return (yield from asyncio_bridge.run_in_thread(self.get))
            yield from asyncio_bridge.wait(self._observe, self._forget)
        return self.get()

    __iter__ = __await__

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have the value computed at the first `get` (Pykka's derived futures).

        Raises:
            RuntimeError: the future has an outcome.
        """
        self._claim()
        super().__init__()
        super().set_get_hook(func)

    # --- the actor's side

    def set(self, value: object = None) -> None:
        """Resolve with a reply.

        Raises:
            RuntimeError: the future was resolved before.
        """
        self._claim()
        self._publish(value)

    def set_exception(self, exc_info: OptionalExceptionInfo | None = None) -> None:
        """Resolve with an exception, by default the one that is being handled (as in Pykka).

        Raises:
            RuntimeError: the future was resolved before.
        """
        error = (exc_info or sys.exc_info())[1]
        assert error is not None, "no exception is being handled"
        self._claim()
        self._publish(_Failure(error))

    def resolve(self, value: object) -> bool:
        """Resolve with a reply unless resolved before; any thread.

        Returns:
            whether this call did it.
        """
        return self._resolve(value)

    def fail(self, error: BaseException) -> bool:
        """Resolve with an exception unless resolved before; any thread.

        Returns:
            whether this call did it.
        """
        return self._resolve(_Failure(error))

    def depend_on(self, other: KhepriFuture[Any]) -> None:
        """Wait for the actor that `other` waits for, in place of the one it was sent to."""
        self._mailbox = other._mailbox

    # --- inside

    def _resolve(self, outcome: object) -> bool:
        try:
            # Of any number of threads one deletes the slot, the others get an AttributeError.
            del self._unresolved
        except AttributeError:
            return False
        self._publish(outcome)
        return True

    def _claim(self) -> None:
        try:
            del self._unresolved
        except AttributeError:
            raise RuntimeError("the future was resolved before") from None

    def _publish(self, outcome: object) -> None:
        self._outcome = outcome
        if self._observers is not None:
            for observer in _taken(self._observers):
                if isinstance(observer, LockType):
                    observer.release()
                else:
                    observer()

    def _list_of_observers(self) -> list[Observer]:
        """Give the list to add an observer to, made if there is none."""
        observers = self._observers
        if observers is None:
            with _making_lists:
                observers = self._observers
                if observers is None:
                    observers = self._observers = []
        return observers

    def _observe(self, observer: Callable[[], object]) -> None:
        """Have `observer` called once, now or by the thread that resolves."""
        observers = self._list_of_observers()
        observers.append(observer)
        if self._outcome is not _PENDING:
            try:
                observers.remove(observer)
            except ValueError:
                return  # the resolving thread has taken it and calls it
            observer()

    def _forget(self, observer: Observer) -> None:
        """Take an observer back."""
        with contextlib.suppress(ValueError):  # it is resolved at this moment
            self._list_of_observers().remove(observer)

    def _wait(self, timeout: float | None) -> None:
        """Sleep until there is an outcome; the thread comes after the request was sent."""
        refuse_to_wait_here()
        if self._mailbox is not None and self._mailbox.ended and self._outcome is _PENDING:
            raise self._mailbox.notice.unanswered()
        lock = allocate_lock()
        lock.acquire()
        observers = self._list_of_observers()
        observers.append(lock)
        if self._outcome is _PENDING:
            self._sleep(lock, timeout)
        else:
            wake_chain.wake_next()

    def _sleep(self, lock: LockType, timeout: float | None) -> None:
        """Sleep on a lock that an observer of this future releases; raises what `get` does."""
        wait_seconds = LIVENESS_CHECK_SECONDS
        if timeout is not None and timeout < wait_seconds:
            wait_seconds = timeout
        end = 0.0  # nearly always the first wait is enough, and nothing looks at a clock
        while True:
            try:
                lock.acquire(timeout=wait_seconds)
            finally:
                wake_chain.wake_next()
            if self._outcome is not _PENDING:
                return
            if timeout is not None:
                now = monotonic()
                end = end or now - wait_seconds + timeout
                wait_seconds = min(LIVENESS_CHECK_SECONDS, end - now)
                if wait_seconds <= 0.0:
                    self._forget(lock)
                    raise ReplyTimeoutError(
                        f"no answer within {round(timeout, 3)} seconds",
                        operation="the call",
                        timeout_seconds=timeout,
                        outcome="unknown",
                    )
            if self._mailbox is not None and self._mailbox.ended and self._outcome is _PENDING:
                raise self._mailbox.notice.unanswered()


def resolve_all(replies: Iterable[tuple[KhepriFuture[Any], object]]) -> int:
    """Resolve many futures; those resolved before are left alone.

    All outcomes are stored before the first waiter is woken: a woken thread competes for the
    interpreter with the actor, which then has nothing left to do.

    Returns:
        how many waited: threads, tasks and callbacks.
    """
    threads: list[LockType] = []
    others: list[Callable[[], object]] = []
    for future, value in replies:
        try:
            del future._unresolved  # noqa: SLF001
        except AttributeError:
            continue
        future._outcome = value  # noqa: SLF001
        observers = future._observers  # noqa: SLF001
        while observers:  # most have none, the others one: no generator for that
            try:
                observer = observers.pop(0)
            except IndexError:
                break  # it took itself back at this moment
            if isinstance(observer, LockType):
                threads.append(observer)
            else:
                others.append(observer)
    for tell in others:
        tell()
    wake_chain.wake(threads)
    return len(threads) + len(others)


def _taken(observers: list[Observer]) -> Iterator[Observer]:
    """Take all observers, of whom one may be taking itself back at this moment."""
    while observers:
        try:
            observer = observers.pop(0)
        except IndexError:
            return
        yield observer


def _call_back(callback: Callable[[KhepriFuture[T]], object], future: KhepriFuture[T]) -> None:
    try:
        callback(future)
    except BaseException:
        _logger.exception("a callback of a reply raised")
