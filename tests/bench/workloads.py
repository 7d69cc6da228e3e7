"""The put workloads that khepri and its peers are given, and the values they write."""

from __future__ import annotations

from dataclasses import dataclass

VALUE_BYTES = 128
EXISTING_TREE_NODES = 1_000
BATCH_OPERATIONS = 100


@dataclass(frozen=True, slots=True)
class Workload:
    """One way to write, with what is asked of it.

    Attributes:
        name: what the tables call it.
        threads: how many blocking callers; 0 if one caller pipelines.
        operations: how many puts each call carries.
        target: how many times R it should reach, if anything is asked.
        peer_target: how many times PySyncObj's rate it should reach, if anything is asked.
    """

    name: str
    threads: int
    operations: int = 1
    target: float | None = None
    peer_target: float | None = None


SINGLE = (
    Workload("1 blocking thread", 1, target=0.6, peer_target=3.0),
    Workload("16 blocking threads", 16, peer_target=3.0),
    Workload("64 blocking threads", 64, target=4.5, peer_target=3.0),
    Workload("256 blocking threads", 256, peer_target=3.0),
    Workload("1 caller, 1,000 in flight", 0, target=10.0, peer_target=2.0),
)
BATCHES = (
    Workload("batches of 100, 1 blocking thread", 1, BATCH_OPERATIONS, target=25.0),
    Workload("batches of 100, 1,000 in flight", 0, BATCH_OPERATIONS),
)
BY_NAME = {workload.name: workload for workload in (*SINGLE, *BATCHES)}

# A store may skip writing what is there already, so one place must not get the same value twice in
# a row. 13 does not divide any number of places a caller walks through.
_VALUES = tuple(bytes([65 + number]) * VALUE_BYTES for number in range(13))


def value(number: int) -> bytes:
    """Give a value that differs from those of the numbers before it."""
    return _VALUES[number % len(_VALUES)]
