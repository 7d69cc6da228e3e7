"""The data directory of a Ra system: its lock, whose it is, and which stores live in it.

The directory is made in an order that leaves no doubt: folders, an empty registry, and last the
identity, whose name in the directory says that all of it is there.

The registry is one small file, replaced as a whole for every change, and durable before
`register` returns: a registry that is written some time later forgets stores at a power cut.

Not here: what is read at start (`recovery`), and the files of a store (`meta`, `segments`,
`snapshots`).
"""

from __future__ import annotations

import base64
import errno
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from khepri.errors import (
    DirectoryAccessError,
    InvalidOptionError,
    StorageError,
    WrongDirectoryError,
)
from khepri.raft.types import UNDISTRIBUTED

from .commit_note import CommitNote
from .file_header import FileFormat, corrupt, read_record_file, write_record_file
from .log_folder import LogFolder
from .meta import MetaFile, create_meta
from .paths import (
    commit_note_path,
    folder_of,
    identity_path,
    lock_path,
    meta_path,
    registry_path,
    segments_folder,
    snapshots_folder,
    store_folder,
    stores_folder,
    wal_folder,
)
from .snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from .file_system import DirectoryLock, FileSystem

_logger = logging.getLogger("khepri.log.directory")

IDENTITY_FORMAT = FileFormat("identity", 1)
"""Its version is that of the whole layout."""
REGISTRY_FORMAT = FileFormat("registry", 1)
_UID_BYTES = 10
CLUSTER_ID_BYTES = 16
MAX_NAME_BYTES = 1000
"""Of a store id or a node name in UTF-8."""


class Registration(NamedTuple):
    """What is known of a store before its own files are read.

    Attributes:
        uid: this incarnation of the member; names its folder.
        cluster_id: of the Raft cluster it belongs to; the same on all members.
        founds: whether this member began the cluster alone. One that was to join waits to be
            added, also after a restart.
    """

    uid: str
    cluster_id: bytes
    founds: bool


class DataDirectory:
    """See `interface.DataDirectory` for the promises. One thread."""

    def __init__(
        self,
        file_system: FileSystem,
        path: str,
        lock: DirectoryLock,
        registrations: dict[str, Registration],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Hold an opened directory; callers use `open`."""
        self.file_system = file_system
        self.path = path
        self.random_bytes = random_bytes
        self.log_folder = LogFolder(file_system, wal_folder(path), random_bytes)
        self._lock = lock
        self._registrations = registrations
        self._is_registry_in_doubt = False
        """Whether the file may say something else, by a change that failed half-way."""

    @classmethod
    def open(
        cls,
        file_system: FileSystem,
        path: str,
        node: str,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> Self:
        """Lock a directory and read its registry; a new one is created with its parents.

        Args:
            file_system: where it is.
            path: the directory.
            node: the name of the node it belongs to.
            random_bytes: gives that many random bytes, for uids and salts.

        Raises:
            DirectoryLockedError: another Ra system uses it.
            WrongDirectoryError: it was made by a node of another name; not by one without a name,
                whose directory becomes this node's.
            DirectoryAccessError: it cannot be created or read, or any user may write to it.
            InvalidOptionError: the name of the node is too long.
            DataCorruptionError, UnknownFormatError: what is there is not what was written.
        """
        _check_length("node", node)
        path = path.rstrip("/") or "/"
        _make_directories(file_system, path)
        if file_system.is_world_writable(path):
            reason = "every user may write to it; chmod o-w it"
            raise DirectoryAccessError(f"{path} is not safe: {reason}", path=path, reason=reason)
        lock = file_system.lock(lock_path(path), _describe_this_process())
        try:
            if not file_system.exists(identity_path(path)):
                _initialise(file_system, path, node, random_bytes)
            registrations = _read(file_system, path, node)
        except BaseException:
            lock.release()
            raise
        return cls(file_system, path, lock, registrations, random_bytes)

    @property
    def stores(self) -> dict[str, str]:
        """See `interface.DataDirectory.stores`. A copy."""
        return {store_id: known.uid for store_id, known in self._registrations.items()}

    def registration(self, store_id: str) -> Registration:
        """Give what was durably noted when the store was registered."""
        return self._registrations[store_id]

    @property
    def stores_folder(self) -> str:
        """The folder that has one folder for each uid."""
        return stores_folder(self.path)

    def store_folder(self, uid: str) -> str:
        """Give the folder of a store."""
        return store_folder(self.stores_folder, uid)

    def register(self, store_id: str, cluster_id: bytes | None = None) -> str:
        """See `interface.DataDirectory.register`.

        The uid is new for each incarnation: what an earlier store of the same name left in the
        log is not this one's (case W26).

        Raises:
            InvalidOptionError: the store id is too long.
        """
        assert store_id not in self._registrations, f"store {store_id} is registered already"
        _check_length("store_id", store_id)
        uid = base64.b32encode(self.random_bytes(_UID_BYTES)).decode()
        folder = self.store_folder(uid)
        for name in (folder, segments_folder(folder), snapshots_folder(folder)):
            self.file_system.make_directory(name)
        create_meta(self.file_system, meta_path(folder), uid=uid, store_id=store_id)
        self.file_system.fsync_directory(self.stores_folder)
        registration = Registration(
            uid, cluster_id or self.random_bytes(CLUSTER_ID_BYTES), founds=cluster_id is None
        )
        self._write_registry({**self._registrations, store_id: registration})
        return uid

    def settle(self) -> None:
        """Write the registry again if a change of it has failed: the file may have taken it.

        To be done before a registered store is started: it could be missing in the file, and the
        next start of the system would remove what it has.
        """
        if self._is_registry_in_doubt:
            self._write_registry(self._registrations)

    def unregister(self, store_id: str) -> None:
        """See `interface.DataDirectory.unregister`. What cannot be removed is a leftover."""
        registrations = dict(self._registrations)
        gone = registrations.pop(store_id)
        self._write_registry(registrations)
        with suppress(StorageError):
            remove_store_files(self.file_system, self.store_folder(gone.uid))

    def meta(self, uid: str) -> MetaFile:
        """See `interface.DataDirectory.meta`."""
        return MetaFile(self.file_system, meta_path(self.store_folder(uid)), uid)

    def commit_note(self, uid: str) -> CommitNote:
        """Open the hint how far the log of a store is committed."""
        return CommitNote(self.file_system, commit_note_path(self.store_folder(uid)))

    def snapshots(self, uid: str) -> Snapshots:
        """See `interface.DataDirectory.snapshots`."""
        folder = snapshots_folder(self.store_folder(uid))
        return Snapshots(self.file_system, folder, self.random_bytes)

    def close(self) -> None:
        """See `interface.DataDirectory.close`."""
        self._lock.release()

    def _write_registry(self, registrations: dict[str, Registration]) -> None:
        facts = [[store_id, *known] for store_id, known in sorted(registrations.items())]

        def doubt() -> None:  # not before: a full disk must not keep a store from being read
            self._is_registry_in_doubt = True

        path = registry_path(self.path)
        write_record_file(self.file_system, path, REGISTRY_FORMAT, facts, about_to_replace=doubt)
        self._is_registry_in_doubt = False
        self._registrations = registrations


def _check_length(option: str, name: str) -> None:
    """Names stand in the slots of term and vote, which have a fixed size."""
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidOptionError(
            f"{option} is longer than {MAX_NAME_BYTES} bytes", option=option, value=name
        )


def remove_store_files(file_system: FileSystem, folder: str) -> None:
    """Remove the folder of a store that is not registered."""
    for inner in (segments_folder(folder), snapshots_folder(folder)):
        if file_system.exists(inner):
            for name in file_system.listdir(inner):
                file_system.unlink(f"{inner}/{name}")
            file_system.remove_directory(inner)
    for name in file_system.listdir(folder):
        file_system.unlink(f"{folder}/{name}")
    file_system.remove_directory(folder)


def _make_directories(file_system: FileSystem, path: str) -> None:
    if not file_system.exists(path):
        parent = folder_of(path)
        _make_directories(file_system, parent)
        file_system.make_directory(path)
        file_system.fsync_directory(parent)


def _sync_names_of_folders(file_system: FileSystem, path: str) -> None:
    """Make the way to a directory durable, whoever made its folders and died, or failed, then.

    What lies further above is mostly somebody else's and may refuse.
    """
    parent = folder_of(path)
    try:
        file_system.fsync_directory(parent)
    except DirectoryAccessError:
        pass
    except StorageError as error:
        # Above a mount there may be a file system that cannot sync folders; the name is not there.
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EINVAL:
            raise
    with suppress(StorageError):
        while parent not in {folder_of(parent), ".", "/"}:
            parent = folder_of(parent)
            file_system.fsync_directory(parent)


def _initialise(
    file_system: FileSystem, path: str, node: str, random_bytes: Callable[[int], bytes]
) -> None:
    """Make a new directory, or end what an interrupted attempt began."""
    _sync_names_of_folders(file_system, path)
    for folder in (wal_folder(path), stores_folder(path)):
        if not file_system.exists(folder):
            file_system.make_directory(folder)
        elif file_system.listdir(folder):
            raise corrupt(identity_path(path), 0, f"the file is missing and {folder} is in use")
    write_record_file(file_system, registry_path(path), REGISTRY_FORMAT, [])
    directory_uid = random_bytes(_UID_BYTES).hex()
    write_record_file(file_system, identity_path(path), IDENTITY_FORMAT, [node, directory_uid])


def _read(file_system: FileSystem, path: str, node: str) -> dict[str, Registration]:
    identity = identity_path(path)
    match read_record_file(file_system, identity, IDENTITY_FORMAT):
        case [str(owner), str(directory_uid)]:
            pass
        case _:
            raise corrupt(identity, 0, "the identity makes no sense")
    if owner not in {node, UNDISTRIBUTED}:
        raise WrongDirectoryError(
            f"{path} belongs to node {owner}, not to {node}", path=path, expected=node, found=owner
        )
    for needed in (registry_path(path), wal_folder(path), stores_folder(path)):
        if not file_system.exists(needed):
            raise corrupt(needed, 0, "it is missing")
    registrations: dict[str, Registration] = {}
    for line in read_record_file(file_system, registry_path(path), REGISTRY_FORMAT):
        match line:
            case [str(store_id), str(uid), bytes(cluster_id), bool(founds)]:
                registrations[store_id] = Registration(uid, cluster_id, founds=founds)
            case _:
                raise corrupt(registry_path(path), 0, "the registry makes no sense")
    if owner != node:
        # Nobody else can know it: its stores have no other member, and begin with this one anew.
        write_record_file(file_system, identity, IDENTITY_FORMAT, [node, directory_uid])
        _logger.info("%s belonged to a node without a name, and is now that of %s", path, node)
    return registrations


def _describe_this_process() -> str:
    return f"process {os.getpid()} on {os.uname().nodename}"
