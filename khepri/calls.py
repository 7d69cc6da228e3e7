"""How a call reaches the server of its store and comes back: in the caller's thread.

Encoding, size limits, waiting and the raising of errors happen here, so that the server's thread
handles bytes and plain values only. What the calls mean is in `store.py` and `cluster.py`.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from khepri.actors.actor_errors import ReplyTimeoutError
from khepri.actors.default_node import default_node
from khepri.actors.envelope import Envelope
from khepri.actors.future import KhepriFuture
from khepri.actors.node import Node
from khepri.actors.own_threads import refuse_to_wait_here
from khepri.actors.refusals import value_or_error
from khepri.config import check_timeout, get_default_timeout, get_max_command_bytes
from khepri.errors import (
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
    ValueTooLargeError,
    WrongTypeError,
)
from khepri.machine.replies import raise_or_return

from .lateness import late_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.access import StoreAccess
    from khepri.actors.future import Observer

T = TypeVar("T")


class Default:
    """The type of `DEFAULT`."""

    def __repr__(self) -> str:
        """Show it as it stands in a signature."""
        return "..."


DEFAULT: Final = Default()
"""Stands for an argument that was left out where None means something."""

Timeout = float | None | Default
"""Seconds for the whole call; None waits for ever; left out: the default timeout."""


def timeout_seconds(timeout: Timeout) -> float | None:
    """Give the seconds a call may take.

    Raises:
        WrongTypeError, InvalidOptionError: not a timeout.
    """
    return get_default_timeout() if isinstance(timeout, Default) else check_timeout(timeout)


class Deadline:
    """The budget of a call that has several steps."""

    __slots__ = ("budget_seconds", "end")

    def __init__(self, timeout: Timeout) -> None:
        """Begin to spend the budget.

        Raises:
            WrongTypeError, InvalidOptionError: not a timeout.
        """
        self.budget_seconds = timeout_seconds(timeout)
        self.end = None if self.budget_seconds is None else time.monotonic() + self.budget_seconds

    def remaining(self) -> float | None:
        """Give the seconds that are left, 0 if none; None if there is no end."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def is_over(self) -> bool:
        """Tell whether nothing is left."""
        return self.end is not None and time.monotonic() >= self.end

    def error(self, operation: str, outcome: str, why: str = "") -> KhepriTimeoutError:
        """Make the error for a budget that is spent."""
        assert self.budget_seconds is not None
        text = f"{operation} was not done within {round(self.budget_seconds, 3)} seconds"
        return KhepriTimeoutError(
            f"{text}: {why}" if why else text,
            operation=operation,
            timeout_seconds=self.budget_seconds,
            outcome=outcome,
        )


def submit(
    access: StoreAccess,
    message: object,
    decode: Callable[[Any], T],
    observers: list[Observer] | None = None,
) -> KhepriFuture[T]:
    """Send a message to the server of a store; never waits.

    Args:
        access: of the store.
        message: for the server.
        decode: makes the result of the reply.
        observers: told once there is one.

    Returns:
        the future of what `decode` makes of the reply; it fails if there is no server.

    Raises:
        NoSuchServerError: the store is only being started.
    """
    server = access.server
    if server is None:
        raise NoSuchServerError(
            f"the store {access.store_id!r} is being started", store_id=access.store_id
        )
    # What `ActorReference.request` does, without its call: this is the way of every command.
    mailbox = server.mailbox
    future = KhepriFuture(decode, mailbox, observers)
    mailbox.put(Envelope(message, future))
    return future


def call(
    node: Node, store_id: str, message: object, decode: Callable[[Any], T], timeout: Timeout
) -> T:
    """Send a message to the server of a store and wait for the result.

    A server that is being restarted is waited for, as long as it has surely not looked at the
    message: then sending it again cannot do a thing twice.

    Raises:
        KhepriTimeoutError: the budget is spent.
        ServerStoppedError: the server went away while it worked on it: the outcome is unknown.
        NoSuchServerError: the store does not run here.
        KhepriError: whatever `decode` makes of the reply.
    """
    access = node.stores.get(store_id) or node.access(store_id)
    seconds = get_default_timeout() if timeout is DEFAULT else timeout_seconds(timeout)
    try:
        return _send_and_wait(access, message, decode, seconds)
    except (NoSuchServerError, ServerStoppedError) as error:
        if error.facts.get("outcome", "not_applied") != "not_applied":
            raise
    deadline = Deadline(seconds)
    while node.access(store_id) is access:
        if access.wait_for_server(deadline.remaining()) is None:
            if (
                node.access(store_id) is not access
            ):  # if it is gone for good, this says so, and why
                break  # stopped, and started again since
            raise deadline.error("waiting for the server to be restarted", "not_applied")
        try:
            return _send_and_wait(access, message, decode, deadline.remaining())
        except (NoSuchServerError, ServerStoppedError) as error:
            if error.facts.get("outcome", "not_applied") != "not_applied":
                raise
    raise NoSuchServerError(f"the store {store_id!r} does not run here", store_id=store_id)


def _send_and_wait(
    access: StoreAccess, message: object, decode: Callable[[Any], T], seconds: float | None
) -> T:
    """Send and wait for the result; if it does not come in time, let the server know.

    A future that has an outcome tells it that nobody waits any more: what it has not begun by
    then, it never does (spec ra §9, rule 21).
    """
    refuse_to_wait_here()
    lock = allocate_lock()
    lock.acquire()
    future = submit(access, message, decode, [lock])
    try:
        return future.get_with(lock, timeout=seconds)
    except BaseException as error:
        if not future.done():
            if isinstance(message, bytes):  # a command, which may be on its way for some time
                access.unawaited.books.sent += 1
            if isinstance(error, ReplyTimeoutError):
                late = late_error(access, message, seconds)
                future.fail(late)
                raise late from None
            future.fail(error)
        raise


def check_size(command: bytes) -> None:
    """Refuse a command above ``max_command_bytes``.

    Raises:
        ValueTooLargeError: it is; nothing was sent.
    """
    limit = get_max_command_bytes()
    if len(command) > limit:
        raise ValueTooLargeError(
            f"the encoded command has {len(command)} bytes, the limit is {limit}",
            size_bytes=len(command),
            limit_bytes=limit,
        )


def result(reply: object) -> Any:  # noqa: ANN401 - the command decides
    """Give what a reply says, or raise the error it stands for."""
    if reply is None:
        return None
    if isinstance(reply, list):
        return raise_or_return(reply)  # pyright: ignore[reportUnknownArgumentType]
    return value_or_error(reply)


def check_node(node: object) -> None:
    """Refuse what is no node of this process; None stands for its default node.

    Raises:
        WrongTypeError: it is none.
    """
    if node is not None and not isinstance(node, Node):
        raise WrongTypeError(
            f"node is a Node of this process, not {node!r:.100}; a store on another node is used"
            " by joining it",
            option="node",
            value=node,
        )


def node_or_default(node: Node | None) -> Node:
    """Give the node a call is for."""
    return default_node() if node is None else node
