"""Joining and leaving: what takes several steps between nodes, in the caller's thread.

Each step spends from one budget; those between nodes are in `asking.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from khepri.actors.remote_functions import ANOTHER_CLUSTER
from khepri.actors.server_messages import ConsistentRead, GetStatus, WaitUntilVoter
from khepri.errors import (
    AlreadyMemberError,
    ClusterChangeNotPermittedError,
    JoinError,
    KhepriError,
    KhepriTimeoutError,
    MisuseError,
    NoSuchServerError,
    NotAKhepriStoreError,
    NotDoneError,
    ServerStoppedError,
    StorageError,
)
from khepri.machine import machine_version
from khepri.raft.effects import RejectReason

from .asking import ATTEMPT_SECONDS, PAUSE_SECONDS, ask_cluster, cluster_of, ping, remove
from .calls import Deadline, call, result

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from khepri.actors.node import Node
    from khepri.actors.server_status import ServerStatus
    from khepri.raft.types import ServerId

BETWEEN_LIVES_SECONDS = 1.0
"""So long a store may not run that is joining or resetting itself."""

PROMOTION_SECONDS = 2.0
"""So long the only voter waits, before it leaves, for a newcomer to become another one."""

_LAST_VOTER = RejectReason.LAST_VOTER.value


def locally_known(node: Node, store_id: str, deadline: Deadline) -> tuple[ServerId, ...]:
    """Give the members as known here: by the cache, or by the server if that has heard nothing."""
    known = node.access(store_id).known_members()
    if known:
        return known
    status: ServerStatus = call(node, store_id, GetStatus(), result, deadline.remaining())
    return status.members


def leave(node: Node, store_id: str, deadline: Deadline) -> None:
    """Leave the cluster, if there are others in it: through the local member, or else them.

    What a member knows that is still joining is of the past: the others may have it already, and
    make a voter of it at any moment. They are asked.

    Raises:
        KhepriTimeoutError: no leader has agreed until the deadline.
        NoSuchServerError: the local store was stopped meanwhile.
    """
    known = [member.node for member in locally_known(node, store_id, deadline)]
    access = node.access(store_id)
    if not access.joins_through and (node.name not in known or len(known) == 1):
        return  # removed already, or alone
    cluster_id = access.cluster_id
    others = [n for n in dict.fromkeys([*access.joins_through, *known]) if n != node.name]
    elsewhere: set[str] = set()
    why = ""
    promotion = Deadline(PROMOTION_SECONDS)
    # One that was removed while it was away hears of no leader any more: the others know.
    first, last = ([], [node.name]) if access.joins_through else ([node.name], [])
    for asked in itertools.cycle([*first, *others, *last]):
        rest = deadline.remaining()
        attempt = Deadline(ATTEMPT_SECONDS if rest is None else min(rest, ATTEMPT_SECONDS))
        try:
            if cluster_of(node, store_id, asked, attempt)[0] == cluster_id:
                remove(node, store_id, asked, node.name, cluster_id, attempt)
                return
            elsewhere.add(asked)
        except NotDoneError as error:
            reason = error.facts.get("reason")
            # The other one has just been let in; nobody is any more, so it is not for long.
            is_early = reason == _LAST_VOTER and not (promotion.is_over() or deadline.is_over())
            if reason != ANOTHER_CLUSTER and not is_early:
                raise
        except (JoinError, NoSuchServerError, ServerStoppedError, KhepriTimeoutError) as error:
            if isinstance(error.__cause__, ClusterChangeNotPermittedError):
                why = error.__cause__.message
            if deadline.is_over():
                text = f"leaving the cluster of {store_id}"
                raise deadline.error(text, "unknown", why) from error
        if elsewhere.issuperset(others):
            return  # all the others have left it: nobody counts this member any more
        node.access(store_id)  # stopped meanwhile: it may not hear any more that it has left
        threading.Event().wait(PAUSE_SECONDS)


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


def join_cluster(
    node: Node, store_id: str, remote: str, deadline: Deadline, *, votes: bool
) -> None:
    """Replace the local store by a member of the remote one (Khepri's join, spec §1.4)."""
    _check_reachable(node, store_id, remote, deadline)
    if store_id not in node.stores:
        raise NotAKhepriStoreError(f"no store {store_id!r} runs here", store_id=store_id)
    if remote == node.name:
        return
    try:
        while not _try_to_join(node, store_id, remote, deadline, votes=votes):
            pass
        if votes:
            call(node, store_id, WaitUntilVoter(), result, deadline.remaining())
        # A voter may lack the newest entries; from here on local reads find all that was there.
        call(node, store_id, ConsistentRead(), result, deadline.remaining())
        node.access(store_id).joins_through = ()
    finally:  # who has not come so far in time, follows from there
        access = node.stores.get(store_id)
        if access is not None:
            access.outlet.tree_has_come()


def _try_to_join(
    node: Node, store_id: str, remote: str, deadline: Deadline, *, votes: bool
) -> bool:
    """Become a member; false if it is to be tried again.

    The remote store has joined another cluster meanwhile, or somebody has started the store here
    when the old one was just deleted: what runs then has founded a cluster of its own.
    """
    their_id, members = _cluster_to_join(node, store_id, remote, deadline)
    others = [name for name in members if name not in {remote, node.name}]
    if _is_newcomer(node, store_id, their_id, deadline, votes=votes) and (
        node.name in members or _is_let_in(node, store_id, remote, others, deadline)
    ):
        return _become_member(node, store_id, [remote, *others], deadline, votes=votes)
    # All that can fail for want of a majority over there is tried before anything is lost here.
    ask_cluster(node, store_id, remote, "has_quorum", (), deadline, others=others)
    try:
        remove(node, store_id, remote, node.name, their_id, deadline, others=others)
    except NotDoneError as error:
        if error.facts.get("reason") != ANOTHER_CLUSTER:
            raise
        return False
    # Not earlier: a store that is itself about to join answers the first question afterwards.
    cluster_id = _id_of_cluster(node, store_id, [remote, *others], deadline)
    if node.access(store_id).cluster_id != cluster_id:
        leave(node, store_id, deadline)
    handle, old = node.store_setup(store_id)
    try:
        node.delete_store(store_id, will_return=True, timeout_seconds=deadline.remaining())
    except StorageError:
        node.start_undeleted(handle, old)
        raise
    try:
        access = node.start_store(handle, old.config, deadline.remaining(), cluster_id)
    except StorageError as error:  # what it had is deleted, what it is to become cannot be made
        node.store_is_lost(store_id, error)
        raise
    if access.cluster_id != cluster_id:
        return False
    return _become_member(node, store_id, [remote, *others], deadline, votes=votes)


def _is_newcomer(
    node: Node, store_id: str, cluster_id: bytes, deadline: Deadline, *, votes: bool
) -> bool:
    """Tell whether the store here was made for that cluster, by a join that can go on.

    What has come since is kept: over a slow link each attempt would else begin at nothing, and
    none be done in its time. After a restart only a store that has heard of no member yet counts:
    any other may have been made the only one by force, and agree with that cluster no more.

    A member without a vote keeps what it has as well, and gets one if it is to. Who may have got
    one, and is to be without, begins anew.
    """
    access = node.access(store_id)
    if access.cluster_id != cluster_id or (access.joins_with_vote and not votes):
        return False
    status: ServerStatus = call(node, store_id, GetStatus(), result, deadline.remaining())
    is_without_vote = status.kind == "non_voter"
    return bool(access.joins_through) or not status.members or (votes and is_without_vote)


def _is_let_in(
    node: Node, store_id: str, remote: str, others: Sequence[str], deadline: Deadline
) -> bool:
    """Tell whether that cluster counts this node, though its cache of members does not name it.

    An attempt that has ended just now was let in perhaps; a server knows before others are told,
    and once a majority has confirmed who leads, it knows all that was agreed before.
    """
    for question in ("has_quorum", "status"):
        answer = ask_cluster(node, store_id, remote, question, (), deadline, others=others)
    return node.name in answer["members"]


def _become_member(
    node: Node, store_id: str, through: Sequence[str], deadline: Deadline, *, votes: bool
) -> bool:
    """Have the store here, made for a cluster, added to that; false as `_try_to_join`."""
    remote, *others = through
    access = node.access(store_id)
    access.joins_through, access.joins_with_vote = tuple(through), votes
    _, setup = node.store_setup(store_id)
    # Older releases do not know the word: it is said only where it matters.
    newcomer = (node.name, setup.uid, access.cluster_id, *(() if votes else (False,)))
    try:
        ask_cluster(node, store_id, remote, "add_member", newcomer, deadline, others=others)
    except AlreadyMemberError:
        return True  # an attempt whose answer was lost, or that ran out of time
    except NotDoneError as error:
        if error.facts.get("reason") != ANOTHER_CLUSTER:
            raise
        return False
    return True


def _cluster_to_join(
    node: Node, store_id: str, remote: str, deadline: Deadline
) -> tuple[bytes, list[str]]:
    """Give its cluster id and the nodes of its members.

    A store that is just joining or resetting itself is waited for.

    Raises:
        JoinError: a member here could not apply its log.
        KhepriError: as `cluster_of`.
    """
    rest = deadline.remaining()
    patience = Deadline(
        BETWEEN_LIVES_SECONDS if rest is None else min(rest, BETWEEN_LIVES_SECONDS)
    )
    while True:
        try:
            cluster_id, members, version = cluster_of(node, store_id, remote, deadline)
        except NoSuchServerError:
            if patience.is_over():
                raise
        else:
            newest = machine_version.MACHINE_VERSION
            if version > newest:
                why = (
                    f"it is of machine version {version}, and the release of khepri here knows"
                    f" {newest}: install a later one"
                )
                raise JoinError(
                    f"the store {store_id!r} on {remote} cannot be joined: {why}; the one here is"
                    " as it was",
                    store_id=store_id,
                    node=remote,
                    reason=why,
                )
            return cluster_id, members
        threading.Event().wait(PAUSE_SECONDS)


def _id_of_cluster(
    node: Node, store_id: str, candidates: Sequence[str], deadline: Deadline
) -> bytes:
    """Give the cluster id that the first node knows which can be asked."""
    for asked in candidates[:-1]:
        with contextlib.suppress(JoinError, NoSuchServerError, ServerStoppedError):
            return cluster_of(node, store_id, asked, deadline)[0]
    return cluster_of(node, store_id, candidates[-1], deadline)[0]


def _check_reachable(node: Node, store_id: str, remote: str, deadline: Deadline) -> None:
    if remote == node.name:
        return
    if not node.is_distributed:
        why = f"this node, {node.name}, has no network: khepri.node.start gives it one"
        raise _unreachable(store_id, remote, why)
    try:
        answers = ping(node, remote, deadline)
    except MisuseError:
        raise
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
