"""What the functions of `khepri.cluster` may be given: checked before anything is sent."""

from __future__ import annotations

import os
from typing import Any

from khepri.config import RaSystemName, StoreId, check_store_id, get_default_store_id
from khepri.errors import DirectoryAccessError, InvalidOptionError, WrongTypeError
from khepri.machine import machine_version
from khepri.machine.machine_version import FIRST_VERSION
from khepri.raft.types import ServerId


def checked_store_id(store_id: str | None) -> StoreId:
    """Give a store id, the default one for None.

    Raises:
        WrongTypeError, InvalidOptionError: it is none.
    """
    return get_default_store_id() if store_id is None else check_store_id(store_id)


def checked_place(value: Any) -> str | RaSystemName:  # noqa: ANN401 - whatever the user gave
    """Give the path of a directory, or the name of a Ra system.

    Raises:
        WrongTypeError: it is neither.
    """
    if isinstance(value, RaSystemName):
        return value
    try:
        path: object = os.fspath(value)  # pyright: ignore[reportUnknownVariableType]
    except TypeError:
        path = None
    if isinstance(path, str) and path and "\0" not in path:
        return path
    raise WrongTypeError(
        f"a data directory is a path, not {value!r}; a running Ra system is a RaSystemName",
        option="ra_system_or_data_dir",
        value=value,
    )


def absolute_path(directory: str) -> str:
    """Give where a directory is, for a process that may go elsewhere.

    Raises:
        DirectoryAccessError: it is below the working directory, and that is gone.
    """
    try:
        return os.path.abspath(directory)  # noqa: PTH100 - links stay as the user wrote them
    except OSError as error:
        reason = f"no working directory: {error.strerror}"
        raise DirectoryAccessError(
            f"no access to {directory}: {reason}", path=directory, reason=reason
        ) from error


def checked_node_name(value: object) -> str:
    """Give the name of a node.

    Raises:
        WrongTypeError: it is none.
    """
    if isinstance(value, str) and value:
        return value
    raise WrongTypeError(
        f"a member is the name of a node or a ServerId, not {value!r}",
        option="member",
        value=value,
    )


def checked_member(member: object, store_id: str | None) -> tuple[StoreId, str]:
    """Give the store and the node that are meant by a member.

    Args:
        member: the name of a node, or a server id.
        store_id: the store; None for the one that the server id names, else the default one.

    Raises:
        WrongTypeError: it is neither.
        InvalidOptionError: the server id is of another store than the one given.
    """
    if not isinstance(member, ServerId):
        return checked_store_id(store_id), checked_node_name(member)
    if store_id is not None and store_id != member.store_id:
        raise InvalidOptionError(
            f"{member} is not a member of {store_id!r}", option="store_id", value=store_id
        )
    return checked_store_id(member.store_id), checked_node_name(member.node)


def checked_machine_version(version: int | None) -> int:
    """Give a version of the machine, the highest that this release knows for None.

    Raises:
        WrongTypeError: it is no integer.
        InvalidOptionError: this release knows no such version.
    """
    if version is None:
        return machine_version.MACHINE_VERSION
    if type(version) is not int:
        raise WrongTypeError(
            f"a version is an integer, not {version!r}", option="version", value=version
        )
    newest = machine_version.MACHINE_VERSION
    if not FIRST_VERSION <= version <= newest:
        raise InvalidOptionError(
            f"this release knows the versions {FIRST_VERSION} to {newest}, not {version}",
            option="version",
            value=version,
        )
    return version
