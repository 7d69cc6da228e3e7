"""A node's way to other nodes: its transport, its Router, and the calls between nodes.

::

    Network               one_for_one, temporary: when it gives up, the stores go on
    └─ Router             owns the transport, and is restarted with it

A store that cannot be reached by others still serves local reads, and a restart of all of them
would not mend the network. So it gives up alone, says so, and stays down until the node is
stopped and started.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from khepri.errors import JoinError, WrongTypeError

from .actor_errors import NoSuchActorError
from .child_spec import ChildSpec, Restart, Siblings, Strategy, SupervisorFlags, supervisor_spec
from .exit_reason import ExitKind
from .label import ActorLabel
from .postman import Postman
from .refusals import value_or_error
from .remote_functions import RemoteFunctions
from .router import RemoteCall, Router, TransportFailed
from .server_setup import NoNetwork
from .stand_in import StandIn
from .store_network import StoreNetwork
from .supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from khepri.log.directory import Registration
    from khepri.transport.interface import OnFailure, Receiver, Transport

    from .access import StoreAccess
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .reference import ActorReference
    from .router import Functions
    from .server_setup import Network

    MakeTransport = Callable[[str, bytes, Receiver, OnFailure], Transport]
    """Makes a transport of a node, not started: name, incarnation, who takes what comes, who is
    told when it has failed."""

INTENSITY = 5
"""So many restarts of the Router within the period are made."""

PERIOD_SECONDS = 5.0


class NodeNetwork:
    """What a node has of the network; nothing, if it was given no transport. Any thread."""

    def __init__(
        self,
        name: str,
        stores: Mapping[str, StoreAccess],
        make_transport: MakeTransport | None,
        on_failure: Callable[[str], object],
    ) -> None:
        """Prepare the way; it is opened when the Router is started.

        Args:
            name: of the node.
            stores: those that run on it, as they are at each delivery.
            make_transport: makes a transport for one life of the Router; none without it.
            on_failure: is told, in an actor's thread, that the network has given up, and why.
        """
        self._name = name
        self._make_transport = make_transport
        self._on_failure = on_failure
        self._postman = Postman(stores)
        self._functions = RemoteFunctions(name, stores).by_name()
        self._router: ActorReference | None = None
        self._failure: str | None = None

    @property
    def is_distributed(self) -> bool:
        """Whether other nodes can be reached at all."""
        return self._make_transport is not None

    @property
    def transport(self) -> Transport:
        """The transport, once the Router was started; another one after each restart of it."""
        return self._postman.transport

    @property
    def router(self) -> ActorReference | None:
        """The Router, once it was started; another one after each restart of it."""
        return self._router

    def child_spec(self) -> ChildSpec:
        """Declare the supervisor of the Router. Its start fails if the way cannot be opened.

        The error is a `ListenError` then, or a `CookieError`.
        """
        return supervisor_spec("network", self._start, Restart.TEMPORARY)

    def _start(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._failure = None
        supervisor = Supervisor.start(
            ActorLabel("network", None, self._name),
            SupervisorFlags(Strategy.ONE_FOR_ONE, INTENSITY, PERIOD_SECONDS),
            (
                ChildSpec("router", self._start_router),
                ChildSpec("stand-in", self._start_stand_in),
            ),
        )
        supervisor.down.add_done_callback(lambda down: self._down(supervisor, down))
        return supervisor

    def _start_router(self, siblings: Siblings) -> ActorReference:
        del siblings
        label = ActorLabel("router", None, self._name)
        self._router = Router.start(label, self._new_transport, self._functions)
        return self._router

    def _start_stand_in(self, siblings: Siblings) -> ActorReference:
        del siblings
        self._postman.stand_in = StandIn.start(ActorLabel("stand-in", None, self._name))
        return self._postman.stand_in

    def _new_transport(self, router: ActorReference) -> Transport:
        assert self._make_transport is not None
        transport = self._make_transport(
            self._name,
            os.urandom(16),
            self._postman.deliver,
            lambda error: router.cast(TransportFailed(error)),
        )
        self._postman.transport, self._postman.router = transport, router
        return transport

    def of_store(self, store_id: str, known: Registration) -> Network:
        """Give a store's way to its other members."""
        if not self.is_distributed:
            return NoNetwork()
        return StoreNetwork(self._postman, store_id, known.cluster_id, known.uid)

    def offer(self, functions: Functions) -> None:
        """Let other nodes call these too; they must not wait."""
        self._functions.update(functions)

    def call(
        self, node: str, function: str, arguments: Sequence[object], timeout_seconds: float | None
    ) -> Any:  # noqa: ANN401 - the function decides
        """Call one of `RemoteFunctions` on a node, this one included, and wait for the answer.

        Raises:
            WrongTypeError, InvalidOptionError: not the name of a node.
            JoinError: the node cannot be reached.
            KhepriTimeoutError: no answer in time; whether it was done is unknown.
            KhepriError: what the function raised.
        """
        given = cast("object", node)
        if not isinstance(given, str):  # here, in the thread of who is wrong
            raise WrongTypeError(
                f"a node is told by its name, not by {node!r}", option="node", value=node
            )
        if node == self._name:
            return self._functions[function](*arguments).get(timeout=timeout_seconds)
        if self._router is None:
            raise self._unreachable(node, f"{self._name} is not distributed, or not started")
        if self._failure is not None:
            raise self._unreachable(node, self._failure)
        self.transport.connect(node)
        call = RemoteCall(node, function, tuple(arguments))
        called: KhepriFuture[Any] = self._router.request(call, value_or_error)
        try:
            return called.get(timeout=timeout_seconds)
        except NoSuchActorError as error:  # it is being restarted, or the node was stopped
            raise self._unreachable(node, str(error)) from error

    def _down(self, supervisor: ActorReference, down: KhepriFuture[Exit]) -> None:
        reason = down.get()
        if supervisor.started.failure is None and reason.kind is not ExitKind.SHUTDOWN:
            self._failure = f"the network of {self._name} is down: {reason}"
            self._on_failure(self._failure)

    @staticmethod
    def _unreachable(node: str, why: str) -> JoinError:
        return JoinError(f"the node {node} cannot be reached: {why}", node=node)
