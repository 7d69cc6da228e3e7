"""Calls that an asyncio task awaits: what `calls.py` is for threads, without a thread per call.

A message is sent from the loop's thread, which never waits; the loop is woken when replies have
come, once for all that came together (`khepri.actors.asyncio_bridge`). A task that is cancelled
stops waiting and leaves nothing behind; what it has sent is done all the same.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from typing import TYPE_CHECKING, Any, Final, TypeVar

from khepri.errors import (
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
)

from .calls import submit
from .lateness import late_error
from .sending import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.access import StoreAccess
    from khepri.actors.future import KhepriFuture
    from khepri.actors.node import Node
    from khepri.actors.unawaited import Line

    from .calls import Deadline
    from .options import WriteOptions

T = TypeVar("T")

RESTART_CHECK_SECONDS: Final = 0.01
"""How often a task looks whether a server that crashed is there again."""


async def wait_for(
    future: KhepriFuture[T],
    deadline: Deadline,
    make_late: Callable[[], KhepriTimeoutError] | None = None,
) -> T:
    """Wait for a reply and give the result.

    Args:
        future: of the reply.
        deadline: the budget.
        make_late: makes the error for a budget that is spent, if there is more to say.

    Raises:
        KhepriTimeoutError: the budget is spent; whether it was done is unknown.
        BaseException: what the reply stands for.
    """
    if future.done():
        return future.get()
    scope = asyncio.timeout(deadline.remaining())
    try:
        async with scope:
            return await future
    except TimeoutError as error:
        # A reply may be a KhepriTimeoutError, which is a TimeoutError too.
        if not scope.expired() or isinstance(error, KhepriError):
            raise
    except asyncio.CancelledError:
        future.fail(ServerStoppedError("nobody waits for it any more", outcome="unknown"))
        raise
    # Who sees that nobody waits any more never begins what it has not begun.
    late = deadline.error("the call", "unknown") if make_late is None else make_late()
    future.fail(late)
    raise late


async def call(
    node: Node, store_id: str, message: object, decode: Callable[[Any], T], deadline: Deadline
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
    access = node.access(store_id)
    line = access.unawaited.line
    number = next(line.numbers)
    while True:
        if line.waiting:
            await _wait_in_line(node, access, line, number, deadline)
        try:
            return await wait_for(
                submit(access, message, decode),
                deadline,
                lambda: late_error(access, message, deadline.budget_seconds),
            )
        except (NoSuchServerError, ServerStoppedError) as error:
            if error.facts.get("outcome", "not_applied") != "not_applied":
                raise
        await _wait_in_line(node, access, line, number, deadline)


async def send(
    node: Node,
    store_id: str,
    command: bytes,
    decode: Callable[[Any], Any],
    options: WriteOptions,
) -> Any:  # noqa: ANN401 - the command decides
    """Send an encoded command as its options say (`sending.send`) and wait for the result.

    Raises:
        NotAMemberError: the member that is to answer is none.
        KhepriError: as `call`.
    """
    plan = Plan(node, store_id, command, options)
    result = await _call_among_others(node, store_id, plan, decode)
    if plan.is_confirmed_elsewhere:
        try:
            await wait_for(plan.ask(), plan.deadline)
        except KhepriError as error:
            raise plan.error(error) from error
    return result


async def _call_among_others(
    node: Node, store_id: str, plan: Plan, decode: Callable[[Any], Any]
) -> Any:  # noqa: ANN401 - the command decides
    """Call, and let the consistent reads of other tasks know that something is under way."""
    unawaited = plan.access.unawaited
    unawaited.begin()
    is_known = False
    try:
        result = await call(node, store_id, plan.message, decode, plan.deadline)
        is_known = True
    except KhepriError as error:
        is_known = not isinstance(error, KhepriTimeoutError)
        raise
    finally:
        unawaited.end(is_known=is_known)
    return result


async def wait_for_view(node: Node, store_id: str, deadline: Deadline) -> StoreAccess:
    """Wait until a store that is just being started can be read.

    Raises:
        KhepriTimeoutError: its recovery takes longer.
        NoSuchServerError: the store does not run here.
    """
    access = node.access(store_id)
    while access.view is None:
        await _pause(node, access, deadline, "the recovery of the store")
    return access


async def _wait_in_line(
    node: Node, access: StoreAccess, line: Line, number: int, deadline: Deadline
) -> None:
    """Wait for the server behind the earlier calls of this thread, so that none overtakes them."""
    insort(line.waiting, number)
    try:
        while line.waiting[0] != number or access.server is None or not access.server.is_alive():
            await _pause(node, access, deadline, "waiting for the server to be restarted")
    finally:
        line.waiting.remove(number)


async def _pause(node: Node, access: StoreAccess, deadline: Deadline, what: str) -> None:
    store_id = access.store_id
    if node.access(store_id) is not access:
        raise NoSuchServerError(f"the store {store_id!r} does not run here", store_id=store_id)
    if deadline.is_over():
        raise deadline.error(what, "not_applied")
    await asyncio.sleep(RESTART_CHECK_SECONDS)
