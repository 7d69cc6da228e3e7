"""Ephemeral tree nodes: they are there while a program lives and says so. Beyond Khepri."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from khepri.actors.server_clock import server_clock
from khepri.errors import (
    KhepriError,
    MismatchingNodeError,
    NodeNotFoundError,
)

from .announcing import Announced
from .store_argument import checked_store

if TYPE_CHECKING:
    from types import TracebackType

    from khepri.machine.paths import PathLike

    from .store import Store


class EphemeralNode(Announced):
    """A tree node that is there while this program lives and says so.

    ::

        with khepri.EphemeralNode("/workers/ann", {"port": 5701}):
            ...

    It has a time to live, which is renewed every third of it. If it was lost meanwhile, since the
    program was cut off or asleep for longer, it is put again as soon as nothing is there; `losses`
    counts that. While it is there its data are a tree node's as any other: a `put` without ``ttl``
    leaves its life alone. What is put again has the data that were given here.

    Its child ``owner`` tells whose it is. What is below it goes with it. Any thread. In a forked
    child it is the parent's, and is not there.
    """

    def __init__(
        self, path: PathLike, data: object, *, ttl: float = 15.0, store: Store | None = None
    ) -> None:
        """Describe it; nothing is sent and nothing has to run yet.

        Args:
            path: of one tree node, where nothing is.
            data: what it has.
            ttl: seconds after which it goes if this program is not heard of. 0.1 or more; above
                the differences between the clocks of the members, and above the pauses that a
                program may have.
            store: a handle; of the default store if left out.

        Raises:
            MisuseError: an impossible argument.
        """
        super().__init__(path, data, ttl, checked_store(store))
        self._changing = threading.Lock()  # held while it is started or stopped

    def start(self) -> None:
        """Make it, and keep it alive from now on.

        Raises:
            MisuseError: it is started already.
            MismatchingNodeError: something is at the path; nothing was done.
            KhepriTimeoutError: not within the default timeout. If it is made nevertheless, it goes
                when its time to live is over; `start` may be called again.
            KhepriError: as every write.
        """
        with self._changing:
            self._check_not_started()
            self._keep(self._make())

    def stop(self) -> None:
        """Delete it if it is still ours, and keep it alive no longer.

        Nothing happens if it is not started.

        Raises:
            KhepriTimeoutError: not within the default timeout; it goes when its time to live is
                over at the latest.
            KhepriError: as every write.
        """
        with self._changing:
            if not self._end():
                return
            with suppress(NodeNotFoundError, MismatchingNodeError), self._store.batch() as batch:
                self._claim.delete(batch)

    def __enter__(self) -> Self:
        """Make it; see `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete it; see `stop`. An exception that leaves the block goes first."""
        with suppress(*() if error is None else (KhepriError,)):
            self.stop()

    def forget_parent_process(self) -> None:
        """In a forked child: it is the parent's."""
        super().forget_parent_process()
        self._changing = threading.Lock()

    def _make(self) -> float:
        """Make it, or find that an earlier attempt has made it; give when that was asked for."""
        began = server_clock()
        try:
            with self._store.batch() as batch:
                self._claim.create(batch)
        except MismatchingNodeError as error:
            began = server_clock()
            try:
                with self._store.batch() as batch:
                    self._claim.touch(batch)
            except (NodeNotFoundError, MismatchingNodeError):
                raise self._claim.occupied(error) from None
        return began
