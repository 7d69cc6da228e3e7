"""What keeps a node alive: its supervisor, and the actors that every node has.

::

    NodeSupervisor        one_for_one
    ├─ Registry           store ids, names to references
    ├─ EventHandler       runs trigger actions
    ├─ Confirmer          asks other members how far they are; from the first question on
    ├─ ChangeFeed         tells what has changed; from the first listener on
    ├─ Network            the way to other nodes, if there is one: see `node_network.py`
    └─ RaSystem           one per data directory; `Node` starts and stops them
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Final, cast

from .actor_errors import ChildExistsError
from .change_feed import ChangeFeed, FeedLine
from .child_spec import ChildSpec, Siblings, Strategy, SupervisorFlags
from .confirmer import Confirmer
from .event_handler import EventHandler
from .label import ActorLabel
from .registry import Registry
from .supervision import start_child
from .supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from .node import Node
    from .node_network import NodeNetwork
    from .published_names import PublishedNames
    from .reference import ActorReference

STOP_SECONDS = 60.0
"""How long a stop waits for the actors to put their things away."""

FEED_STOP_SECONDS = 5.0
"""How long a stop waits for a function of the host's that the ChangeFeed has called."""


class NodeSupervision:
    """Starts the actors of a node when they are first needed.

    The caller sees to it that no two threads start or stop at once.
    """

    def __init__(
        self,
        node_name: str,
        names: PublishedNames,
        network: NodeNetwork,
        node: Callable[[], Node | None],
    ) -> None:
        """Declare the actors; none is started.

        Args:
            node_name: whose they are.
            names: the registry's table.
            network: has its supervisor among the actors.
            node: gives the node, None if it has gone.
        """
        self._node_name = node_name
        self._names = names
        self._network = network
        self._node = node
        self._supervisor: ActorReference | None = None
        self._registry: ActorReference | None = None
        self._event_handler: ActorReference | None = None
        self.confirmer: ActorReference | None = None
        """The Confirmer, once it was started: with the others, if there can be other nodes."""
        self.feed_line = FeedLine()
        """The way to the ChangeFeed, which `start_change_feed` starts."""

    @property
    def is_running(self) -> bool:
        """Whether the actors run, as far as can be told at a glance. Any thread."""
        supervisor = self._supervisor
        return supervisor is not None and supervisor.is_alive() and self._registry is not None

    def supervisor(self) -> ActorReference:
        """Give the supervisor of the node, with all that every node has; started if need be.

        Raises:
            ListenError: the node's address cannot be bound.
            CookieError: there is no usable cookie.
        """
        if self._supervisor is None or not self._supervisor.is_alive():
            self._supervisor = Supervisor.start(
                ActorLabel("node-supervisor", None, self._node_name),
                SupervisorFlags(Strategy.ONE_FOR_ONE, intensity=5, period_seconds=5.0),
                (
                    ChildSpec("registry", self._start_registry),
                    ChildSpec("event_handler", self._start_event_handler),
                    *(self._with_others() if self._network.is_distributed else ()),
                ),
            )
            self._supervisor.started.get(timeout=STOP_SECONDS)
        return self._supervisor

    def _with_others(self) -> tuple[ChildSpec, ...]:
        """Declare what a node has that can be one of several."""
        return (self._network.child_spec(), self._confirmer_spec())

    def _confirmer_spec(self) -> ChildSpec:
        return ChildSpec("confirmer", self._start_confirmer)

    def start_confirmer(self) -> ActorReference:
        """Give the Confirmer, started if need be; the supervisor runs."""
        with contextlib.suppress(ChildExistsError):  # it is just being restarted
            start_child(self.supervisor(), self._confirmer_spec()).get(timeout=STOP_SECONDS)
        assert self.confirmer is not None
        return self.confirmer

    def start_change_feed(self) -> FeedLine:
        """Give the way to the ChangeFeed, started if need be; the supervisor runs."""
        feed = self.feed_line.reference
        if feed is None or not feed.is_alive():
            with contextlib.suppress(ChildExistsError):  # it is just being restarted
                spec = ChildSpec(
                    "change_feed", self._start_change_feed, shutdown_seconds=FEED_STOP_SECONDS
                )
                start_child(self.supervisor(), spec).get(timeout=STOP_SECONDS)
        return self.feed_line

    def stop(self) -> None:
        """Stop the actors, if they run."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.stop(block=True, timeout=STOP_SECONDS)
            self.feed_line.end()

    def registry_that_runs(self) -> ActorReference:
        """Give the registry, once the supervisor was started. Any thread, and without waiting."""
        assert self._registry is not None
        return self._registry

    def event_handler_that_runs(self) -> ActorReference:
        """Give the EventHandler, as `registry_that_runs` gives the registry."""
        assert self._event_handler is not None
        return self._event_handler

    def _start_registry(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._registry = Registry.start(ActorLabel("registry", None, self._node_name), self._names)
        return self._registry

    def _start_confirmer(self, siblings: Siblings) -> ActorReference:
        del siblings
        label = ActorLabel("confirmer", None, self._node_name)
        self.confirmer = Confirmer.start(label, lambda: self._network.router)
        return self.confirmer

    def _start_change_feed(self, siblings: Siblings) -> ActorReference:
        del siblings
        label = ActorLabel("change-feed", None, self._node_name)
        feed = ChangeFeed.start(label, self.feed_line)
        self.feed_line.connect(feed)
        return feed

    def _start_event_handler(self, siblings: Siblings) -> ActorReference:
        del siblings
        label = ActorLabel("event-handler", None, self._node_name)
        self._event_handler = EventHandler.start(label, self._node)
        return self._event_handler


_called_at_exit: Final[dict[weakref.WeakMethod[Callable[[], object]], int]] = {}
"""What is called when the interpreter exits, with the process that asked for it."""


def call_at_exit(stop: Callable[[], object]) -> None:
    """Have a method called when the interpreter exits, if its object and this process live then.

    Our threads keep no interpreter alive, so without this they would just be cut off. Nothing is
    left of an object that has gone.
    """
    _called_at_exit[weakref.WeakMethod(stop, _forget)] = os.getpid()


def _forget(stop: weakref.ref[Callable[[], object]]) -> None:
    _called_at_exit.pop(cast("weakref.WeakMethod[Callable[[], object]]", stop), None)


@atexit.register
def _call_all() -> None:
    for stop, process in reversed(_called_at_exit.copy().items()):
        method = stop()
        if method is not None and process == os.getpid():
            method()
