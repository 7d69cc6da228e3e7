"""Joining, leaving, removing: what takes several steps between nodes, in the caller's thread.

Each step spends from one budget. Steps that can be repeated are repeated while there is time: the
leader moves, another change is under way, a node is just starting.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from khepri.actors.server_messages import ConsistentRead, GetStatus, WaitUntilVoter
from khepri.errors import (
    AlreadyMemberError,
    ClusterChangeNotPermittedError,
    JoinError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotAKhepriStoreError,
    NotDoneError,
    ServerStoppedError,
)

from .calls import Deadline, call, result

if TYPE_CHECKING:
    from collections.abc import Generator

    from khepri.actors.node import Node
    from khepri.actors.server_status import ServerStatus
    from khepri.raft.types import ServerId

PING_SECONDS = 5.0
"""A node that does not answer a ping within this, or within the budget, cannot be reached."""

PING_ATTEMPT_SECONDS = 1.5
"""A ping without an answer for so long may have been lost."""

ATTEMPT_SECONDS = 2.0
"""After this an unanswered request is made again, maybe to another member that leads by now."""

TRANSFER_ATTEMPT_SECONDS = 4.0
"""For a transfer of leadership: longer than the leader itself tries. It takes no commands
meanwhile, so a transfer that came to nothing must not be begun again."""

PAUSE_SECONDS = 0.1
"""Between two attempts; nobody can tell us when the other side is ready."""

_TRANSIENT = frozenset({"not_leader", "transfer_in_progress", "leadership_lost"})


def ping(node: Node, remote: str, deadline: Deadline) -> bool:
    """Tell whether a node answers; a question or an answer that is lost is asked again."""
    rest = deadline.remaining()
    patience = Deadline(PING_SECONDS if rest is None else min(rest, PING_SECONDS))
    while left := patience.remaining():
        try:
            return bool(node.call(remote, "ping", (), min(left, PING_ATTEMPT_SECONDS)) == remote)
        except KhepriTimeoutError:
            continue
        except (JoinError, ServerStoppedError):
            return False
    return False


def ask_cluster(  # noqa: PLR0917 - who asks whom for what, and until when
    node: Node,
    store_id: str,
    asked: str,
    function: str,
    arguments: tuple[object, ...],
    deadline: Deadline,
    *,
    attempt_seconds: float = ATTEMPT_SECONDS,
) -> Any:  # noqa: ANN401 - the function decides
    """Have the leader of a store's cluster do something.

    Args:
        node: on which node the caller is.
        store_id: the store.
        asked: the node to ask first; it says who leads.
        function: one of `RemoteFunctions`, whose first argument is the store id.
        arguments: its other arguments.
        deadline: the budget.
        attempt_seconds: after this an unanswered request is made again.

    Raises:
        KhepriTimeoutError: the budget is spent.
        KhepriError: what the leader says and time does not heal.
    """
    target = asked
    while not deadline.is_over():
        rest = deadline.remaining()
        seconds = attempt_seconds if rest is None else min(rest, attempt_seconds)
        try:
            return node.call(target, function, (store_id, *arguments), seconds)
        except NotDoneError as error:
            if error.facts.get("reason") not in _TRANSIENT:
                raise
            target = error.facts.get("leader") or asked
        except ClusterChangeNotPermittedError:
            pass
        except (JoinError, NoSuchServerError, ServerStoppedError, KhepriTimeoutError):
            if target == asked and not ping(node, asked, deadline):
                raise
            target = asked
        threading.Event().wait(PAUSE_SECONDS)
    raise deadline.error(f"{function} of {store_id}", "unknown")


def remove(node: Node, store_id: str, asked: str, member: str, deadline: Deadline) -> None:
    """Remove a member; one that is none is removed already."""
    try:
        ask_cluster(node, store_id, asked, "remove_member", (member,), deadline)
    except NotDoneError as error:
        if error.facts.get("reason") != "not_member":
            raise


def locally_known(node: Node, store_id: str, deadline: Deadline) -> tuple[ServerId, ...]:
    """Give the members as known here: by the cache, or by the server if that has heard nothing."""
    known = node.access(store_id).known_members()
    if known:
        return known
    status: ServerStatus = call(node, store_id, GetStatus(), result, deadline.remaining())
    return status.members


def leave(node: Node, store_id: str, deadline: Deadline) -> None:
    """Leave the cluster, if there are others in it: through the local member, or else them.

    Raises:
        KhepriTimeoutError: no leader has agreed until the deadline.
    """
    known = [member.node for member in locally_known(node, store_id, deadline)]
    if node.name not in known or len(known) == 1:
        return  # removed already, or alone
    others = [name for name in known if name != node.name]
    # One that was removed while it was away hears of no leader any more: the others know.
    for asked in itertools.cycle([node.name, *others]):
        rest = deadline.remaining()
        attempt = Deadline(ATTEMPT_SECONDS if rest is None else min(rest, ATTEMPT_SECONDS))
        try:
            remove(node, store_id, asked, node.name, attempt)
        except (JoinError, NoSuchServerError, ServerStoppedError, KhepriTimeoutError) as error:
            if deadline.is_over():
                raise deadline.error(f"leaving the cluster of {store_id}", "unknown") from error
            threading.Event().wait(PAUSE_SECONDS)
        else:
            return


@contextmanager
def changing(node: Node, store_id: str, deadline: Deadline) -> Generator[None]:
    """Hold off other changes of a store on this node, and let nobody join it meanwhile.

    Raises:
        KhepriTimeoutError: another change took until the deadline.
    """
    lock, rest = node.changing(store_id), deadline.remaining()
    if not lock.acquire(timeout=-1 if rest is None else rest):
        raise deadline.error(f"waiting for another change of {store_id}", "not_applied")
    access = node.stores.get(store_id)
    try:
        if access is not None:
            access.is_leaving = True
        yield
    finally:
        if access is not None:
            access.is_leaving = False
        lock.release()


def join_cluster(node: Node, store_id: str, remote: str, deadline: Deadline) -> None:
    """Replace the local store by a member of the remote one (Khepri's join, spec §1.4)."""
    _check_reachable(node, store_id, remote, deadline)
    if store_id not in node.stores:
        raise NotAKhepriStoreError(f"no store {store_id!r} runs here", store_id=store_id)
    if remote == node.name:
        return
    cluster_id, _ = node.call(remote, "cluster_of", (store_id,), deadline.remaining())
    # All that can fail for want of a majority over there is tried before anything is lost here.
    ask_cluster(node, store_id, remote, "has_quorum", (), deadline)
    remove(node, store_id, remote, node.name, deadline)
    if node.access(store_id).cluster_id != cluster_id:
        leave(node, store_id, deadline)
    handle, old = node.store_setup(store_id)
    node.delete_store(store_id, will_return=True)
    node.start_store(handle, old.config, deadline.remaining(), cluster_id)
    _, new = node.store_setup(store_id)
    with contextlib.suppress(AlreadyMemberError):  # an attempt whose answer was lost
        ask_cluster(node, store_id, remote, "add_member", (node.name, new.uid), deadline)
    call(node, store_id, WaitUntilVoter(), result, deadline.remaining())
    # A voter may lack the newest entries; from here on local reads find all that was there.
    call(node, store_id, ConsistentRead(), result, deadline.remaining())


def _check_reachable(node: Node, store_id: str, remote: str, deadline: Deadline) -> None:
    if remote == node.name:
        return
    if not node.is_distributed:
        why = f"this node, {node.name}, has no network: khepri.node.start gives it one"
        raise _unreachable(store_id, remote, why)
    try:
        answers = ping(node, remote, deadline)
    except KhepriError as error:
        raise _unreachable(store_id, remote, error.message) from error
    if not answers:
        peers = node.transport.peers()
        heard = next((peer.last_error for peer in peers if peer.node == remote), None)
        raise _unreachable(store_id, remote, heard or "it does not answer")


def _unreachable(store_id: str, remote: str, why: str) -> JoinError:
    return JoinError(
        f"the node {remote} cannot be reached: {why}; the store {store_id!r} is as it was",
        store_id=store_id,
        node=remote,
        reason=why,
    )
