"""The Router: remote calls to futures, and back.

It owns the node's transport, and crashes with it: then its supervisor starts another one, with
another transport. It never waits: a call that takes its time is answered by a callback.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from khepri.encoding import EncodingError
from khepri.errors import JoinError, KhepriError, NotDoneError, TransportError
from khepri.transport.counters import Drop
from khepri.transport.interface import Envelope as Delivery
from khepri.transport.interface import Message as Parcel

from .actor import KhepriActor
from .remote_calls import ANSWER, CALL, Answer, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from khepri.transport.interface import Transport

    from .envelope import Envelope
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .label import ActorLabel
    from .reference import ActorReference

    Functions = dict[str, Callable[..., KhepriFuture[Any]]]
    """What other nodes may call: name to a function that answers by a future, without waiting."""

CALL_LIFE_SECONDS = 600.0
"""A call that nobody answered is forgotten after this; its caller has given up long before."""


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """Call a function on another node; the reply is what it gives, or its error."""

    node: str
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """A function that another node has called is done (its own thread says so)."""

    to_node: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """The transport has ended by a bug (its own thread says so)."""

    error: Exception


class _Waiting(NamedTuple):
    """A call without an answer."""

    future: KhepriFuture[Any]
    node: str
    called_at: float


class Router(KhepriActor):
    """Remote calls of one node."""

    def __init__(
        self,
        label: ActorLabel,
        make_transport: Callable[[ActorReference], Transport],
        functions: Functions,
    ) -> None:
        """Make the actor.

        Args:
            label: who it is.
            make_transport: makes the transport that this actor starts and stops; it is to
                tell this actor when it fails (`TransportFailed`).
            functions: what other nodes may call.
        """
        super().__init__(label)
        self._transport = make_transport(self.reference)
        self._functions = functions
        # An answer to a call of this node's earlier life must not be taken for one of this life.
        self._call_ids = itertools.count(int.from_bytes(os.urandom(7), "big"))
        self._waiting: dict[int, _Waiting] = {}  # oldest first

    def on_start(self) -> None:
        """Open the way to other nodes.

        Raises:
            ListenError: the address cannot be bound.
            TransportError: the transport did not come up in time.
        """
        try:
            self._transport.start()
        except BaseException:
            self._transport.stop()
            raise

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Send calls, answer calls, resolve answers."""
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, RemoteCall):
                self._call(message, envelope.reply_to)
            elif isinstance(message, SendAnswer):
                self._send(message.to_node, ANSWER, message.answer.encode())
            elif isinstance(message, Delivery):
                self._receive(message)
            elif isinstance(message, TransportFailed):
                raise TransportError(
                    f"the transport of {self._transport.node} has ended: {message.error!r}"
                ) from message.error
            else:
                raise TypeError(f"not a message for a Router: {message!r}")

    def owed_replies(self) -> Iterable[KhepriFuture[Any]]:
        """Those who wait for another node."""
        return [waiting.future for waiting in self._waiting.values()]

    def on_terminate(self, reason: Exit) -> None:
        """Stop the transport."""
        del reason
        self._transport.stop()

    def _call(self, message: RemoteCall, reply_to: KhepriFuture[Any] | None) -> None:
        call_id = next(self._call_ids)
        call = Call(call_id, message.function, list(message.arguments))
        if not self._send(message.node, CALL, call.encode()):
            error = JoinError(f"the node {message.node} cannot be reached", node=message.node)
            if reply_to is not None:
                reply_to.resolve(error)
            return
        if reply_to is not None:
            now = self.clock()
            self._forget_old(now)
            self._waiting[call_id] = _Waiting(reply_to, message.node, now)

    def _forget_old(self, now: float) -> None:
        """Forget calls that nobody waits for any more, from the oldest on; a few at a time."""
        while self._waiting:
            call_id, oldest = next(iter(self._waiting.items()))
            if not oldest.future.done() and now - oldest.called_at < CALL_LIFE_SECONDS:
                return
            del self._waiting[call_id]

    def _receive(self, delivery: Delivery) -> None:
        try:
            if delivery.kind == CALL:
                self._answer(delivery.from_node, Call.decode(delivery.body))
            elif delivery.kind == ANSWER:
                self._resolve(delivery.from_node, Answer.decode(delivery.body))
            else:
                raise EncodingError(f"unknown kind {delivery.kind}")  # noqa: TRY301 - one way out
        except EncodingError:
            self._transport.counters.add(Drop.GARBLED)

    def _resolve(self, from_node: str, answer: Answer) -> None:
        waiting = self._waiting.get(answer.call_id)
        if waiting is not None and waiting.node == from_node:
            del self._waiting[answer.call_id]
            waiting.future.resolve(answer.value if answer.error is None else answer.error)

    def _answer(self, from_node: str, call: Call) -> None:
        function = self._functions.get(call.function)
        try:
            if function is None:
                raise NotDoneError(  # noqa: TRY301 - one way out for all that fails
                    f"there is no function {call.function!r}", reason="unknown_function"
                )
            future = function(*call.arguments)
        except KhepriError as error:
            self._send(from_node, ANSWER, Answer(call.call_id, None, error).encode())
        except Exception as error:  # noqa: BLE001 - a call cannot harm the node it is made on
            refusal = NotDoneError(f"{call.function} raised {error!r}", reason="call_failed")
            self._send(from_node, ANSWER, Answer(call.call_id, None, refusal).encode())
        else:
            future.add_done_callback(partial(self._done, from_node, call.call_id))

    def _done(self, from_node: str, call_id: int, future: KhepriFuture[Any]) -> None:
        # In the thread of whoever has resolved it.
        try:
            answer = Answer(call_id, future.get(timeout=0), None)
        except KhepriError as error:
            answer = Answer(call_id, None, error)
        self.reference.cast(SendAnswer(from_node, answer))

    def _send(self, node: str, kind: int, body: bytes) -> bool:
        return self._transport.send(node, [Parcel(b"", "", kind, body)])
