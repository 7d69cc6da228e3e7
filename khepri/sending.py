"""How a write is sent that asks for more than the default: ``priority`` and ``reply_from``.

The default is in `calls.py`, and pays nothing for what is here. A write that another member is to
answer is done in two steps, both in one budget: it is applied here, as always, and then the other
member is asked to say when it has applied it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.actors.confirmer import Confirm, not_a_member
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.access import StoreAccess
    from khepri.actors.node import Node
    from khepri.actors.reference import ActorReference

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
    message: bytes | LowPriority = command
    if options.get("priority", "normal") == "low":
        message = LowPriority(command)
    deadline = Deadline(options.get("timeout", DEFAULT))
    access = node.access(store_id)
    member = _member(options.get("reply_from", "local"), access)
    if member == access.server_id:
        if async_:
            return submit(access, message, decode)
        return call(node, store_id, message, decode, deadline.budget_seconds)
    confirmer = node.confirmer()
    if async_:
        applied = submit(access, message, _as_it_is)
        return _Confirmation(access, member, confirmer, deadline.end).of(applied, decode)
    result = call(node, store_id, message, decode, deadline.budget_seconds)
    _await_confirmation(node, store_id, member, confirmer, deadline)
    return result


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


def _question(access: StoreAccess, member: ServerId | None, give_up_at: float | None) -> Confirm:
    """Ask for what is applied here now, since a reply has come: the write is in it."""
    view = access.view
    assert view is not None
    return Confirm(access, member, view.index, view.term, give_up_at)


def _await_confirmation(
    node: Node,
    store_id: str,
    member: ServerId | None,
    confirmer: ActorReference,
    deadline: Deadline,
) -> None:
    whom = "the leader" if member is None else member.node
    try:
        question = _question(node.access(store_id), member, deadline.end)
        confirmer.request(question, value_or_error).get(timeout=deadline.remaining())
    except KhepriTimeoutError as error:
        raise deadline.error(f"the write is applied here, but at {whom}", "applied") from error
    except (ServerStoppedError, NoSuchServerError) as error:
        raise _stopped(store_id, error) from error


def _stopped(store_id: str, error: KhepriError) -> ServerStoppedError:
    return ServerStoppedError(
        f"the write is applied here; then its confirmation was lost: {error}",
        store_id=store_id,
        outcome="applied",
    )


class _Confirmation:
    """The second step of a write whose caller does not wait."""

    def __init__(
        self,
        access: StoreAccess,
        member: ServerId | None,
        confirmer: ActorReference,
        give_up_at: float | None,
    ) -> None:
        self._access = access
        self._member = member
        self._confirmer = confirmer
        self._give_up_at = give_up_at

    def of(self, applied: KhepriFuture[Any], decode: Callable[[Any], Any]) -> KhepriFuture[Any]:
        """Give a future that is resolved when the write is applied at the other member too."""
        server = self._access.server
        result: KhepriFuture[Any] = KhepriFuture(
            decode, None if server is None else server.mailbox
        )

        def ask(applied: KhepriFuture[Any]) -> None:
            # In the server's thread: nothing here may wait.
            if applied.failure is not None:
                result.fail(applied.failure)
                return
            reply = applied.get(timeout=0)
            if _is_failure(reply):
                result.resolve(reply)
                return
            question = _question(self._access, self._member, self._give_up_at)
            confirmed = self._confirmer.request(question, value_or_error)
            confirmed.add_done_callback(lambda confirmed: tell(confirmed, reply))

        def tell(confirmed: KhepriFuture[Any], reply: object) -> None:
            try:
                confirmed.get(timeout=0)
            except (ServerStoppedError, NoSuchServerError) as error:
                result.fail(_stopped(self._access.store_id, error))
            except KhepriError as error:
                result.fail(error)
            else:
                result.resolve(reply)

        applied.add_done_callback(ask)
        return result


def _as_it_is(reply: object) -> object:
    return reply


def _is_failure(reply: Any) -> bool:  # noqa: ANN401 - whatever the server answers
    """Tell whether a reply says that nothing was done."""
    return isinstance(reply, KhepriError | Refusal) or is_error(reply)
