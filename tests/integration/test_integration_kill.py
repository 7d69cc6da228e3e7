"""A writing process is killed again and again; what it acknowledged is always there.

A hundred times; ``KHEPRI_KILLS`` says another number.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KHEPRI_KILLS", "100"))
PATIENCE_SECONDS = 60.0


class Run:
    """One life of the writing process."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.durability_child", str(data_dir)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.found: dict[int, tuple[int, int]] = {}
        self.acknowledged: dict[int, int] = {}
        self._rest = b""

    def read_for(self, seconds: float, *, until_acknowledgements: int) -> None:
        """Read lines until that many acknowledgements came, and then `seconds` longer."""
        assert self.process.stdout is not None
        patience = time.monotonic() + PATIENCE_SECONDS
        end: float | None = None
        acknowledgements = 0
        while end is None or time.monotonic() < end:
            assert time.monotonic() < patience, f"no acknowledgement came: {self.failure()}"
            ready, _, _ = select.select([self.process.stdout], [], [], 0.01)
            if ready:
                acknowledgements += self._take(os.read(self.process.stdout.fileno(), 65536))
                assert self.process.poll() is None, self.failure()
            if end is None and acknowledgements >= until_acknowledgements:
                end = time.monotonic() + seconds

    def kill(self) -> None:
        """Kill it without warning and read what it had still said."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._take(self.process.stdout.read())
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def failure(self) -> str:
        self.process.kill()
        _, errors = self.process.communicate()
        return errors.decode(errors="replace")

    def _take(self, data: bytes) -> int:
        *lines, self._rest = (self._rest + data).split(b"\n")
        count = 0
        for line in lines:
            kind, thread, *numbers = line.split()
            if kind == b"opened":
                self.found[int(thread)] = (int(numbers[0]), int(numbers[1]))
            else:
                self.acknowledged[int(thread)] = int(numbers[0])
                count += 1
        return count


def check(found: dict[int, tuple[int, int]], acknowledged: dict[int, int]) -> None:
    """Every acknowledged value is there, at most one later one, and each was applied once."""
    for thread, (value, version) in found.items():
        last = acknowledged.get(thread, 0)
        assert value >= last, f"thread {thread}: {last} was acknowledged, {value} is there"
        assert value <= last + 1, f"thread {thread}: {value} was never sent, {last} was the last"
        assert version == value, f"thread {thread}: {value} puts were applied {version} times"


@pytest.mark.slow
def test_l11_kills_at_random_moments_lose_nothing_and_apply_nothing_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("KHEPRI_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    dice = random.Random(seed)
    acknowledged: dict[int, int] = {}
    total = 0
    for _ in range(KILLS):
        run = Run(tmp_path / "data")
        run.read_for(dice.random() * 0.1, until_acknowledgements=dice.randrange(1, 50))
        run.kill()
        check(run.found, acknowledged)
        # A thread that was killed before its first acknowledgement goes on from what it found.
        found = {thread: value for thread, (value, _) in run.found.items()}
        total += sum(value - found[thread] for thread, value in run.acknowledged.items())
        acknowledged |= found | run.acknowledged
    assert total > KILLS


@pytest.mark.parametrize(
    ("found", "acknowledged"),
    [({0: (4, 4)}, {0: 5}), ({0: (7, 7)}, {0: 5}), ({0: (5, 6)}, {0: 5})],
    ids=["lost", "invented", "applied twice"],
)
def test_the_checker_finds_a_planted_failure(
    found: dict[int, tuple[int, int]], acknowledged: dict[int, int]
) -> None:
    with pytest.raises(AssertionError):
        check(found, acknowledged)
