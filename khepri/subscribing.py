"""Subscriptions: an actor, or a function, is told what has changed. Beyond Khepri."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from khepri.actors.change_listener import ChangeListener
from khepri.actors.host_actor import is_host_actor, tell
from khepri.actors.repeated_failures import RepeatedFailures
from khepri.errors import WrongTypeError
from khepri.machine.concrete_pattern import ConcretePattern
from khepri.machine.paths import resolve_path
from khepri.machine.properties import known_path
from khepri.machine.queries import properties_of

from .options import listed, returned_properties
from .reading import Reader
from .subscription_events import SubscriptionEnded, TreeChanged
from .viewing import Difference, TreeView, checked_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pykka

    from khepri.actors.change_listener import Ending
    from khepri.actors.change_outlet import ChangeOutlet
    from khepri.machine.machine import View
    from khepri.machine.paths import Path, PathLike, PathPattern
    from khepri.machine.properties import NodeProperties
    from khepri.machine.state import Change
    from khepri.machine.tree import TreeNode

    Event = TreeChanged | SubscriptionEnded
    Recipient = pykka.ActorRef[Any] | Callable[[Event], object]

_logger = logging.getLogger("khepri.subscription")


class Subscription(ChangeListener):
    """What `Store.subscribe` gives. Any thread."""

    __slots__ = (
        "_actor",
        "_events",
        "_failures",
        "_function",
        "_is_over",
        "_mask",
        "_telling",
        "store_id",
    )

    def __init__(
        self, store_id: str, pattern: ConcretePattern, to: Recipient, mask: int, view: View
    ) -> None:
        """Begin to listen nowhere; `Store.subscribe` does the rest."""
        super().__init__(pattern, view)
        self.store_id = store_id
        self._actor = to if is_host_actor(to) else None
        self._function = cast("Callable[[Event], object]", to)  # unless it is an actor
        self._mask = mask
        self._is_over = False
        self._failures = RepeatedFailures(_logger)
        self._events: deque[Event] = deque()  # what is to be told by whoever is telling
        self._telling = threading.Lock()

    def __repr__(self) -> str:
        """Show to what and of which store."""
        return f"<subscription to {self.path_pattern} of {self.store_id!r}>"

    @property
    def path_pattern(self) -> Path | PathPattern:
        """What it is about."""
        return cast("Path | PathPattern", self.pattern.pattern)

    @property
    def is_open(self) -> bool:
        """Whether there may be something more to tell."""
        return not self._is_over

    def close(self) -> None:
        """Tell nothing more. Nothing happens if it has ended.

        What is just being told, or waits in the mailbox of the actor, still comes. There is no
        `SubscriptionEnded`: who closes it knows.
        """
        self._is_over = True
        outlet = self.outlet
        if outlet is not None:
            outlet.remove(self)
        self._let_go()

    # --- the feed

    @property
    def is_over(self) -> bool:
        """Whether it is closed, or its actor is dead."""
        return self._is_over or (self._actor is not None and not self._actor.is_alive())

    def begin(self, outlet: ChangeOutlet, view: View) -> None:
        """Do nothing: it has a view until it has ended."""

    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        """Tell what of the changes it is about."""
        if self.is_over or outlet is not self.outlet:
            return
        was = self.pattern.matching(before.root)
        now = self.pattern.matching(after.root)
        differences = [
            Difference(known_path(path), self._properties(old), self._properties(new))
            for path, old, new, _reason in changes
            if (was if new is None else now)(path)
        ]
        self.view = after
        if differences:
            self._tell(
                TreeChanged(self.store_id, self, TreeView(self.store_id, after), differences)
            )

    def end(self, ending: Ending) -> None:
        """Tell that there is nothing more to tell."""
        was_open, self._is_over = not self._is_over, True
        if was_open and ending != "closed":
            self._tell(SubscriptionEnded(self.store_id, self, ending))
        self._let_go()

    def _let_go(self) -> None:
        """Keep no tree and no store, however long the host keeps this."""
        self.outlet = self.view = None

    def _properties(self, node: TreeNode | None) -> NodeProperties | None:
        return None if node is None else properties_of(node, self._mask)

    def _tell(self, event: Event) -> None:
        """Tell; by the thread in which the function has not returned yet, if there is one.

        That is another one when the node stops and does not wait for it any longer.
        """
        events, telling = self._events, self._telling
        events.append(event)
        while events and telling.acquire(blocking=False):
            try:
                while events:
                    self._call(events.popleft())
            finally:
                telling.release()

    def _call(self, event: Event) -> None:
        try:
            if self._actor is None:
                self._function(event)
            elif not tell(self._actor, event):
                self._is_over = True
                _logger.debug("%r ends: its actor is dead", self)
        except BaseException as error:  # noqa: BLE001 - it is the host's, and harms nobody
            self._failures.note(f"{self!r}", error)


class Subscriber(Reader):
    """The part of a `Store` that has others told of changes."""

    __slots__ = ()

    def subscribe(
        self,
        path_pattern: PathLike,
        to: Recipient,
        *,
        since: TreeView | None = None,
        props_to_return: Iterable[str] | None = None,
    ) -> Subscription:
        """Have an actor, or a function, told what changes among the matches of a pattern.

        It is told `khepri.messages.TreeChanged`, as often as something has changed: what was
        written together, and what happens while it is being told, is told as one, and of each
        path only what it was before and is after. Nothing is missed, also across a restart of the
        server. If the store is stopped, reset or joins a cluster, the last that is told is
        `khepri.messages.SubscriptionEnded`; then subscribe anew.

        A tree node is told of if it matches after the change, or, if it is gone, matched before.
        A condition is asked of the tree as it then was.

        It is local: it sees what this node has applied, and lives as long as the store runs here.
        While there is one, plain puts cost the store about twice as much time on this node.

        Args:
            path_pattern: which tree nodes; conditions may be asked of them.
            to: the `pykka.ActorRef` of an actor, for whom the subscription ends when it is dead;
                or a function of one argument. All functions of a node are called one after the
                other in one thread of khepri's: a slow one holds up the others, and no store.
                What one raises is logged under ``khepri.subscription``.
            since: the view from which on to tell; as it is now, if left out. As for `follow`.
            props_to_return: as for the functions of `AdvancedStore`.

        Returns:
            the subscription; there is no need to keep it.

        Raises:
            InvalidPathError, InvalidConditionError, InvalidOptionError, WrongTypeError: bad
                arguments.
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: it is only being started, and that took the default timeout.
            ServerStoppedError: it was stopped, or has another tree, just now.
        """
        pattern = ConcretePattern(resolve_path(path_pattern))
        if not is_host_actor(to) and (not callable(to) or inspect.iscoroutinefunction(to)):
            raise WrongTypeError(
                f"to is a reference to an actor, or a plain function, not {to!r:.100}",
                option="to",
                value=to,
            )
        mask = returned_properties(listed(props_to_return))
        access = self.access
        view = self._view({}) if since is None else checked_since(since, self._store_id).held
        subscription = Subscription(self._store_id, pattern, to, mask, view)
        access.outlet.add(subscription, self.node.change_feed().ring)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Close a subscription, as `Subscription.close` does.

        Raises:
            WrongTypeError: it is none.
        """
        if not isinstance(subscription, Subscription):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WrongTypeError(
                f"that is no subscription: {subscription!r:.100}",
                option="subscription",
                value=subscription,
            )
        subscription.close()
