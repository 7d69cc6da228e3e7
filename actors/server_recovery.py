"""How a server starts from its files: machine from the snapshot, core from log, term and vote."""

from __future__ import annotations

import gc
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from khepri.errors import UnknownFormatError
from khepri.machine import machine_version
from khepri.machine.machine import Machine
from khepri.raft.core import RaftCore
from khepri.raft.types import UNDISTRIBUTED, Member, MemberKind, ServerId

from .wal_writer import ReadStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from khepri.log.commit_note import CommitNote
    from khepri.log.interface import MetaFile, RecoveredStore, Snapshots

    from .server_setup import ServerSetup

RECOVERY_PATIENCE_SECONDS = 600.0
"""How long a server waits for the WalWriter to read its log."""


@dataclass(slots=True)
class RecoveredServer:
    """What a server works with from its start on."""

    machine: Machine
    core: RaftCore
    meta_file: MetaFile
    commit_note: CommitNote
    snapshot_index: int
    snapshot_bytes: int
    is_alone: bool
    """Whether it is the only voter, so that there is nobody to wait for."""
    was_nameless: bool
    """Whether it was all there is, on a node without a name, which has got one since."""


def recover_server(setup: ServerSetup) -> RecoveredServer:
    """Read everything a server starts from.

    Raises:
        StorageError: the files cannot be read, or are not what was written; none is open.
        UnknownFormatError: the log needs a later release.
    """
    stored: RecoveredStore = setup.wal_writer.request(ReadStore(setup.store_id)).get(
        timeout=RECOVERY_PATIENCE_SECONDS
    )
    directory = setup.storage.directory
    with ExitStack() as undo:
        commit_note = directory.commit_note(setup.uid)
        undo.callback(commit_note.close)
        machine, snapshot_bytes = restore_machine(directory.snapshots(setup.uid))
        core = RaftCore(
            server_id=setup.server_id,
            uid=setup.uid,
            hard_state=stored.hard_state,
            snapshot=stored.snapshot,
            entries=stored.entries,
            configuration=setup.initial_configuration,
            settings=setup.config.raft_settings(),
            random=setup.random,
            committed=commit_note.found,
            machine_version=machine_version.MACHINE_VERSION,
        )
        check_machine_version(core.needed_machine_version, setup.store_id)
        meta_file = directory.meta(setup.uid)
        undo.pop_all()
    return RecoveredServer(
        machine=machine,
        core=core,
        meta_file=meta_file,
        commit_note=commit_note,
        snapshot_index=0 if stored.snapshot is None else stored.snapshot.index,
        snapshot_bytes=snapshot_bytes,
        is_alone=core.configuration.voters == frozenset({setup.server_id}),
        was_nameless=core.configuration.members == (_nameless(setup),),
    )


def check_machine_version(needed: int, store_id: str) -> None:
    """Refuse a store that a later release has gone over to a version unknown here.

    Raises:
        UnknownFormatError: it is one.
    """
    newest = machine_version.MACHINE_VERSION
    if needed > newest:
        raise UnknownFormatError(
            f"the store {store_id!r} is of machine version {needed}, and this release of khepri"
            f" knows {newest}: use the release that has written it, or a later one",
            store_id=store_id,
            version=needed,
        )


def _nameless(setup: ServerSetup) -> Member:
    """Give this member as it was while its node had no name."""
    return Member(ServerId(setup.store_id, UNDISTRIBUTED), setup.uid, MemberKind.VOTER)


def restore_machine(snapshots: Snapshots) -> tuple[Machine, int]:
    """Give the machine as of the newest snapshot, and that snapshot's size in bytes."""
    if snapshots.current is None:
        return Machine(), 0
    with closing(snapshots.open_reader()) as reader, no_garbage_collection():
        meta = reader.meta
        machine = Machine.restore(reader.chunks(), index=meta.index, version=meta.machine_version)
        return machine, reader.size_bytes


@contextmanager
def no_garbage_collection() -> Generator[None]:
    """Make many objects that all stay, without the collector walking them again and again.

    Afterwards they are frozen: a tree of a million nodes holds no cycles, and walking it in every
    full collection stops all threads for a second. Measured in docs/explanation/performance.md.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
