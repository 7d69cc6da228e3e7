"""Where the changes of one store are fetched from: they wait here between its server and the feed.

The server says what it has applied and goes on. The feed takes everything that waits as one, in
its own thread: several changes of one path have become one by then, from the first sight to the
last, as if the trees before and after had been compared. What waits is bounded: if there is more,
it is dropped, no more is taken, and the feed does compare the two trees, once. So nothing is
missed, whatever the pace.

A listener has a view of its own, the last tree it knows. What waits is for those who know the tree
from which it goes on; all others (one that is new, or all of them after a server's restart or
after a snapshot was installed) are told by comparison. Two views of the same place in the log hold
the same tree.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from khepri.errors import ProjectionExistsError, ServerStoppedError

from .changes_told import ChangesTold
from .listener_table import ListenerTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.machine.machine import View
    from khepri.machine.tree import Names, TreeNode

    from .access import StoreAccess
    from .change_listener import ChangeListener, Ending

Changed = dict["Names", tuple["TreeNode | None", "TreeNode | None"]]
"""What is different by path: the tree node before the first change and after the last."""

MAX_WAITING_CHANGES: Final = 10_000
"""So many paths may wait to be told of. With each its former tree node is kept, some hundred bytes
and its payload."""

END_SECONDS = 5.0
"""How long a stop waits for functions of the host's that it has to tell of it itself."""


class _Waiting:
    """What was applied and not fetched yet."""

    __slots__ = ("after", "before", "changed")

    def __init__(self, before: View | None, changed: Changed | None, after: View) -> None:
        self.before = before
        self.changed = changed  # None: to be found by comparison
        self.after = after


class ChangeOutlet:
    """The changes of one store in one life, and who is told of them. Any thread.

    Attributes:
        listens: whether anybody is told; the server looks at it without a lock.
        wants_changes: whether the machine is to note changes; the same.
        has_tree: whether the tree is one to begin with; False while the store joins a cluster and
            has not got what that has.
    """

    __slots__ = (
        "_access",
        "_dealing",
        "_ending",
        "_is_closed",
        "_is_closing",
        "_is_rung",
        "_listeners",
        "_lock",
        "_ring",
        "_waiting",
        "has_tree",
        "listens",
        "wants_changes",
    )

    def __init__(self, access: StoreAccess) -> None:
        """Begin without listeners.

        Args:
            access: of the store.
        """
        self.listens = False
        self.wants_changes = False
        self.has_tree = True
        self._access = access
        # Held for a moment only. Again by the same thread if a finalizer that runs in it closes a
        # subscription.
        self._lock = threading.RLock()
        self._dealing = threading.RLock()  # held while listeners are told
        self._listeners = ListenerTable()
        self._waiting: _Waiting | None = None
        self._ring: Callable[[ChangeOutlet], bool] | None = None
        self._is_rung = False
        self._is_closed = False
        self._is_closing = False
        self._ending: Ending = "stopped"

    # --- the server

    def offer(self, before: View | None, changed: Changed | None, after: View) -> None:
        """Have it told that another tree is published; never waits.

        Args:
            before: the tree from which the changes lead to the later one.
            changed: the changes; it is not touched afterwards. None if they are not known.
            after: the later tree.
        """
        with self._lock:
            if not self.listens:
                return
            waiting = self._waiting
            if waiting is None:
                self._waiting = waiting = _Waiting(before, changed, after)
                if changed is not None and len(changed) > MAX_WAITING_CHANGES:
                    waiting.changed = None
            else:
                if not _same_place(waiting.after, before):
                    changed = None
                waiting.after = after
                _add(waiting, changed)
            self.wants_changes = self.listens and waiting.changed is not None
        self.ring()

    def ring(self) -> None:
        """Have the feed look here, unless it is about to."""
        with self._lock:
            if self._is_rung or not self.listens:
                return
            self._is_rung = True
            ring = self._ring
        assert ring is not None, "there are listeners"
        ring(self)  # in vain while the feed is being restarted: it looks everywhere then

    # --- listeners come and go

    def reserve(self, name: str) -> None:
        """Keep a name for a listener that is about to come.

        Raises:
            ProjectionExistsError: there is one of that name, or about to be.
        """
        with self._lock:
            if not self._listeners.reserve(name):
                raise ProjectionExistsError(
                    f"the store {self._access.store_id!r} has a projection {name!r} already:"
                    " unregister it before",
                    store_id=self._access.store_id,
                    name=name,
                )

    def release(self, name: str) -> None:
        """Give up a name that was reserved, and whose listener has not come."""
        with self._lock:
            self._listeners.release(name)

    def add(self, listener: ChangeListener, ring: Callable[[ChangeOutlet], bool]) -> None:
        """Tell somebody what is different since the view it has.

        Args:
            listener: who; a name of its own is reserved.
            ring: has the feed look here; whether it will.

        Raises:
            ServerStoppedError: the store was stopped, or has another tree since.
        """
        with self._lock:
            if self._is_closing or self._is_closed:
                raise ServerStoppedError(
                    f"the store {self._access.store_id!r} was stopped, or has another tree since",
                    store_id=self._access.store_id,
                    outcome="not_applied",
                )
            self._ring = ring
            listener.outlet = self
            self._listeners.add(listener)
            self.listens = True
            self.wants_changes = self._waiting is None or self._waiting.changed is not None
        self.ring()

    def remove(self, listener: ChangeListener) -> bool:
        """Tell somebody nothing more; what it is just being told it still may hear.

        Returns:
            whether it was told until now.
        """
        with self._lock:
            was_there = self._listeners.remove(listener)
            self._look_who_listens()
        return was_there

    def named(self, name: str) -> ChangeListener | None:
        """Give the listener of a name, None if there is none or it is only about to come."""
        return self._listeners.named.get(name)

    def names(self) -> list[str]:
        """Give the names of all listeners that have one, sorted."""
        with self._lock:
            return sorted(self._listeners.names())

    @property
    def newest_view(self) -> View | None:
        """The tree that readers see now; None before the first recovery."""
        return self._access.view

    # --- the feed

    def deal(self) -> None:
        """Tell all listeners what is different since they were told last.

        In the feed's thread; in another one only if there is no feed any more.
        """
        with self._dealing:
            with self._lock:
                waiting, self._waiting = self._waiting, None
                self._is_rung = False
                self.wants_changes = self.listens
                is_closed = self._is_closed
                table = self._listeners.copy()
            newest = self._access.view if waiting is None else waiting.after
            if newest is not None:
                known = None if waiting is None else (waiting.before, waiting.changed)
                told = ChangesTold(self, newest, known)
                for listener in told.tell(table):
                    if self.remove(listener):
                        listener.end("closed")
            if is_closed:
                self._end_all()

    def close(self) -> None:
        """Tell everybody, after what waits, that the store was stopped. Any thread."""
        with self._lock:
            self._is_closed = True
            at_once = [each for each in self._listeners.all() if each.ends_at_once]
            for listener in at_once:
                self._listeners.remove(listener)
            self._look_who_listens()
            ring, self._is_rung, ending = self._ring, True, self._ending
        for listener in at_once:
            listener.end(ending)
        if ring is not None and not ring(self):
            # A function that does not return must not hold up who stops the store, or its node.
            closing = threading.Thread(
                target=self._close_without_feed, name="khepri-change-outlet-end", daemon=True
            )
            try:
                closing.start()
            except RuntimeError:  # there is no thread to be had, as when the interpreter ends
                self._close_without_feed()
            else:
                closing.join(END_SECONDS)

    def closes_for(self, ending: Ending) -> Sequence[ChangeListener]:
        """Say for what reason it is about to be closed, and take out who outlasts that.

        Returns:
            those who go on in the next life of the store, if there is one.
        """
        with self._lock:
            self._ending, self._is_closing = ending, True
            if ending != "joined":
                return ()
            lasting = [each for each in self._listeners.all() if each.outlasts_the_tree]
            for listener in lasting:
                listener.outlet = None
                self._listeners.remove(listener)
            self._look_who_listens()
        return lasting

    def adopt(
        self, lasting: Sequence[ChangeListener], ring: Callable[[ChangeOutlet], bool]
    ) -> None:
        """Go on telling those of the store's former life; they begin anew with its tree.

        They do when `tree_has_come` says so. Nobody else has come to this outlet yet.
        """
        self.has_tree = not lasting
        for listener in lasting:
            listener.view = None
            self.reserve(listener.name)
            self.add(listener, ring)

    def tree_has_come(self) -> None:
        """Have those begin who were waiting for the tree; nothing happens if nobody was."""
        self.has_tree = True
        self.ring()

    def forget_parent_process(self) -> None:
        """This is a forked child: nobody is told anything."""
        self._lock = threading.RLock()  # the parent's may be held, by a thread that is not here
        for listener in self._listeners.all():
            listener.forget_parent_process()

    def _close_without_feed(self) -> None:
        if self._dealing.acquire(blocking=False):
            try:
                self.deal()
            finally:
                self._dealing.release()
        else:  # a function that does not return, or a feed that has just come back after all
            self._end_all()

    def _end_all(self) -> None:
        with self._lock:
            listeners, ending = self._listeners.all(), self._ending
            self._listeners = ListenerTable()
            self._look_who_listens()
        for listener in listeners:
            listener.end(ending)

    def _look_who_listens(self) -> None:
        self.listens = bool(self._listeners)
        if not self.listens:
            self.wants_changes = False
            self._waiting = None


def _add(waiting: _Waiting, changed: Changed | None) -> None:
    """Add later changes to those that wait, unless they are not known or too many."""
    all_changed = waiting.changed
    if all_changed is None:
        return
    if changed is None or len(all_changed) + len(changed) > MAX_WAITING_CHANGES:
        waiting.changed = None
        return
    for path, (old, new) in changed.items():
        note(all_changed, path, old, new)


def note(changed: Changed, path: Names, old: TreeNode | None, new: TreeNode | None) -> None:
    """Add a later change to earlier ones: of each path the first sight counts, and the last."""
    known = changed.get(path)
    changed[path] = (old if known is None else known[0], new)


def _same_place(view: View, other: View | None) -> bool:
    return other is not None and view.index == other.index and view.term == other.term
