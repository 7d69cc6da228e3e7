"""The part of the simulation that belongs to every test run: fixed seeds, and fresh ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from khepri.testing.simulation import Simulation
from khepri.testing.simulation_faults import plan_faults
from khepri.testing.simulation_settings import SimulationSettings
from tests.sim.campaign import Campaign
from tests.sim.checkers import run_checked
from tests.sim.exhaustive import explore
from tests.sim.scenarios import SCENARIOS, Scenario

FIXED_SEEDS = range(1, 13)
FRESH_SECONDS = float(os.environ.get("KHEPRI_FRESH_SEEDS_SECONDS", "15"))


@pytest.mark.parametrize("seed", FIXED_SEEDS)
def test_a_fixed_seed_holds(seed: int) -> None:
    run_checked(seed, SimulationSettings.draw(seed, fault_seconds=6.0))


@pytest.mark.slow
def test_fresh_seeds_hold() -> None:
    campaign = Campaign()
    first = time.time_ns() % 1_000_000_000
    campaign.run_for(FRESH_SECONDS, range(first, first + 100_000))
    assert not campaign.failed, f"make soak-simulation SEED={campaign.failed[0]}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_found_seed_stays_fixed(scenario: Scenario) -> None:
    run_checked(scenario.seed, scenario.settings, scenario.faults)


def test_the_same_seed_gives_the_same_trace() -> None:
    settings = SimulationSettings.draw(7, fault_seconds=4.0)
    digests: set[str] = set()
    for _ in range(2):
        simulation = Simulation(7, settings)
        simulation.run()
        digests.add(simulation.trace_digest)
    assert len(digests) == 1


def test_another_seed_gives_another_trace() -> None:
    settings = SimulationSettings(fault_seconds=2.0)
    first, second = Simulation(1, settings), Simulation(2, settings)
    first.run()
    second.run()
    assert first.trace_digest != second.trace_digest


def test_the_trace_does_not_depend_on_the_hash_seed_of_the_interpreter() -> None:
    program = (
        "from khepri.testing.simulation import Simulation as S\n"
        "from khepri.testing.simulation_settings import SimulationSettings as T\n"
        "s = S(11, T.draw(11, fault_seconds=3.0)); s.run(); print(s.trace_digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_checkers_change_nothing() -> None:
    settings = SimulationSettings.draw(3, fault_seconds=4.0)
    alone = Simulation(3, settings)
    alone.run()
    assert run_checked(3, settings).world.trace_digest == alone.trace_digest


def test_a_schedule_can_be_cut_down() -> None:
    settings = SimulationSettings.draw(5, fault_seconds=4.0)
    faults = plan_faults(5, settings)
    run = run_checked(5, settings, faults[::2])
    assert sum(run.world.fault_counts.values()) == len(faults[::2])


def test_all_interleavings_of_a_small_world_hold() -> None:
    states, moves = explore(4)
    assert states > 500
    assert moves > 1500


def test_all_interleavings_after_a_first_election_hold() -> None:
    elected = (("deliver", 0),) * 8
    states, _ = explore(3, prefix=elected)
    assert states > 50
