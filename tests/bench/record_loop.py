"""R: how many records of 200 bytes a second one loop of ``write`` and ``fdatasync`` reaches.

This is the least that a durable write of a single caller costs on a disk, so all durable rates are
given as multiples of it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD_BYTES = 200


def records_per_second(directory: Path, seconds: float) -> float:
    """Append records to a new file, sync each, for that long; give records per second."""
    record = b"r" * RECORD_BYTES
    path = directory / "record-loop"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        os.write(file, record)
        os.fsync(file)
        written = 0
        started = now = time.perf_counter()
        while now - started < seconds:
            os.write(file, record)
            os.fdatasync(file)
            written += 1
            now = time.perf_counter()
        return written / (now - started)
    finally:
        os.close(file)
        path.unlink()
