"""Transactions of a `Store`: a function runs until what it has read is still so when it counts."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from inspect import iscoroutinefunction
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from khepri.errors import KhepriTimeoutError, WrongTypeError
from khepri.machine.replies import is_error

from .calls import DEFAULT, Deadline, result
from .options import TRANSACTION, check_unknown, is_consistent
from .procedures import find_procedure
from .reading import one_node
from .transaction import Transaction
from .triggering import Triggering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import RLock
    from typing import Unpack

    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike

    from .options import Favor, ReadOptions, TransactionOptions

T = TypeVar("T")


class Transactor(Triggering):
    """The part of a `Store` that runs transactions."""

    __slots__ = ()

    @overload
    def transaction(
        self,
        function: Callable[[Transaction], T],
        **options: Unpack[TransactionOptions],
    ) -> T: ...
    @overload
    def transaction(
        self,
        function: Callable[..., T],
        args: Sequence[object],
        **options: Unpack[TransactionOptions],
    ) -> T: ...
    @overload
    def transaction(
        self,
        function: PathLike,
        args: Sequence[object] = (),
        **options: Unpack[TransactionOptions],
    ) -> Any: ...  # noqa: ANN401 - the stored procedure decides
    def transaction(
        self,
        function: Callable[..., T] | PathLike,
        args: Sequence[object] = (),
        **options: Unpack[TransactionOptions],
    ) -> T:
        """Read and write as if nobody else did meanwhile; all of it happens, or nothing.

        The function is given the tree as a `khepri.types.Transaction` and does with it what it
        likes: reads see its own writes, and nobody else sees those before all are done. It runs
        in this thread, on the tree as this node knows it. Then its writes are applied on all
        members in one step, provided that everything it has read is still so. Otherwise nothing
        has happened, and it runs again on the newer tree, until the time is over.

        So it may run several times, and should do nothing but read and write by what it is given:
        no writes to the store itself, no messages, nothing that takes long. Its code is never
        sent. Raise an exception to give up: nothing is written.

        One that only reads sends nothing: what it reads is one tree, which with
        ``favor="consistency"`` has everything acknowledged before.

        Args:
            function: called with the transaction; or the path of a stored procedure, which is
                read in the transaction too (`register_procedure`).
            args: what it is called with besides.
            options: ``timeout``, the seconds for all runs and the writing, and ``favor``, by which
                the tree for each run is chosen as for a read; ``"low_latency"`` if left out. What
                is not fresh is found out when it counts.

        Returns:
            what the function returns.

        Raises:
            BaseException: what the function raises.
            NodeNotFoundError, NotAProcedureError, ProcedureNotRegisteredError: of the path of a
                stored procedure, as for `run_sproc`.
            KhepriTimeoutError: out of time. If others were always ahead, its ``outcome`` is
                ``"not_applied"``.
            ValueTooLargeError: what it reads and writes, as one command, is above
                ``max_command_bytes``.
            KhepriError: as for every write.
        """
        runs: Runs[T] = Runs(function, args, options)
        with ExitStack() as turn:
            while runs.again(self._store_id, self._view(runs.read_options)):
                try:
                    done = self._send(runs.command, runs.deadline.remaining(), False, is_done)  # noqa: FBT003
                except KhepriTimeoutError as error:
                    raise runs.late(error) from error
                if done:
                    break
                if runs.count == 1:
                    self._wait_for_turn(runs, turn)
        return runs.result

    def _wait_for_turn(self, runs: Runs[Any], turn: ExitStack) -> None:
        """Run again when nobody else here does."""
        lock = self.access.transaction_turns.of_threads
        # Before it is asked for: what a signal handler raises may come as soon as it is taken.
        turn.callback(_leave, lock)
        seconds = runs.deadline.remaining()
        if not lock.acquire(timeout=-1 if seconds is None else min(seconds, TIMEOUT_MAX)):
            raise runs.behind()


class Runs(Generic[T]):
    """The runs of one transaction's function, for threads as for tasks.

    Attributes:
        deadline: of all of them together.
        result: what the last one gave.
        command: what remains to be applied of the last one, if anything does.
        count: how many there were.
    """

    __slots__ = ("_favor", "_function", "command", "count", "deadline", "result")

    def __init__(
        self,
        function: Callable[..., T] | PathLike,
        args: Sequence[object],
        options: TransactionOptions,
    ) -> None:
        """Begin to spend the time.

        Raises:
            WrongTypeError: the function is none, or has to be awaited; or an unknown option.
            InvalidPathError: not the path of one tree node.
            InvalidOptionError: an impossible ``favor`` or ``timeout``.
        """
        check_unknown("transaction", cast("dict[str, Any]", options), TRANSACTION)
        self._favor: Favor = options.get("favor", "low_latency")
        is_consistent(self._favor)
        self._function = _of_transaction(function, args)
        self.deadline = Deadline(options.get("timeout", DEFAULT))
        self.command = b""
        self.count = 0
        self.result: T

    @property
    def read_options(self) -> ReadOptions:
        """How to read the tree for the next run."""
        return {"timeout": self.deadline.remaining(), "favor": self._favor}

    def again(self, store_id: str, view: View) -> bool:
        """Run the function on a tree; tell whether its command is to be applied.

        Raises:
            KhepriTimeoutError: the time is over.
            BaseException: what the function raises.
        """
        transaction = Transaction(store_id, view)
        try:
            self.result = self._function(transaction)
        finally:
            command = transaction.end()
        if command is None:
            return False
        if self.deadline.is_over():
            raise self.behind()
        self.command = command
        self.count += 1
        return True

    def behind(self) -> KhepriTimeoutError:
        """Make the error for a time that is over while nothing is under way."""
        why = "others were always ahead" if self.count else "its function took longer"
        return self.deadline.error("the transaction", "not_applied", why)

    def late(self, error: KhepriTimeoutError) -> KhepriTimeoutError:
        """Make the error for a command that was not answered in what was left of the time."""
        return self.deadline.error("the transaction", error.facts["outcome"], error.message)


def _of_transaction(
    function: Callable[..., T] | PathLike, args: Sequence[object]
) -> Callable[[Transaction], T]:
    """Give what a transaction runs: a function of the program, or one by its stored name."""
    if not isinstance(args, (list, tuple)):
        raise WrongTypeError(
            f"args is a list of what the function is called with, not {args!r:.100}",
            option="args",
            value=args,
        )
    if isinstance(function, (str, list, tuple)):
        path = cast("PathLike", function)
        one_node(path)  # a mistake is told now

        def stored(transaction: Transaction) -> T:
            found: T = find_procedure(transaction.get(path), path)(transaction, *args)
            return found

        return stored
    if not callable(function) or iscoroutinefunction(function):
        raise WrongTypeError(
            "a transaction is a function that is called, not awaited, or the path of a stored"
            f" procedure: {function!r:.100}",
            option="function",
            value=function,
        )
    return lambda transaction: function(transaction, *args)


def _leave(lock: RLock) -> None:
    """End this thread's turn, if it has come to have it."""
    with suppress(RuntimeError):
        lock.release()


def is_done(reply: object) -> bool:
    """Tell from the reply to a run's command whether it was applied; if not, run again.

    Not only a read that would see something else is a reason to. A write that the function could
    do, and the machine could not, found another tree too.

    Raises:
        KhepriError: the server has refused it.
    """
    if isinstance(reply, list):
        return not is_error(reply)  # pyright: ignore[reportUnknownArgumentType]
    result(reply)
    return True
