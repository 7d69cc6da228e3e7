"""A crash, an error or a full disk at every single operation of a workload (W12-W14, W23, W24)."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING

import pytest

from khepri.log import segments, write_ahead_log
from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from tests.log.log_helpers import CHANGES, SMALLEST_FILE_BYTES, fail
from tests.log.log_workload import Workload, check_after_crash, count_operations, crash_at

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation


@pytest.fixture(autouse=True, params=[segments.SEGMENTS_MAX, 2])
def _files_that_grow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "FIRST_FILE_BYTES", SMALLEST_FILE_BYTES)
    monkeypatch.setattr(segments, "SEGMENTS_MAX", request.param)


@pytest.fixture
def operations() -> int:
    return count_operations()


def run_until_crash(memory: MemoryFileSystem, number: int) -> Workload:
    workload = Workload(memory)
    memory.hook = crash_at(number)
    with pytest.raises(SimulatedCrash):
        workload.run()
    return workload


def test_the_workload_does_what_it_is_for() -> None:
    memory = MemoryFileSystem()
    seen: list[Operation] = []
    memory.hook = seen.append
    workload = Workload(memory)
    workload.run()
    workload.reopen()
    assert workload.harness.contents() == workload.acknowledged
    paths = {operation.path.rpartition("/")[2].lstrip("0123456789") for operation in seen}
    assert paths >= {
        ".wal.new",
        ".spare",
        ".spare.new",
        ".segment.new",
        ".snapshot.new",
        ".received.new",
    }
    assert {operation.name for operation in seen} >= set(CHANGES)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_w23_w24_a_power_loss_at_any_operation_loses_nothing_acknowledged(
    seed: int, operations: int
) -> None:
    for number in range(1, operations + 1):
        memory = MemoryFileSystem()
        workload = run_until_crash(memory, number)
        rng = random.Random(f"{seed} {number}")
        memory.power_loss(rng)
        check_after_crash(workload, memory, rng)


def test_w15_w16_the_death_of_the_process_at_any_operation_loses_nothing(operations: int) -> None:
    for number in range(1, operations + 1):
        memory = MemoryFileSystem()
        workload = run_until_crash(memory, number)
        memory.process_death()
        check_after_crash(workload, memory, random.Random(number))


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (errno.EIO, 1),
        (errno.ENOSPC, 1),
        pytest.param(errno.EIO, 3, marks=pytest.mark.slow),
    ],
)
def test_w12_w13_w14_an_error_at_any_operation_is_survived_by_trying_again(
    number: int, times: int, operations: int
) -> None:
    for skip in range(operations):
        memory = MemoryFileSystem()
        memory.hook = fail(number, *CHANGES, skip=skip, times=times)
        workload = Workload(memory, attempts=times + 1)
        workload.run()
        rng = random.Random(skip)
        memory.power_loss(rng)
        check_after_crash(workload, memory, rng)


def test_a_read_error_at_any_read_is_survived_by_trying_again() -> None:
    memory = MemoryFileSystem()
    reads: list[Operation] = []
    memory.hook = lambda one: reads.append(one) if one.name == "pread" else None
    Workload(memory).run()
    for skip in range(len(reads)):
        memory = MemoryFileSystem()
        memory.hook = fail(errno.EIO, "pread", skip=skip)
        workload = Workload(memory, attempts=2)
        workload.run()
        memory.process_death()
        check_after_crash(workload, memory, random.Random(skip))
