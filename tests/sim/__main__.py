"""`python -m tests.sim`: a campaign from the command line, as `make soak-simulation` does it."""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from tests.sim.campaign import Campaign, commit
from tests.sim.planted import ALL_BUGS, find


def main() -> int:
    """Run a campaign, or one seed, or look for the planted bugs."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--seed", type=int, help="this seed first, then those after it")
    parser.add_argument("--planted", action="store_true", help="how many seeds planted bugs take")
    parser.add_argument("--most-seeds", type=int, default=60, help="per planted bug")
    given = parser.parse_args()
    if given.planted:
        return _look_for_planted(given.most_seeds)
    seed: int = time.time_ns() % 1_000_000_000 if given.seed is None else given.seed
    print(f"seeds from {seed} on, commit {commit()}", flush=True)
    campaign = Campaign()
    campaign.run_for(given.seconds, itertools.count(seed))
    print(campaign.report())
    return 1 if campaign.failed else 0


def _look_for_planted(most_seeds: int) -> int:
    missed = 0
    for bug in ALL_BUGS:
        found = find(bug, most_seeds=most_seeds)
        missed += found is None
        seeds, said = (str(found[0]), found[1]) if found else (f"more than {most_seeds}", "")
        print(f"| {bug.name} | {seeds} | {said[:90]} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
