"""A node's way to other nodes: its transport, its Router, and the calls between nodes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from khepri.errors import JoinError

from .label import ActorLabel
from .postman import Postman
from .refusals import value_or_error
from .remote_functions import RemoteFunctions
from .router import RemoteCall, Router
from .server_setup import NoNetwork
from .store_network import StoreNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from khepri.log.directory import Registration
    from khepri.transport.interface import Receiver, Transport

    from .access import StoreAccess
    from .child_spec import Siblings
    from .future import KhepriFuture
    from .reference import ActorReference
    from .router import Functions
    from .server_setup import Network

    MakeTransport = Callable[[str, bytes, Receiver], Transport]
    """Makes the transport of a node for one life: name, incarnation, who takes what comes."""


class NodeNetwork:
    """What a node has of the network; nothing, if it was given no transport. Any thread."""

    def __init__(
        self, name: str, stores: Mapping[str, StoreAccess], make_transport: MakeTransport | None
    ) -> None:
        """Prepare the way; it is opened when the Router is started."""
        self._name = name
        self._make_transport = make_transport
        self._postman = Postman(stores)
        self._functions = RemoteFunctions(name, stores).by_name()
        self._router: ActorReference | None = None

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

    def start_router(self, siblings: Siblings) -> ActorReference:
        """Open the way to other nodes (the node's supervisor calls it).

        Raises:
            ListenError: the address cannot be bound.
            CookieError: there is no usable cookie.
        """
        del siblings
        assert self._make_transport is not None
        transport = self._make_transport(self._name, os.urandom(16), self._postman.deliver)
        router = Router.start(ActorLabel("router", None, self._name), transport, self._functions)
        self._postman.transport, self._postman.router = transport, router
        try:
            transport.start()
        except BaseException:
            router.stop(block=False)
            raise
        self._router = router
        return router

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
            JoinError: the node cannot be reached.
            KhepriTimeoutError: no answer in time; whether it was done is unknown.
            KhepriError: what the function raised.
        """
        if node == self._name:
            return self._functions[function](*arguments).get(timeout=timeout_seconds)
        if self._router is None:
            raise JoinError(
                f"the node {node} cannot be reached: {self._name} is not distributed", node=node
            )
        call = RemoteCall(node, function, tuple(arguments))
        called: KhepriFuture[Any] = self._router.request(call, value_or_error)
        return called.get(timeout=timeout_seconds)
