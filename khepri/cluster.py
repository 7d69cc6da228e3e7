"""Service and cluster management: start, stop, join, reset, members (Khepri's khepri_cluster).

Every function works on this process's default node. Timeouts are seconds and a budget for the
whole call; left out: the default timeout; None waits for ever. Any thread may call anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from khepri.actors.ra_server_config import complete_config
from khepri.actors.registry import GetStoreIds, IsStoreRunning
from khepri.actors.server_messages import ConsistentRead, GetStatus, WaitForLeader
from khepri.config import RaSystemName, StoreId, check_store_id, get_default_store_id, get_env
from khepri.errors import (
    InvalidOptionError,
    JoinError,
    NotAKhepriStoreError,
    WrongTypeError,
)
from khepri.raft.types import ServerId

from .calls import DEFAULT, Deadline, Timeout, call, node_or_default, result
from .options import Favor, is_consistent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from khepri.actors.node import Node, RaSystemHandle
    from khepri.actors.ra_server_config import RaServerConfig
    from khepri.actors.server_status import ServerStatus


__all__ = [
    "get_default_ra_system_or_data_dir",
    "get_default_store_id",
    "get_store_ids",
    "is_store_running",
    "join",
    "locally_known_members",
    "locally_known_nodes",
    "members",
    "nodes",
    "reset",
    "start",
    "status",
    "stop",
    "wait_for_leader",
]


def get_default_ra_system_or_data_dir() -> str | RaSystemName:
    """Give where a store is started when nothing is said (Khepri's function of that name).

    Returns:
        the setting ``default_ra_system``, else the directory ``khepri#<node>`` in the current
        working directory.

    Raises:
        InvalidOptionError: the setting is impossible.
    """
    value = get_env("default_ra_system")
    if value is None:
        return f"khepri#{node_or_default(None).name}"
    assert isinstance(value, str)
    return value


def start(
    ra_system_or_data_dir: str | os.PathLike[str] | RaSystemName | None = None,
    store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
    timeout: Timeout = DEFAULT,
) -> StoreId:
    """Start a store (Khepri's start/0..3); nothing happens if it runs already.

    Args:
        ra_system_or_data_dir: a path is a data directory, made with its parents if missing; a
            `RaSystemName` is a Ra system that runs already. Left out: the default.
        store_id_or_config: a store id, or settings (`RaServerConfig` or a mapping) whose
            ``cluster_name`` is the store id. Left out: the default store id.
        timeout: for everything, recovery included.

    Returns:
        the store id. The store is recovered and readable; with one member it is writable too,
        with several use `wait_for_leader`.

    Raises:
        InvalidOptionError, WrongTypeError: an impossible argument or setting; or the store runs
            in another directory.
        DirectoryLockedError, WrongDirectoryError, DirectoryAccessError, UnknownFormatError,
        DataCorruptionError: the directory cannot be used; it is untouched.
        KhepriTimeoutError: it is still recovering; that goes on.
    """
    return start_on(None, ra_system_or_data_dir, store_id_or_config, timeout)


def start_on(
    node: Node | None,
    ra_system_or_data_dir: str | os.PathLike[str] | RaSystemName | None = None,
    store_id_or_config: str | Mapping[str, object] | RaServerConfig | None = None,
    timeout: Timeout = DEFAULT,
) -> StoreId:
    """Do what `start` does on a given node."""
    deadline = Deadline(timeout)
    config = complete_config(store_id_or_config)
    where = _checked_place(ra_system_or_data_dir)
    running_node = node_or_default(node)
    system = _ra_system(running_node, where, deadline)
    running_node.start_store(system, config, deadline.remaining())
    store_id = StoreId(config.cluster_name)
    if len(running_node.access(store_id).known_members()) == 1:
        # Alone it leads at once, and a consistent read waits until the whole log is applied.
        call(running_node, store_id, ConsistentRead(), result, deadline.remaining())
    return store_id


def stop(store_id: str | None = None) -> None:
    """Stop a store (Khepri's stop/0,1); data stay. Nothing happens if it does not run.

    Args:
        store_id: the default store if left out.
    """
    stop_on(None, store_id)


def stop_on(node: Node | None, store_id: str | None = None) -> None:
    """Do what `stop` does on a given node."""
    node_or_default(node).stop_store(_store_id(store_id))


def reset(store_id: str | None = None, timeout: Timeout = DEFAULT) -> None:
    """Stop a store, leave its cluster and delete its local data (Khepri's reset/0..2).

    Afterwards it does not run; start it again to have an empty store.

    Args:
        store_id: the default store if left out.
        timeout: for everything.

    Raises:
        NotAKhepriStoreError: no such store runs here.
        KhepriTimeoutError: the cluster could not be left in time, as without a majority.
    """
    reset_on(None, store_id, timeout)


def reset_on(node: Node | None, store_id: str | None = None, timeout: Timeout = DEFAULT) -> None:
    """Do what `reset` does on a given node."""
    Deadline(timeout)
    wanted = _store_id(store_id)
    running_node = node_or_default(node)
    if wanted not in running_node.stores:
        raise NotAKhepriStoreError(f"no store {wanted!r} runs here", store_id=wanted)
    running_node.delete_store(wanted)


def join(remote: str | ServerId, store_id: str | None = None, timeout: Timeout = DEFAULT) -> None:
    """Make the local store a member of the remote store's cluster (Khepri's join/1,2).

    Its local data are replaced by the cluster's. To join oneself does nothing.

    Args:
        remote: the name of a node, or a member there.
        store_id: the default store if left out and `remote` does not say.
        timeout: for everything.

    Raises:
        JoinError: the remote node cannot be reached; local data are untouched.
        NotAKhepriStoreError: no such store runs here.
        InvalidOptionError, WrongTypeError: impossible arguments.
    """
    join_on(None, remote, store_id, timeout)


def join_on(
    node: Node | None,
    remote: str | ServerId,
    store_id: str | None = None,
    timeout: Timeout = DEFAULT,
) -> None:
    """Do what `join` does on a given node."""
    Deadline(timeout)
    running_node = node_or_default(node)
    if isinstance(remote, ServerId):
        if store_id is not None and store_id != remote.store_id:
            raise InvalidOptionError(
                f"{remote} is not a member of {store_id!r}", option="store_id", value=store_id
            )
        store_id, remote_node = remote.store_id, remote.node
    elif isinstance(remote, str) and remote:  # pyright: ignore[reportUnnecessaryIsInstance]
        remote_node = remote
    else:
        raise WrongTypeError(
            f"a remote is the name of a node or a ServerId, not {remote!r}",
            option="remote",
            value=remote,
        )
    wanted = _store_id(store_id)
    if remote_node != running_node.name:
        # There is no way to another node yet: the ping, which comes first, fails.
        raise JoinError(
            f"the node {remote_node} cannot be reached; the store {wanted!r} is as it was",
            store_id=wanted,
            node=remote_node,
        )
    if wanted not in running_node.stores:
        raise NotAKhepriStoreError(f"no store {wanted!r} runs here", store_id=wanted)


def members(
    store_id: str | None = None, timeout: Timeout = DEFAULT, favor: Favor = "consistency"
) -> list[ServerId]:
    """Give the members of a store's cluster, sorted; stopped ones are members too.

    Args:
        store_id: the default store if left out.
        timeout: for everything.
        favor: ``"consistency"`` asks a majority; ``"low_latency"`` is `locally_known_members`.

    Raises:
        NoSuchServerError: the store does not run here.
        KhepriTimeoutError: no majority answered in time.
        InvalidOptionError: another favor.
    """
    wanted = _store_id(store_id)
    if not is_consistent(favor):
        return locally_known_members(wanted, timeout)
    deadline = Deadline(timeout)
    node = node_or_default(None)
    call(node, wanted, ConsistentRead(), result, deadline.remaining())
    return list(_status(node, wanted, deadline).members)


def nodes(
    store_id: str | None = None, timeout: Timeout = DEFAULT, favor: Favor = "consistency"
) -> list[str]:
    """Give the names of the nodes of `members`, with its arguments and errors."""
    return [member.node for member in members(store_id, timeout, favor)]


def locally_known_members(
    store_id: str | None = None, timeout: Timeout = DEFAULT
) -> list[ServerId]:
    """Give the members as this node knows them: maybe out of date, but without a majority.

    From the membership cache, or from the local server if the cache knows nothing yet.

    Raises:
        NoSuchServerError: the store does not run here.
    """
    wanted = _store_id(store_id)
    deadline = Deadline(timeout)
    node = node_or_default(None)
    known = node.access(wanted).known_members()
    return list(known or _status(node, wanted, deadline).members)


def locally_known_nodes(store_id: str | None = None, timeout: Timeout = DEFAULT) -> list[str]:
    """Give the names of the nodes of `locally_known_members`."""
    return [member.node for member in locally_known_members(store_id, timeout)]


def wait_for_leader(
    store_id_or_member: str | ServerId | None = None, timeout: Timeout = DEFAULT
) -> None:
    """Wait until the store has a leader that this node knows (Khepri's wait_for_leader/0..2).

    Args:
        store_id_or_member: the default store if left out.
        timeout: for everything.

    Raises:
        NoSuchServerError: the store does not run here.
        KhepriTimeoutError: no leader within the time, as without a majority.
    """
    store_id = (
        store_id_or_member.store_id
        if isinstance(store_id_or_member, ServerId)
        else store_id_or_member
    )
    call(node_or_default(None), _store_id(store_id), WaitForLeader(), result, timeout)


def get_store_ids() -> list[StoreId]:
    """Give the ids of the stores that run here, sorted; answered by the registry."""
    ids: list[str] = _ask_registry(GetStoreIds())
    return [StoreId(store_id) for store_id in ids]


def is_store_running(store_id: str | None = None) -> bool:
    """Tell whether a store runs here; answered by the registry.

    Args:
        store_id: the default store if left out.
    """
    return bool(_ask_registry(IsStoreRunning(_store_id(store_id))))


def status(store_id: str | None = None, timeout: Timeout = DEFAULT) -> ServerStatus:
    """Describe the local member: role, term, leader, indexes, sizes.

    Raises:
        NoSuchServerError: the store does not run here.
    """
    return _status(node_or_default(None), _store_id(store_id), Deadline(timeout))


def _status(node: Node, store_id: str, deadline: Deadline) -> ServerStatus:
    answered: ServerStatus = call(node, store_id, GetStatus(), result, deadline.remaining())
    return answered


def _store_id(store_id: str | None) -> StoreId:
    return get_default_store_id() if store_id is None else check_store_id(store_id)


def _checked_place(value: object) -> str | RaSystemName:
    """Give the path of a directory, or the name of a Ra system."""
    if value is None:
        return get_default_ra_system_or_data_dir()
    if isinstance(value, RaSystemName):
        return value
    if isinstance(value, str | os.PathLike):
        path: object = os.fspath(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(path, str) and path and "\0" not in path:
            return path
    raise WrongTypeError(
        f"a data directory is a path, not {value!r}; a running Ra system is a RaSystemName",
        option="ra_system_or_data_dir",
        value=value,
    )


def _ra_system(node: Node, where: str | RaSystemName, deadline: Deadline) -> RaSystemHandle:
    if isinstance(where, RaSystemName):
        return node.ra_system(where)
    path = os.path.abspath(where)  # noqa: PTH100 - links stay as the user wrote them
    return node.start_ra_system(path, path, deadline.remaining())


def _ask_registry(message: object) -> Any:  # noqa: ANN401 - the question decides
    return node_or_default(None).registry().ask(message, timeout=Deadline(DEFAULT).remaining())
