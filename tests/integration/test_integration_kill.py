"""A writing process is killed again and again; what it acknowledged is always there.

``KHEPRI_KILLS`` times, a thousand in `make soak-kills`; ``KHEPRI_SEED`` repeats one run's choices.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.death_phases import Phase
from tests.integration.lives import Killing, Nursery, check
from tests.integration.nursery import FLAWS

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("KHEPRI_KILLS", "400"))
ENOUGH_FOR_ALL_PHASES = 1000
KILLS_THAT_SHOW_A_FLAW = 100


def a_killing(nursery: Nursery) -> Killing:
    seed = int(os.environ.get("KHEPRI_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    return Killing(nursery, random.Random(seed))


@pytest.mark.slow
def test_l11_kills_at_random_moments_lose_nothing_and_apply_nothing_twice(tmp_path: Path) -> None:
    begun = time.monotonic()
    with Nursery(tmp_path) as nursery:
        killing = a_killing(nursery)
        killing.run(KILLS)
    print(f"{killing.lives} lives, {killing.acknowledgements} acknowledgements,", end=" ")
    print(f"{time.monotonic() - begun:.0f} seconds; killed in the middle of")
    for phase, count in killing.phases.most_common():
        print(f"{count:6} {phase}")
    assert killing.acknowledgements > KILLS
    if KILLS >= ENOUGH_FOR_ALL_PHASES:
        assert {phase.name for phase in Phase} <= set(killing.phases), "a phase was never hit"


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_planted_in_the_killed_process_is_found(flaw: str, tmp_path: Path) -> None:
    with Nursery(tmp_path, flaw) as nursery:
        killing = a_killing(nursery)
        with pytest.raises(AssertionError, match="thread"):
            killing.run(KILLS_THAT_SHOW_A_FLAW)


@pytest.mark.parametrize(
    ("found", "acknowledged"),
    [({0: (4, 8)}, {0: 5}), ({0: (7, 14)}, {0: 5}), ({0: (5, 12)}, {0: 5})],
    ids=["lost", "invented", "applied twice"],
)
def test_the_checker_finds_a_planted_failure(
    found: dict[int, tuple[int, int]], acknowledged: dict[int, int]
) -> None:
    with pytest.raises(AssertionError):
        check(found, acknowledged)
