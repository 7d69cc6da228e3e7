"""Asking the nodes of a cluster, again and again while there is time.

The leader moves, another change is under way, a node is just starting, a message is lost: what is
asked here may be asked twice.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from khepri.actors.remote_functions import ANOTHER_CLUSTER
from khepri.errors import (
    ClusterChangeNotPermittedError,
    JoinError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotDoneError,
    ServerStoppedError,
)
from khepri.machine.machine_version import FIRST_VERSION

from .calls import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.node import Node

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
    others: Sequence[str] = (),
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
        others: nodes to ask when that one is not there any more.
        attempt_seconds: after this an unanswered request is made again.

    Raises:
        KhepriTimeoutError: the budget is spent.
        JoinError, NoSuchServerError, ServerStoppedError: none of the nodes can be asked.
        NoSuchServerError: this node was to be asked first, and the store was stopped here.
        KhepriError: what the leader says and time does not heal.
    """
    candidates = deque([asked, *others])
    silent = 0
    strange: set[str] = set()  # who has said to be of another cluster
    target = asked
    refusal: ClusterChangeNotPermittedError | None = None
    while not deadline.is_over():
        rest = deadline.remaining()
        seconds = attempt_seconds if rest is None else min(rest, attempt_seconds)
        try:
            return node.call(target, function, (store_id, *arguments), seconds)
        except NotDoneError as error:
            reason = error.facts.get("reason")
            if reason == ANOTHER_CLUSTER:
                strange.add(target)
                if strange.issuperset(candidates):
                    raise
                candidates.rotate(-1)
                target = candidates[0]
            elif reason not in _TRANSIENT:
                raise
            else:
                silent, target = 0, error.facts.get("leader") or candidates[0]
        except ClusterChangeNotPermittedError as error:
            silent, refusal = 0, error
        except (JoinError, NoSuchServerError, ServerStoppedError, KhepriTimeoutError) as error:
            if target == candidates[0] and not ping(node, target, deadline):
                silent += 1
                if silent == len(candidates) and not deadline.is_over():
                    raise _gone(error, target) from error
                candidates.rotate(-1)
            target = candidates[0]
        _pause(node, store_id, asked)
    why = "" if refusal is None else refusal.message
    raise deadline.error(f"{function} of {store_id}", "unknown", why) from refusal


def _pause(node: Node, store_id: str, asked: str) -> None:
    """Wait before the next attempt, unless it is in vain.

    Raises:
        NoSuchServerError: this node was to be asked first, and the store was stopped here.
    """
    if asked == node.name:
        node.access(store_id)
    threading.Event().wait(PAUSE_SECONDS)


def _gone(error: KhepriError, target: str) -> KhepriError:
    """Give the error for a node that does not answer, not even a ping."""
    if not isinstance(error, KhepriTimeoutError):
        return error
    return ServerStoppedError(f"the node {target} does not answer any more", outcome="unknown")


def cluster_of(
    node: Node, store_id: str, asked: str, deadline: Deadline
) -> tuple[bytes, list[str], int]:
    """Give the cluster id of a store on another node, and the nodes of the members it knows.

    And the version of its machine.

    Raises:
        KhepriTimeoutError: the budget is spent.
        NoSuchServerError: the store does not run there.
        JoinError, ServerStoppedError: the node cannot be asked.
    """
    while True:
        rest = deadline.remaining()
        seconds = ATTEMPT_SECONDS if rest is None else min(rest, ATTEMPT_SECONDS)
        try:
            cluster_id, members, *version = node.call(asked, "cluster_of", (store_id,), seconds)
        except KhepriTimeoutError as error:
            if deadline.is_over():
                raise deadline.error(f"asking {asked} for its cluster", "not_applied") from error
        else:
            return cluster_id, members, version[0] if version else FIRST_VERSION


def remove(  # noqa: PLR0917 - as `ask_cluster`
    node: Node,
    store_id: str,
    asked: str,
    member: str,
    cluster_id: bytes,
    deadline: Deadline,
    *,
    others: Sequence[str] = (),
) -> None:
    """Remove a member of a cluster; one that is none is removed already.

    Raises:
        NotDoneError: all who can be asked are of another cluster by now.
        KhepriError: as `ask_cluster`.
    """
    what = (member, cluster_id)
    try:
        ask_cluster(node, store_id, asked, "remove_member", what, deadline, others=others)
    except NotDoneError as error:
        if error.facts.get("reason") != "not_member":
            raise
