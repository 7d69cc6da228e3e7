"""`python -m tests.integration`: real processes under faults, as `make soak-processes` does it."""

from __future__ import annotations

import argparse
import sys
import time

from tests.integration.campaign import attempt, rounds


def main() -> int:
    """Make rounds until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--round-seconds", type=float, default=40.0, help="of faults (default 40)")
    parser.add_argument("--seed", type=int, help="of the first round; those after it count on")
    given = parser.parse_args()
    seed: int = time.time_ns() % 1_000_000_000 if given.seed is None else given.seed
    end = time.monotonic() + given.seconds
    done = failed = 0
    for one in rounds(seed, given.round_seconds):
        failed += not attempt(one)
        done += 1
        if time.monotonic() >= end:
            break
    print(f"{done} rounds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
