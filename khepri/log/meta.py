"""Term and vote of one store: two slots, written in turn.

A file of 8 KiB with one slot frame in each half. Record number n has its place in slot ``n % 2``:

1. Write record n to its slot and sync: from here on it is durable, and until here the other slot
   holds record n-1, which was synced before.
2. Write the same record to the other slot, not synced.

So at rest both slots hold the newest record: one that rots is made good by the other. After a
power loss in step 1 the torn slot is told by its checksum and the other one counts; nobody has
acted on the new record yet. A temporary file with a rename would do as well for two syncs and two
journal entries; this is one sync of allocated blocks, and it needs no space on a full disk.

Not here: when to write (`PersistHardState` of the core).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import StorageError, UnknownFormatError
from khepri.raft.types import NO_HARD_STATE, HardState, ServerId, Term

from .file_header import NO_SALT, corrupt, read_file, replace_file
from .framing import FrameKind, decode_frame, encode_frame

if TYPE_CHECKING:
    from .file_system import FileSystem

_VERSION = 1
_SLOT_BYTES = 4096
"""A page, and a sector of any disk: writing one slot cannot harm the other."""


class MetaRecord(NamedTuple):
    """What a slot says."""

    number: int
    uid: str
    store_id: str
    hard_state: HardState


def create_meta(file_system: FileSystem, path: str, *, uid: str, store_id: str) -> None:
    """Make the file of a new store, durably, with term 0 and no vote."""
    slot = _encode_slot(MetaRecord(0, uid, store_id, NO_HARD_STATE))
    replace_file(file_system, path, slot + slot)


def read_meta(file_system: FileSystem, path: str, uid: str) -> MetaRecord:
    """Read and check the file. Changes nothing.

    Raises:
        DataCorruptionError: neither slot is whole, or it is the file of another store.
        UnknownFormatError: another release wrote it.
    """
    return _read_slots(file_system, path, uid)[0]


class MetaFile:
    """The open file; see `interface.MetaFile` for the promises. One thread."""

    def __init__(self, file_system: FileSystem, path: str, uid: str) -> None:
        """Open it and make sure that what it says is durable.

        A process that died between write and sync, or whose sync failed, leaves a record that
        can be read and is not on the disk: unless both slots agree it is written once more.

        Raises:
            DataCorruptionError, UnknownFormatError: as `read_meta`.
            DiskFullError, DiskFailedError: it cannot be made durable.
        """
        self._record, is_settled = _read_slots(file_system, path, uid)
        self._file = file_system.open(path, writable=True)
        if not is_settled:
            try:
                self._write_record(self._record._replace(number=self._record.number + 1))
            except StorageError:
                self._file.close()
                raise

    @property
    def hard_state(self) -> HardState:
        """See `interface.MetaFile.hard_state`."""
        return self._record.hard_state

    def write(self, hard_state: HardState) -> None:
        """See `interface.MetaFile.write`."""
        if hard_state != self._record.hard_state:
            number = self._record.number + 1
            self._write_record(self._record._replace(number=number, hard_state=hard_state))

    def close(self) -> None:
        """See `interface.MetaFile.close`."""
        self._file.close()

    def _write_record(self, record: MetaRecord) -> None:
        # After a failure the same number is written again: the whole slot, so that the page is
        # dirty again, and nothing rests on the sync that failed.
        slot = _encode_slot(record)
        place = _place_of(record.number)
        self._file.pwrite(slot, place)
        self._file.fdatasync()
        self._record = record
        with suppress(StorageError):  # the copy; the record is durable
            self._file.pwrite(slot, _SLOT_BYTES - place)


def _place_of(number: int) -> int:
    return number % 2 * _SLOT_BYTES


def _read_slots(file_system: FileSystem, path: str, uid: str) -> tuple[MetaRecord, bool]:
    """Give the newest record, and whether it stands in both slots."""
    data = memoryview(read_file(file_system, path))
    if len(data) != 2 * _SLOT_BYTES:
        offset = min(len(data), 2 * _SLOT_BYTES)
        raise corrupt(path, offset, f"{len(data)} bytes instead of {2 * _SLOT_BYTES}")
    found = [_decode_slot(data, place, path) for place in (0, _SLOT_BYTES)]
    records = [record for record in found if record is not None]
    if not records:
        raise corrupt(path, 0, "neither copy of term and vote is whole")
    newest = max(records, key=lambda record: record.number)
    if newest.uid != uid:
        raise corrupt(path, 0, f"it belongs to store {newest.uid}")
    return newest, records.count(newest) == len(found)


def _encode_slot(record: MetaRecord) -> bytes:
    state = record.hard_state
    payload = pack([_VERSION, record.uid, record.store_id, state.term, state.voted_for])
    frame = encode_frame(FrameKind.SLOT, record.number, NO_SALT, payload)
    if len(frame) > _SLOT_BYTES:
        raise AssertionError("the store id is too long")
    return frame.ljust(_SLOT_BYTES, b"\0")


def _decode_slot(data: memoryview, place: int, path: str) -> MetaRecord | None:
    frame = decode_frame(data[: place + _SLOT_BYTES], place)
    if frame is None or frame.kind != FrameKind.SLOT:
        return None
    try:
        plain = unpack(frame.payload)
        if plain[0] != _VERSION:
            raise UnknownFormatError(
                f"{path} has format version {plain[0]}; this release knows {_VERSION}",
                path=path,
                version=plain[0],
            )
        _, uid, store_id, term, vote = plain
        voted_for = None if vote is None else ServerId.from_plain(vote)
    except (EncodingError, TypeError, ValueError, IndexError) as error:
        raise corrupt(path, place, f"the record makes no sense: {error}") from error
    return MetaRecord(frame.sequence, uid, store_id, HardState(Term(term), voted_for))
