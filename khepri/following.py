"""Following: what becomes different in a part of the tree, told again and again. Beyond Khepri."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from khepri.errors import KhepriTimeoutError, NoSuchServerError, ServerStoppedError

from .calls import Deadline
from .options import applied, listed, returned_properties
from .reading import concrete_path
from .viewing import Difference, TreeView, Viewer, checked_since

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from khepri.machine.paths import PathLike

    from .options import ReadOptions
    from .reading import Reader


LOOK_SECONDS: Final = 5.0
"""How often is looked whether there is still the same tree: another one may have come just when
the server was asked, and would never reach the place that is waited for."""


class Changes(NamedTuple):
    """What has become different between two views.

    Attributes:
        view: the later one; go on from it with ``since=view``.
        differences: what differs from the one before, in path order; never empty.
    """

    view: TreeView
    differences: list[Difference]


class Follower(Viewer):
    """The part of a `Store` that tells of changes."""

    __slots__ = ()

    def follow(
        self,
        path: PathLike,
        *,
        since: TreeView | None = None,
        timeout: float | None = None,
        props_to_return: Iterable[str] | None = None,
    ) -> Generator[Changes]:
        """Wait for changes at and below a path and tell of them, again and again.

        Nothing falls between two of them, nor between ``since`` and the first. What happens while
        the caller is busy is told together with what comes next: it sees that data are others, not
        each that they were in between.

        Args:
            path: of one tree node, which need not be there yet; ``"/"`` for everything.
            since: the view from which on to tell; as it is now, if left out. To begin with what
                is there, take a `view`, read from it, and follow since then. A view from before
                a `reset` or `join` is not recognised as one: what comes in the new tree before
                the place of that view is not told.
            timeout: seconds to wait for each change at most; left out, for ever.
            props_to_return: as for the functions of `AdvancedStore`.

        Returns:
            an iterator that waits in the caller's thread, and in `khepri.aio` an asynchronous one.
            Leave it, or close it, when there is no more need of it.

        Raises:
            InvalidPathError, InvalidOptionError, WrongTypeError: at once, for bad arguments.
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: nothing has changed for so long. Follow on since the last view:
                nothing is missed.
            ServerStoppedError: the store was stopped, or has another tree since a `reset` or
                `join`: begin anew with a view of that.
        """
        follow = Follow(self, path, timeout, props_to_return)
        return self._follow(follow, self.view() if since is None else follow.checked(since))

    def _follow(self, follow: Follow, view: TreeView) -> Generator[Changes]:
        follow.begin(view)
        while True:
            try:
                changes = follow.look(self.view(**follow.question()))
            except (KhepriTimeoutError, NoSuchServerError, ServerStoppedError) as error:
                follow.go_on_after(error)
                continue
            if changes is not None:
                yield changes
                follow.begin(changes.view)


class Follow:
    """How far one follower has come; for threads as for tasks."""

    __slots__ = ("_access", "_path", "_properties", "_quiet", "_reader", "_timeout", "_view")

    def __init__(
        self,
        reader: Reader,
        path: PathLike,
        timeout: float | None,
        props_to_return: Iterable[str] | None,
    ) -> None:
        """Say what is followed.

        Args:
            reader: of the store.
            path: as for `Follower.follow`.
            timeout: the same.
            props_to_return: the same.

        Raises:
            MisuseError: one of these is impossible.
            NoSuchServerError: the store does not run here.
        """
        self._reader = reader
        self._access = reader.access
        self._path = concrete_path(path)
        self._timeout = timeout
        self._quiet = Deadline(timeout)
        names = listed(props_to_return)
        returned_properties(names)
        self._properties = None if names is None else list(names)
        self._view: TreeView

    def checked(self, since: TreeView) -> TreeView:
        """Give a view to follow since.

        Raises:
            WrongTypeError, InvalidOptionError: it is none of this store.
        """
        return checked_since(since, self._reader.store_id)

    def begin(self, view: TreeView) -> None:
        """Wait for a change since a view, from now on."""
        self._view = view
        self._quiet = Deadline(self._timeout)

    def question(self) -> ReadOptions:
        """Give how to ask for the next view.

        Raises:
            ServerStoppedError: the store has another tree, or has gone.
        """
        self._check_is_there()
        place = applied(self._view.index + 1, self._view.term)
        remaining = self._quiet.remaining()
        seconds = LOOK_SECONDS if remaining is None else min(remaining, LOOK_SECONDS)
        return {"condition": place, "timeout": seconds}

    def look(self, view: TreeView) -> Changes | None:
        """Take the next view; tell what is different in it, if anything is.

        Raises:
            ServerStoppedError: it is not of the same tree.
        """
        self._check_is_there()
        differences = view.diff(self._path, self._view, props_to_return=self._properties)
        self._view = view
        return Changes(view, differences) if differences else None

    def go_on_after(
        self, error: KhepriTimeoutError | NoSuchServerError | ServerStoppedError
    ) -> None:
        """Do so unless the time is over; if the server went away, its supervisor starts it again.

        Raises:
            KhepriTimeoutError: the time is over.
            ServerStoppedError: the store has gone, or has another tree.
        """
        if isinstance(error, KhepriTimeoutError) and self._quiet.is_over():
            raise KhepriTimeoutError(
                f"nothing has changed at {self._path} for {self._timeout} seconds",
                operation="following",
                timeout_seconds=self._timeout,
                outcome="not_applied",
            ) from error
        if not isinstance(error, KhepriTimeoutError):
            self._check_is_there()

    def _check_is_there(self) -> None:
        reader = self._reader
        if reader.node.stores.get(reader.store_id) is not self._access:
            raise ServerStoppedError(
                f"the store {reader.store_id!r} was stopped, or has another tree since: begin"
                " with a view of that",
                store_id=reader.store_id,
                outcome="not_applied",
            )
