"""Service and cluster management of one node: what `khepri.cluster` has for the default node.

Timeouts are seconds and a budget for the whole call; left out: the default timeout; None waits
for ever. Any thread may call anything. Steps between nodes are in `membership.py`. What makes it
long is what its docstrings say of errors.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from khepri.actors.ra_server_config import complete_config
from khepri.actors.registry import GetStoreIds, IsStoreRunning
from khepri.actors.running_stores import runs_elsewhere
from khepri.actors.server_messages import (
    AskCore,
    ConsistentRead,
    GetStatus,
    WaitForLeader,
    WaitForMachineVersion,
)
from khepri.config import RaSystemName, StoreId, get_default_store_id, get_env
from khepri.errors import (
    NotAKhepriStoreError,
    NotAMemberError,
    NotDoneError,
    StorageError,
    WrongTypeError,
)
from khepri.raft.events import ForceSingleMember
from khepri.raft.types import ServerId

from .asking import TRANSFER_ATTEMPT_SECONDS, ask_cluster, remove
from .calls import DEFAULT, Deadline, Timeout, call, check_node, node_or_default, result
from .cluster_arguments import (
    absolute_path,
    checked_machine_version,
    checked_member,
    checked_place,
    checked_store_id,
)
from .membership import changing, join_cluster, leave, locally_known
from .options import Favor, is_consistent

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from khepri.actors.node import Node
    from khepri.actors.ra_server_config import RaServerConfig
    from khepri.actors.ra_system_handle import RaSystemHandle
    from khepri.actors.server_status import ServerStatus

_logger = logging.getLogger("khepri.cluster")


class ClusterManager:
    """Starts, stops, joins and describes the stores of one node. Without state; any thread.

    Beside what each function names, all that ask a server may raise `ServerStoppedError` if it
    went away meanwhile, and those that ask a majority the `StorageError` of a disk that refuses
    what they need, or `OverloadedError`. All of them can be called again.
    """

    __slots__ = ("_given_node",)

    def __init__(self, node: Node | None = None) -> None:
        """Manage the stores of a node, by default the process's; `WrongTypeError` if none."""
        check_node(node)
        self._given_node = node

    def __repr__(self) -> str:
        """Show whose stores it manages; the default node is not started for that."""
        given = self._given_node
        return "ClusterManager()" if given is None else f"<ClusterManager of {given.name}>"

    @property
    def _node(self) -> Node:
        return node_or_default(self._given_node)

    def get_default_ra_system_or_data_dir(self) -> str | RaSystemName:
        """Give where a store is started when nothing is said (Khepri's function of that name).

        Returns:
            the setting ``default_ra_system``, else the directory ``khepri#<node>`` in the current
            working directory.

        Raises:
            InvalidOptionError: the setting is impossible.
        """
        value = get_env("default_ra_system")
        if value is None:
            return f"khepri#{self._node.name}"
        assert isinstance(value, str)
        return value

    def get_default_store_id(self) -> StoreId:
        """Give the store id that is meant when none is said (Khepri's function of that name)."""
        return get_default_store_id()

    def start(
        self,
        ra_system_or_data_dir: str | os.PathLike[str] | RaSystemName | None = None,
        store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
        timeout: Timeout = DEFAULT,
    ) -> StoreId:
        """Start a store (Khepri's start/0..3); nothing happens if it runs already.

        To give a running store other settings, stop it first.

        Args:
            ra_system_or_data_dir: a path is a data directory, made with its parents if missing; a
                `RaSystemName` is a Ra system that runs already. Left out: the default.
            store_id_or_config: a store id, or settings (`RaServerConfig` or a mapping) whose
                ``cluster_name`` is the store id. Left out: the default store id.
            timeout: for everything, recovery included.

        Returns:
            the store id. The store is recovered and readable; with one member it is writable too,
            unless its disk is full, with several use `wait_for_leader`.

        Raises:
            InvalidOptionError, WrongTypeError: an impossible argument or setting; or the store
                runs in another directory.
            DirectoryLockedError, WrongDirectoryError, DirectoryAccessError, UnknownFormatError,
            DataCorruptionError: the directory cannot be used; it is untouched.
            DiskFullError, DiskFailedError: the disk does not take what a new store begins with.
            NoSuchServerError, ServerStoppedError: somebody has stopped it meanwhile.
            KhepriTimeoutError: it is still recovering, which goes on; or another start or stop
                here has not ended.
        """
        deadline = Deadline(timeout)
        config = complete_config(store_id_or_config)
        where = (
            self.get_default_ra_system_or_data_dir()
            if ra_system_or_data_dir is None
            else checked_place(ra_system_or_data_dir)
        )
        node, store_id = self._node, StoreId(config.cluster_name)
        system = self._ra_system(where, store_id, deadline)
        node.start_store(system, config, deadline.remaining())
        known = locally_known(node, store_id, deadline)
        if [member.node for member in known] == [node.name]:  # else removed, if there is one
            # Alone it leads at once; a consistent read waits until the whole log is applied.
            try:
                call(node, store_id, ConsistentRead(), result, deadline.remaining())
            except StorageError as error:  # full, or worse: what is known can be read
                _logger.warning("%s was started, but its disk takes nothing: %s", store_id, error)
        return store_id

    def stop(self, store_id: str | None = None) -> None:
        """Stop a store (Khepri's stop/0,1); data stay. Nothing happens if it does not run.

        Args:
            store_id: the default store if left out.
        """
        self._node.stop_store(checked_store_id(store_id))

    def reset(self, store_id: str | None = None, timeout: Timeout = DEFAULT) -> None:
        """Stop a store, leave its cluster and delete its local data (Khepri's reset/0..2).

        Afterwards it does not run; start it again to have an empty store.

        Args:
            store_id: the default store if left out.
            timeout: for everything.

        Raises:
            NotAKhepriStoreError: no such store runs here.
            NoSuchServerError: it was stopped meanwhile. Its data are there; whether it has left
                the cluster is unknown.
            KhepriTimeoutError: the cluster could not be left in time, as without a majority.
            NotDoneError: it is the last voter, and there are members without a vote: one of them
                joins with a vote first, or all of them leave.
        """
        deadline = Deadline(timeout)
        wanted, node = checked_store_id(store_id), self._node
        with changing(node, wanted, deadline):
            if wanted not in node.stores:
                raise NotAKhepriStoreError(f"no store {wanted!r} runs here", store_id=wanted)
            leave(node, wanted, deadline)
            node.delete_store(wanted, timeout_seconds=deadline.remaining())

    def join(
        self,
        remote: str | ServerId,
        store_id: str | None = None,
        timeout: Timeout = DEFAULT,
        *,
        votes: bool = True,
    ) -> None:
        """Make the local store a member of the remote store's cluster (Khepri's join/1,2).

        Its local data are replaced by the cluster's. To join oneself does nothing.

        A member without a vote has the whole tree and reads and writes as every other, but no
        majority waits for it and it never leads: so many of them as one likes may be gone. It
        stays one; to become a voter it joins again, and keeps what it has.

        Args:
            remote: the name of a node, or a member there.
            store_id: the default store if left out and `remote` does not say.
            timeout: for everything.
            votes: whether it is counted in majorities, once it has caught up. Beyond Khepri.

        Raises:
            JoinError: the remote node cannot be reached, its ``reason`` says why; local data are
                untouched.
            NotAKhepriStoreError: no such store runs here.
            NoSuchServerError: no such store runs there.
            NotDoneError: the local store is the last voter of a cluster with other members.
            KhepriTimeoutError: it was not done in time; call it again to go on.
            InvalidOptionError, WrongTypeError: impossible arguments.
        """
        deadline = Deadline(timeout)
        wanted, remote_node = checked_member(remote, store_id)
        if type(votes) is not bool:
            raise WrongTypeError(
                f"votes is True or False, not {votes!r:.100}", option="votes", value=votes
            )
        node = self._node
        with changing(node, wanted, deadline):
            join_cluster(node, wanted, remote_node, deadline, votes=votes)

    def members(
        self, store_id: str | None = None, timeout: Timeout = DEFAULT, favor: Favor = "consistency"
    ) -> list[ServerId]:
        """Give the members of a store's cluster, sorted; stopped ones are members too.

        Args:
            store_id: the default store if left out.
            timeout: for everything.
            favor: ``"consistency"`` asks the leader; ``"low_latency"`` is `locally_known_members`.

        Raises:
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: no majority answered in time.
            InvalidOptionError: another favor.
        """
        wanted = checked_store_id(store_id)
        if not is_consistent(favor):
            return self.locally_known_members(wanted, timeout)
        deadline = Deadline(timeout)
        node = self._node
        call(node, wanted, ConsistentRead(), result, deadline.remaining())
        return list(self._status(wanted, deadline).members)

    def nodes(
        self, store_id: str | None = None, timeout: Timeout = DEFAULT, favor: Favor = "consistency"
    ) -> list[str]:
        """Give the names of the nodes of `members`, with its arguments and errors."""
        return [member.node for member in self.members(store_id, timeout, favor)]

    def locally_known_members(
        self, store_id: str | None = None, timeout: Timeout = DEFAULT
    ) -> list[ServerId]:
        """Give the members as this node knows them: maybe out of date, but without a majority.

        From the membership cache, or from the local server if the cache knows nothing yet.

        Raises:
            NoSuchServerError: the store does not run here.
        """
        wanted = checked_store_id(store_id)
        return list(locally_known(self._node, wanted, Deadline(timeout)))

    def locally_known_nodes(
        self, store_id: str | None = None, timeout: Timeout = DEFAULT
    ) -> list[str]:
        """Give the names of the nodes of `locally_known_members`."""
        return [member.node for member in self.locally_known_members(store_id, timeout)]

    def wait_for_leader(
        self, store_id_or_member: str | ServerId | None = None, timeout: Timeout = DEFAULT
    ) -> None:
        """Wait until the store has a leader that this node knows (Khepri's wait_for_leader/0..2).

        Args:
            store_id_or_member: the default store if left out. A member on another node is asked
                there, and waited for until a majority confirms the leader it knows.
            timeout: for everything.

        Raises:
            NoSuchServerError: the store does not run here.
            JoinError: the other node cannot be reached.
            KhepriTimeoutError: no leader within the time, as without a majority, or if the store
                does not run there.
            WrongTypeError, InvalidOptionError: impossible arguments.
        """
        asked = self._node.name
        if isinstance(store_id_or_member, ServerId):
            asked = store_id_or_member.node
            store_id_or_member = store_id_or_member.store_id
        store_id = checked_store_id(store_id_or_member)
        if asked == self._node.name:
            call(self._node, store_id, WaitForLeader(), result, timeout)
        else:
            ask_cluster(self._node, store_id, asked, "has_quorum", (), Deadline(timeout))

    def wait_for_effective_machine_version(
        self,
        version: int | None = None,
        store_id: str | None = None,
        timeout: Timeout = DEFAULT,
    ) -> None:
        """Wait until the store uses what a release has brought (Khepri's function of that name).

        After an upgrade the commands of the new release can be used once every member runs it:
        then the leader raises the version of the machine, for all from the same log entry on.

        Args:
            version: of the machine, 1 or more; the highest that this release knows if left out.
            store_id: the default store if left out.
            timeout: for everything. A member that is down, or runs an older release, is waited
                for: `status` of the leader names it, `remove_member` does without it.

        Raises:
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: not all members know the version yet.
            WrongTypeError, InvalidOptionError: impossible arguments, or a version that this
                release does not know.
        """
        wanted, store_id = checked_machine_version(version), checked_store_id(store_id)
        if self._node.access(store_id).machine_version < wanted:
            call(self._node, store_id, WaitForMachineVersion(wanted), result, timeout)

    def get_store_ids(self) -> list[StoreId]:
        """Give the ids of the stores that run here, sorted; answered by the registry."""
        ids: list[str] = self._ask_registry(GetStoreIds())
        return [StoreId(store_id) for store_id in ids]

    def is_store_running(self, store_id: str | None = None) -> bool:
        """Tell whether a store runs here; answered by the registry.

        Args:
            store_id: the default store if left out.
        """
        return bool(self._ask_registry(IsStoreRunning(checked_store_id(store_id))))

    def status(self, store_id: str | None = None, timeout: Timeout = DEFAULT) -> ServerStatus:
        """Describe the local member: role, term, leader, indexes, sizes.

        Raises:
            NoSuchServerError: the store does not run here.
        """
        return self._status(checked_store_id(store_id), Deadline(timeout))

    # --- beyond Khepri

    def remove_member(
        self, member: str | ServerId, store_id: str | None = None, timeout: Timeout = DEFAULT
    ) -> None:
        """Remove a member that will not come back from the store's cluster.

        A member that lives should leave by itself, with `reset`: one that is removed while it
        lives keeps its data and serves local reads of the past, until `reset` or `join` there.

        Args:
            member: the name of its node, or its server id.
            store_id: the default store if left out and `member` does not say.
            timeout: for everything.

        Raises:
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: no majority agreed in time.
            NotAMemberError: it is no member; nothing was done.
            NotDoneError: it is the last voter.
        """
        deadline = Deadline(timeout)
        wanted, name = checked_member(member, store_id)
        nodes = self.nodes(wanted, deadline.remaining())
        if name not in nodes:
            raise NotAMemberError(
                f"{name} is no member of {wanted}, but {', '.join(nodes)}",
                store_id=wanted,
                member=name,
                members=nodes,
                outcome="not_applied",
            )
        cluster_id = self._node.access(wanted).cluster_id
        remove(self._node, wanted, self._node.name, name, cluster_id, deadline)

    def transfer_leadership(
        self,
        member: str | ServerId | None = None,
        store_id: str | None = None,
        timeout: Timeout = DEFAULT,
    ) -> None:
        """Hand leadership of a store to another member, without waiting for an election timeout.

        Args:
            member: the name of its node, or its server id; the most up-to-date one if left out.
            store_id: the default store if left out and `member` does not say.
            timeout: for everything.

        Raises:
            NoSuchServerError: the store does not run here.
            KhepriTimeoutError: no leader made way in time.
            NotDoneError: the target is no voter, or did not take over.
        """
        deadline = Deadline(timeout)
        wanted, name = (
            (checked_store_id(store_id), None)
            if member is None
            else checked_member(member, store_id)
        )
        cluster_id = self._node.access(wanted).cluster_id
        try:
            ask_cluster(
                self._node,
                wanted,
                self._node.name,
                "transfer_leadership",
                (name, cluster_id),
                deadline,
                attempt_seconds=TRANSFER_ATTEMPT_SECONDS,
            )
        except NotDoneError as error:
            if error.facts.get("reason") != "already_leader":
                raise

    def force_single_member(self, store_id: str | None = None, timeout: Timeout = DEFAULT) -> None:
        """Make the local member the only one: the last resort when a majority is lost for ever.

        No consensus is asked. What was committed and only the lost members had is gone. The
        others must never come back: they do not know, and would go on as a cluster of their own.
        Delete their data first. A leader among them that still ran would go on serving consistent
        reads: no promise reaches across this.

        Args:
            store_id: the default store if left out.
            timeout: for everything.

        Raises:
            NoSuchServerError: the store does not run here.
        """
        wanted, deadline = checked_store_id(store_id), Deadline(timeout)
        _logger.warning("%s becomes the only member of %s by force", self._node.name, wanted)
        call(self._node, wanted, AskCore(ForceSingleMember), result, deadline.remaining())
        self._node.access(wanted).joins_through = ()  # what it was joining has become another one

    # --- inside

    def _status(self, store_id: str, deadline: Deadline) -> ServerStatus:
        answered: ServerStatus = call(
            self._node, store_id, GetStatus(), result, deadline.remaining()
        )
        return answered

    def _ra_system(
        self, where: str | RaSystemName, store_id: StoreId, deadline: Deadline
    ) -> RaSystemHandle:
        """Give the Ra system in which a store is to run, started if need be."""
        if isinstance(where, RaSystemName):
            return self._node.ra_system(where)
        path = absolute_path(where)
        running = self._node.running.find(store_id)
        if running is not None and running[0].storage.path != path:
            raise runs_elsewhere(store_id, path)  # before there is such a directory
        return self._node.start_ra_system(path, path, deadline.remaining())

    def _ask_registry(self, message: object) -> Any:  # noqa: ANN401 - the question decides
        return self._node.registry().ask(message, timeout=Deadline(DEFAULT).remaining())
