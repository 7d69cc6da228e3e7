"""What other nodes may call on this one. None of them waits; all may be called twice."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from khepri.errors import (
    ClusterChangeNotPermittedError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotDoneError,
)
from khepri.machine.machine_version import FIRST_VERSION
from khepri.raft.events import AddMember, ForceSingleMember, RemoveMember, TransferLeadership
from khepri.raft.plain import as_natural
from khepri.raft.types import Member, MemberKind, ServerId

from .future import KhepriFuture
from .refusals import value_or_error
from .server_messages import AskCore, ConsistentRead, GetStatus, WaitUntilApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .access import StoreAccess
    from .router import Functions
    from .server_status import PeerStatus, ServerStatus

ANOTHER_CLUSTER: Final = "another_cluster"
"""The reason for not adding a member that was started for another cluster."""

QUESTION_LIFE_SECONDS = 10.0
"""Who has waited so long whether there is a majority has given up, or asked again."""


class RemoteFunctions:
    """The functions of a node. What comes from a peer is checked where it is used."""

    def __init__(self, name: str, stores: Mapping[str, StoreAccess]) -> None:
        """Answer for the node of that name and for the stores on it."""
        self._name = name
        self._stores = stores
        self._lock = threading.Lock()
        self._quorum_questions: deque[tuple[float, KhepriFuture[Any]]] = deque()

    def by_name(self) -> Functions:
        """Give all of them; nothing else can be called."""
        return {
            function.__name__: function
            for function in (
                self.ping,
                self.cluster_of,
                self.has_quorum,
                self.wait_until_applied,
                self.add_member,
                self.remove_member,
                self.transfer_leadership,
                self.force_single_member,
                self.status,
            )
        }

    def ping(self) -> KhepriFuture[Any]:
        """Give the name of this node."""
        return _answered(self._name)

    def cluster_of(self, store_id: object) -> KhepriFuture[Any]:
        """Give the cluster id of a store and the nodes of its members, as known here.

        And the version of its machine, if that is not the first: older releases do not know it.
        """
        access = self._access(store_id)
        answer: list[object] = [access.cluster_id, [m.node for m in access.known_members()]]
        if access.machine_version > FIRST_VERSION:
            answer.append(access.machine_version)
        return _answered(answer)

    def has_quorum(self, store_id: object) -> KhepriFuture[Any]:
        """Answer once a majority has confirmed who leads; asked by who is about to join.

        Two that join each other would both give up their data for the other's.
        """
        if self._access(store_id).is_leaving:
            raise ClusterChangeNotPermittedError(
                f"the store {store_id!r} on {self._name} is about to join or to leave itself"
            )
        future = self._ask(store_id, ConsistentRead())
        self._end_old_questions(future)
        return future

    def wait_until_applied(
        self,
        store_id: object,
        index: object,
        term: object,
        milliseconds: object,
        cluster_id: object = None,
    ) -> KhepriFuture[Any]:
        """Answer once a place in the log is applied here, with a timeout if it is not in time."""
        self._check_cluster(store_id, cluster_id)
        place = WaitUntilApplied(
            as_natural(index, "index"),
            as_natural(term, "term"),
            time.monotonic() + as_natural(milliseconds, "milliseconds") / 1000,
        )
        return self._ask(store_id, place)

    def add_member(
        self,
        store_id: object,
        name: object,
        uid: object,
        cluster_id: object,
        votes: object = True,  # noqa: FBT002
    ) -> KhepriFuture[Any]:
        """Add a member that becomes a voter when it has caught up, or never does.

        It has been started for a cluster; in another one it would never be heard.
        """
        self._check_cluster(store_id, cluster_id)
        kind = MemberKind.PROMOTABLE if votes else MemberKind.NON_VOTER
        member = Member(ServerId(str(store_id), str(name)), str(uid), kind)
        return self._ask(store_id, AskCore(lambda ticket: AddMember(member, ticket)))

    def remove_member(
        self, store_id: object, name: object, cluster_id: object = None
    ) -> KhepriFuture[Any]:
        """Remove a member of a cluster; a store that is of another one by now is not asked."""
        self._check_cluster(store_id, cluster_id)
        server_id = ServerId(str(store_id), str(name))
        return self._ask(store_id, AskCore(lambda ticket: RemoveMember(server_id, ticket)))

    def transfer_leadership(
        self, store_id: object, name: object, cluster_id: object = None
    ) -> KhepriFuture[Any]:
        """Hand leadership to a member, or to the best one if none is named."""
        self._check_cluster(store_id, cluster_id)
        target = None if name is None else ServerId(str(store_id), str(name))
        return self._ask(store_id, AskCore(lambda ticket: TransferLeadership(target, ticket)))

    def force_single_member(self, store_id: object) -> KhepriFuture[Any]:
        """Make the member here the only one, without consensus."""
        return self._ask(store_id, AskCore(ForceSingleMember))

    def status(self, store_id: object) -> KhepriFuture[Any]:
        """Describe the member here."""
        return self._ask(store_id, GetStatus(), _plain_status)

    def _end_old_questions(self, newest: KhepriFuture[Any]) -> None:
        """Note a question to a server, and have it wait for the old ones no more."""
        now, old = time.monotonic(), list[KhepriFuture[Any]]()
        with self._lock:  # the Router's thread, and callers on this node
            questions = self._quorum_questions
            while questions and questions[0][0] < now - QUESTION_LIFE_SECONDS:
                old.append(questions.popleft()[1])
            questions.append((now, newest))
        for question in old:
            question.fail(KhepriTimeoutError("no majority answered", outcome="not_applied"))

    def _check_cluster(self, store_id: object, cluster_id: object) -> None:
        """Refuse what is meant for the members of one cluster, if the store is of another now."""
        if cluster_id not in {None, self._access(store_id).cluster_id}:
            raise NotDoneError(
                f"the store {store_id!r} on {self._name} is of another cluster",
                reason=ANOTHER_CLUSTER,
            )

    def _access(self, store_id: object) -> StoreAccess:
        found = self._stores.get(str(store_id))
        if found is None:
            raise NoSuchServerError(
                f"the store {store_id!r} does not run on {self._name}",
                store_id=str(store_id),
            )
        return found

    def _ask(
        self,
        store_id: object,
        message: object,
        decode: Callable[[Any], Any] = value_or_error,
    ) -> KhepriFuture[Any]:
        server = self._access(store_id).server
        if server is None:
            raise NoSuchServerError(
                f"the store {store_id!r} is being started on {self._name}",
                store_id=str(store_id),
            )
        return server.request(message, decode)


def _plain_status(status: ServerStatus) -> dict[str, Any]:
    return {
        "node": status.server_id.node,
        "role": status.role,
        "kind": status.kind,
        "term": status.term,
        "leader": None if status.leader is None else status.leader.node,
        "members": [member.node for member in status.members],
        "commit_index": status.commit_index,
        "last_applied": status.last_applied,
        "last_index": status.last_index,
        "last_written": status.last_written,
        "snapshot_index": status.snapshot_index,
        "snapshot_bytes": status.snapshot_bytes,
        "tree_nodes": status.tree_nodes,
        "machine_version": status.machine_version,
        "peers": [_plain_peer(peer) for peer in status.peers],
    }


def _plain_peer(peer: PeerStatus) -> dict[str, Any]:
    return {
        "node": peer.server_id.node,
        "kind": peer.kind,
        "match_index": peer.match_index,
        "state": peer.state,
        "is_reachable": peer.is_reachable,
        "has_forgotten": peer.has_forgotten,
        "machine_version": peer.machine_version,
    }


def _answered(value: object) -> KhepriFuture[Any]:
    future: KhepriFuture[Any] = KhepriFuture()
    future.set(value)
    return future
