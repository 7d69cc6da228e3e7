"""What an operation of a client is for the history of one key, as `linearizability.py` wants it.

A transaction is a swap of a key that it reads and writes, a read of one that it only reads, and a
put of one that it only writes. One that has failed says something only if it read one key; an
unknown one may have happened, or not, whatever else it found.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.sim.linearizability import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.testing.simulation_operation import Operation


def events_of(operation: Operation) -> Iterator[tuple[str, Event]]:
    """Give what an operation does to which key."""
    status, kind = operation.status, operation.kind
    if status == "refused" or kind == "local" or (kind == "read" and status != "ok"):
        return
    is_known = status in {"ok", "failed"}
    began, ended = operation.invoked_at, operation.answered_at if is_known else math.inf
    succeeded = (status == "ok") if is_known else None
    if not operation.parts:
        value = operation.seen if kind == "read" else operation.payload
        if kind == "delete":
            value = None
        yield operation.key, Event(began, ended, kind, value, operation.expected, succeeded)
        return
    writes = {
        str(part.path[-1]): part.payload
        for part in operation.parts
        if part.watch is None and part.path[0] == "k"
    }
    reads = operation.reads
    if status == "failed" and len(reads) > 1:
        return
    for key in {**writes, **reads}:
        if key not in reads:
            yield key, Event(began, ended, "put", writes[key], None, succeeded)
        elif key in writes:
            yield key, Event(began, ended, "swap", writes[key], reads[key], succeeded)
        elif status == "ok":
            yield key, Event(began, ended, "read", reads[key], None, succeeded)
