"""What is known of a lock in the process that has it, for threads as for tasks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from khepri.actors import fork_guard
from khepri.errors import KhepriError, MisuseError, ServerStoppedError

from .keeping import keeper
from .lock_line import Hold, Line, Place

if TYPE_CHECKING:
    from khepri.machine.paths import Path, PathLike

    from .writing import Writer


class Holder:
    """A lock as this process knows it; the base of `khepri.Lock` and `khepri.aio.Lock`."""

    def __init__(self, path: PathLike, ttl: float, data: object, store: Writer) -> None:
        """Describe the lock; nothing is sent and nothing has to run yet.

        Args:
            path: of the lock's own tree node, where the number of its acquisitions is kept.
            ttl: seconds after which the lock passes on if its holder is not heard of; it is
                renewed every third of it. 0.1 or more; above the differences between the clocks
                of the members, and above the pauses that a program may have.
            data: what others see of the holder, at its place.
            store: which writes, without waiting.

        Raises:
            MisuseError: an impossible argument.
        """
        self._line = Line(path, ttl, data)
        self._store = store
        self._hold: Hold | None = None
        fork_guard.watch(self)

    def __repr__(self) -> str:
        """Show which lock it is, and whether it is held."""
        hold = self._hold
        if hold is None:
            state = "not acquired"
        else:
            state = f"{'held' if hold.is_valid else 'lost'}, token {hold.place.number}"
        return f"<{type(self).__name__} {self._line.path}, {state}>"

    @property
    def path(self) -> Path:
        """Where the lock is."""
        return self._line.path

    @property
    def held(self) -> bool:
        """Whether it is held, for certain as far as clocks can be trusted. Asks nobody.

        False at the latest when the time to live, counted from before the last renewal that was
        answered, is over; and then for good, until it is acquired anew.
        """
        hold = self._hold
        return hold is not None and hold.is_valid

    @property
    def token(self) -> int:
        """The fencing token: a number that grows with each acquisition of this lock by anybody.

        It begins anew only if the lock's tree node is deleted. What is outside of the store can
        refuse who comes with a lower one than it has seen.

        Raises:
            MisuseError: the lock is not acquired.
        """
        return self._acquired().place.number

    @property
    def guard(self) -> Path:
        """A path that is there exactly as long as nobody else can have the lock.

        ``batch.require(lock.guard)`` has a batch done only if this very acquisition still holds
        when the batch is applied; so does ``transaction.require(lock.guard)``. No clock is
        trusted for that.

        Raises:
            MisuseError: the lock is not acquired.
        """
        return self._acquired().place.path

    def check(self) -> None:
        """Do nothing if the lock is held. Asks nobody.

        Raises:
            LockLostError: it is not held any more.
            MisuseError: it is not acquired.
        """
        hold = self._acquired()
        if not hold.is_valid:
            raise hold.lost_error()

    def forget_parent_process(self) -> None:
        """In a forked child: what the parent holds is lost here."""
        if self._hold is not None:
            self._hold.abandon()

    # --- inside

    def _acquired(self) -> Hold:
        hold = self._hold
        if hold is None:
            raise MisuseError(f"the lock {self._line.path} is not acquired")
        return hold

    def _keep(self, place: Place) -> Hold:
        """Have a place kept alive."""
        hold = Hold(self._store, self._line, place)
        try:
            keeper.add(hold)
        except BaseException:  # no thread is left
            hold.give_back()
            raise
        return hold

    def _forget(self, mark: str) -> None:
        """Undo an attempt that may have been done; if that fails, its time to live undoes it."""
        with suppress(KhepriError):
            self._store.delete_many(self._line.all_of(mark), async_=True)

    def _check_runs(self, error: ServerStoppedError) -> None:
        """Go on after a crash of the server, which its supervisor starts again.

        Raises:
            ServerStoppedError: the store has stopped.
        """
        if self._store.node.stores.get(self._store.store_id) is None:
            raise error
