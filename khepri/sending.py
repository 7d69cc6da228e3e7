"""How a write is sent that asks for more than the default: ``priority`` and ``reply_from``.

The default is in `calls.py`, and pays nothing for what is here. A write that another member is to
answer is done in two steps, both in one budget: it is applied here, as always, and then the other
member is asked to say when it has applied it too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from khepri.actors.confirmer import Confirm, Limit, not_a_member
from khepri.actors.future import KhepriFuture
from khepri.actors.refusals import value_or_error
from khepri.actors.server_messages import LowPriority, Refusal
from khepri.errors import (
    InvalidOptionError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
)
from khepri.machine.replies import is_error
from khepri.raft.types import ServerId

from .calls import DEFAULT, Deadline, call, submit
from .lateness import late_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.access import StoreAccess
    from khepri.actors.node import Node

    from .options import WriteOptions


def send(
    node: Node,
    store_id: str,
    command: bytes,
    decode: Callable[[Any], Any],
    options: WriteOptions,
    *,
    async_: bool,
) -> Any:  # noqa: ANN401 - a future, or what the command gives
    """Send an encoded command as its options say.

    Args:
        node: where the caller is.
        store_id: the store.
        command: what to do.
        decode: makes the result of the reply, or raises.
        options: with ``priority`` or ``reply_from`` among them; checked already.
        async_: give a future of the result.

    Raises:
        NotAMemberError: the member that is to answer is none.
        InvalidOptionError: it is one of another store.
        KhepriError: as `calls.call`.
    """
    plan = Plan(node, store_id, command, options)
    if async_:
        return _future(plan, decode)
    result = call(node, store_id, plan.message, decode, plan.deadline.budget_seconds)
    if plan.is_confirmed_elsewhere:
        try:
            plan.ask().get(timeout=plan.deadline.remaining())
        except KhepriError as error:
            raise plan.error(error) from error
    return result


class Plan:
    """What is to be sent, and who else is to answer it; `khepri.aio` follows it too.

    Attributes:
        message: for the server here.
        deadline: the budget of both steps.
        is_confirmed_elsewhere: whether there is a second step.
    """

    __slots__ = (
        "_confirmer",
        "_member",
        "_node",
        "_store_id",
        "deadline",
        "is_confirmed_elsewhere",
        "message",
    )

    def __init__(self, node: Node, store_id: str, command: bytes, options: WriteOptions) -> None:
        """Make a plan; nothing is sent yet.

        Raises:
            NotAMemberError, InvalidOptionError, NoSuchServerError: see `send`.
        """
        self._node = node
        self._store_id = store_id
        self.message: bytes | LowPriority = command
        if options.get("priority", "normal") == "low":
            self.message = LowPriority(command)
        self.deadline = Deadline(options.get("timeout", DEFAULT))
        access = node.access(store_id)
        self._member = _member(options.get("reply_from", "local"), access)
        self.is_confirmed_elsewhere = self._member != access.server_id
        self._confirmer = node.confirmer() if self.is_confirmed_elsewhere else None

    def limit(self, reply_here: KhepriFuture[Any]) -> None:
        """Let the first step end in time too, where nobody waits for it who would end it."""
        end, access, seconds = self.deadline.end, self.access, self.deadline.budget_seconds
        if end is not None:
            assert self._confirmer is not None
            late = partial(late_error, access, self.message, seconds)
            self._confirmer.cast(Limit(reply_here, end, late))

    @property
    def access(self) -> StoreAccess:
        """The store as it is published here."""
        return self._node.access(self._store_id)

    def ask(self) -> KhepriFuture[Any]:
        """Ask the other member, now that a reply has come from here; does not wait.

        Raises:
            NoSuchServerError: the store was stopped meanwhile.
        """
        access = self.access
        view = access.view  # the write is in it: it was published before its reply was given
        assert view is not None
        assert self._confirmer is not None
        question = Confirm(access, self._member, view.index, view.term, self.deadline.end)
        return self._confirmer.request(question, value_or_error)

    def error(self, error: KhepriError) -> KhepriError:
        """Give the error for a write that was applied here and not confirmed elsewhere."""
        whom = "the leader" if self._member is None else self._member.node
        if isinstance(error, KhepriTimeoutError):
            return self.deadline.error(f"the write is applied here, but at {whom}", "applied")
        if isinstance(error, ServerStoppedError | NoSuchServerError):
            return ServerStoppedError(
                f"the write is applied here; then the answer of {whom} was lost: {error}",
                store_id=self._store_id,
                outcome="applied",
            )
        return error


def _member(reply_from: str | ServerId, access: StoreAccess) -> ServerId | None:
    """Give the member that is to answer; None for the leader, unless that is here."""
    known = access.membership
    if reply_from == "local":
        return access.server_id
    if reply_from == "leader":
        leads_here = known is not None and known.leader == access.server_id
        return access.server_id if leads_here else None
    member = reply_from
    if isinstance(member, str):
        member = ServerId(access.store_id, member)
    if member.store_id != access.store_id:
        raise InvalidOptionError(
            f"reply_from is a member of the store {member.store_id!r}, not of {access.store_id!r}",
            option="reply_from",
            value=reply_from,
        )
    if member != access.server_id and known is not None and member not in known.members:
        raise not_a_member(member, access, "not_applied")
    return member


def _future(plan: Plan, decode: Callable[[Any], Any]) -> KhepriFuture[Any]:
    """Send, and give a future that is resolved when the last step is done."""
    access = plan.access
    if not isinstance(plan.message, LowPriority):  # for those no read waits
        access.unawaited.books.sent += 1
    if not plan.is_confirmed_elsewhere:
        return submit(access, plan.message, decode)
    server = access.server
    result: KhepriFuture[Any] = KhepriFuture(decode, None if server is None else server.mailbox)

    def applied(reply_here: KhepriFuture[Any]) -> None:
        # In the server's thread, or the Confirmer's: nothing here may wait.
        if reply_here.failure is not None:
            result.fail(reply_here.failure)
            return
        reply = reply_here.get(timeout=0)
        if _is_failure(reply):
            result.resolve(reply)
            return
        try:
            asked = plan.ask()
            result.depend_on(asked)  # what becomes of the server here says nothing any more
            asked.add_done_callback(lambda answer: confirmed(answer, reply))
        except KhepriError as error:
            result.fail(plan.error(error))

    def confirmed(answer: KhepriFuture[Any], reply: object) -> None:
        try:
            answer.get(timeout=0)
        except KhepriError as error:
            result.fail(plan.error(error))
        else:
            result.resolve(reply)

    reply_here = submit(access, plan.message, _as_it_is)
    reply_here.add_done_callback(applied)
    plan.limit(reply_here)
    return result


def _as_it_is(reply: object) -> object:
    return reply


def _is_failure(reply: Any) -> bool:  # noqa: ANN401 - whatever the server answers
    """Tell whether a reply says that nothing was done."""
    return isinstance(reply, KhepriError | Refusal) or is_error(reply)
