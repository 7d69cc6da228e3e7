"""A store's server as something that a host's actors can ask and tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

import pykka

from khepri.errors import KhepriTimeoutError, WrongTypeError

from .calls import DEFAULT, Timeout, timeout_seconds
from .cluster_arguments import checked_store_id
from .store import Store

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node

    from .messages import Message


class ServerRef(pykka.ActorRef[Any]):
    """A reference to a store's server that stays good when the server is restarted.

    It takes the messages of `khepri.messages`; they are encoded in the asker's thread. Use it from
    any thread, actors included. An actor should `tell`, or `ask` with ``block=False`` and add a
    callback, since a blocking `ask` keeps it from its own mailbox.
    """

    def __init__(self, store: Store, node: Node) -> None:
        """Make the reference; `server_ref` does."""
        # Pykka's own __init__ wants an actor; ours is another one after every restart.
        self._store = store
        self._node = node

    def __getattr__(self, name: str) -> Never:
        """Say what to do instead of using what belongs to one actor: ours is another each time.

        Raises:
            AttributeError: always, so that `hasattr` tells the truth.
        """
        raise AttributeError(
            f"a reference to a store's server has no {name}: the actor behind it is another one "
            "after every restart; use ask, tell and is_alive",
            name=name,
            obj=self,
        )

    def proxy(self) -> Never:
        """Refuse: a server takes messages, it has no methods for others.

        Raises:
            WrongTypeError: always.
        """
        raise WrongTypeError(
            "a store's server has no proxy; ask it the messages of khepri.messages, or call "
            "the functions of khepri.Store",
            option="proxy",
            value=self,
        )

    def __repr__(self) -> str:
        """Show whose server it is."""
        return f"ServerRef({self._store.store_id!r})"

    def __str__(self) -> str:
        """Show whose server it is."""
        return repr(self)

    def __hash__(self) -> int:
        """References to the server of one store are equal."""
        return hash(self._store.store_id)

    def __eq__(self, other: object) -> bool:
        """References to the server of one store are equal."""
        return (
            isinstance(other, ServerRef)
            and other._node is self._node
            and other._store.store_id == self._store.store_id
        )

    def is_alive(self) -> bool:
        """Tell whether the server takes messages now."""
        access = self._node.stores.get(self._store.store_id)
        return access is not None and access.server is not None and access.server.is_alive()

    def tell(self, message: Message) -> None:
        """Have something done and forget it; it is applied exactly once, or not at all.

        Raises:
            MisuseError: bad arguments in the message, or not one of `khepri.messages`.
            NoSuchServerError: the store does not run here.
        """
        self._submit(message)

    def ask(
        self,
        message: Message,
        *,
        block: bool = True,
        timeout: Timeout = DEFAULT,
    ) -> Any:  # noqa: ANN401 - as in Pykka
        """Have something done and wait for the result, which is that of the function.

        Args:
            message: one of `khepri.messages`.
            block: whether to wait; if not, the future is returned.
            timeout: seconds to wait. What waits before it answers, a read for its ``condition`` or
                a write for its ``reply_from``, waits no longer either, also if `block` is false.

        Raises:
            KhepriError: whatever the function raises.
        """
        seconds = timeout_seconds(timeout)
        future = self._submit(message, timeout)
        if not block:
            return future
        try:
            return future.get(timeout=seconds)
        except KhepriTimeoutError as error:
            future.fail(error)  # nobody waits any more: what was not begun never is
            raise

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Refuse: a store is stopped with `khepri.stop`.

        Raises:
            WrongTypeError: always.
        """
        del block, timeout
        raise WrongTypeError("stop a store with khepri.stop", option="stop", value=self)

    def _submit(self, message: Message, timeout: Timeout = DEFAULT) -> KhepriFuture[Any]:
        submit = getattr(message, "submit", None)
        if submit is None or isinstance(message, type):
            raise WrongTypeError(
                f"a server takes the messages of khepri.messages, not {message!r:.200}",
                option="message",
                value=message,
            )
        future: KhepriFuture[Any] = submit(self._store, timeout)
        return future


def server_ref(store: str | Store | None = None) -> ServerRef:
    """Give a reference to the server of a store that runs here.

    Args:
        store: its name, on the default node of this process; or a handle, on whatever node it is.
            The default store if left out.

    Raises:
        NoSuchServerError: it does not run here; says why if it has given up.
        WrongTypeError, InvalidOptionError: not a store.
    """
    handle = store if isinstance(store, Store) else Store(checked_store_id(store))
    node = handle.node
    node.access(handle.store_id)  # raises, and knows why it is down
    return ServerRef(handle, node)
