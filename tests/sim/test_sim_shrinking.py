"""Cutting schedules down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.testing.simulation_faults import plan_faults
from khepri.testing.simulation_settings import SimulationSettings
from tests.sim.shrinking import shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.testing.simulation_fault import Fault


def test_only_the_faults_that_matter_are_left() -> None:
    faults = plan_faults(1, SimulationSettings(fault_seconds=20.0, faults_per_second=2.0))
    guilty = {faults[3], faults[17]}

    def fails(some: Sequence[Fault]) -> bool:
        return guilty <= set(some)

    assert set(shrink(faults, fails, most_runs=500)) == guilty


def test_a_failure_that_needs_no_fault_leaves_none() -> None:
    faults = plan_faults(1, SimulationSettings())
    assert shrink(faults, lambda _: True) == []


def test_the_number_of_runs_is_bounded() -> None:
    faults = plan_faults(1, SimulationSettings(fault_seconds=20.0, faults_per_second=2.0))
    asked: list[int] = []

    def fails(some: Sequence[Fault]) -> bool:
        asked.append(len(some))
        return False

    assert shrink(faults, fails, most_runs=10) == faults
    assert len(asked) == 10
