"""The barest program of khepri's shape: callers, one thread with a queue and a log, a dict.

It has no Raft, no tree, no sessions, no supervision and no errors, and its log is one file that it
writes over and over. What khepri does beyond it is what khepri costs.
"""

from __future__ import annotations

import os
import queue
import struct
import threading
from _thread import allocate_lock
from typing import TYPE_CHECKING, Self
from zlib import crc32

import msgpack

if TYPE_CHECKING:
    from pathlib import Path

_FILE_BYTES = 16 << 20
_HEADER = struct.Struct("<II")


class BareFuture:
    """Set once by the store, waited for by one caller."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        self._lock.release()

    def get(self) -> None:
        self._lock.acquire()


class BareStore:
    """Puts are durable once their futures are set. A context manager; end it when all are."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, BareFuture] | None] = queue.SimpleQueue()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(self._file, bytes(_FILE_BYTES))
        os.fsync(self._file)
        self._offset = 0
        self._places: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        os.close(self._file)

    def put(self, path: str, value: bytes) -> BareFuture:
        """Send a put."""
        future = BareFuture()
        self._queue.put((msgpack.packb((path, value)), future))
        return future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            for _ in range(self._queue.qsize()):
                more = self._queue.get()
                assert more is not None, "nobody waits when it ends"
                batch.append(more)
            self._write([command for command, _ in batch])
            for command, future in batch:
                path, value = msgpack.unpackb(command)
                self._places[path] = value
                future.set()

    def _write(self, commands: list[bytes]) -> None:
        frame = b"".join(
            part
            for command in commands
            for part in (_HEADER.pack(len(command), crc32(command)), command)
        )
        if self._offset + len(frame) > _FILE_BYTES:
            self._offset = 0
        os.pwrite(self._file, frame, self._offset)
        os.fdatasync(self._file)
        self._offset += len(frame)
