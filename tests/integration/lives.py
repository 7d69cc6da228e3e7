"""Lives that end by SIGKILL, one after the other on one data directory, and what must hold."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from tests.integration.cluster_processes import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    import random
    from pathlib import Path

MOST_ACKNOWLEDGEMENTS = 60
MOST_SECONDS_LATER = 0.02


class Death(NamedTuple):
    """When a life is to end."""

    after_acknowledgements: int
    seconds_later: float


class Told:
    """What one life has said."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[int, int]] = {}
        self.acknowledged: dict[int, int] = {}
        self.acknowledgements = 0
        self.opened_at: float | None = None
        self.process_id: int | None = None
        self.exit_code: int | None = None
        self.phases: list[str] = []

    def take(self, line: bytes) -> None:
        """Read a line of the life or of its nursery."""
        match line.decode().split():
            case ["born", process_id]:
                self.process_id = int(process_id)
            case ["opened", thread, value, version]:
                self.found[int(thread)] = (int(value), int(version))
                self.opened_at = self.opened_at or time.monotonic()
            case ["ack", thread, value]:
                self.acknowledged[int(thread)] = int(value)
                self.acknowledgements += 1
            case ["died", exit_code, *phases]:
                self.exit_code = int(exit_code)
                self.phases = phases
            case _:
                raise AssertionError(f"said {line!r}")


class Nursery:
    """The process that forks the lives; see `nursery.py`."""

    def __init__(self, folder: Path, *flaws: str) -> None:
        self._errors_file = folder / "errors"
        with self._errors_file.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "error",
                    "-m",
                    "tests.integration.nursery",
                    str(folder / "data"),
                    *flaws,
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        _of(self._process.stdin).close()  # it ends then, and ends the life it has
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            _of(self._process.stdout).close()

    def live(self, death: Death) -> Told:
        """Have one life, kill it, and give what it had said until then."""
        told = Told()
        self._ask("live")
        while told.process_id is None:
            self._listen(told)
        while told.acknowledgements < death.after_acknowledgements:
            self._listen(told)
        end = time.monotonic() + death.seconds_later
        while (left := end - time.monotonic()) > 0:
            self._listen(told, left)
        # Nobody has waited for it, so the number is still its own, whatever has become of it.
        os.kill(told.process_id, signal.SIGKILL)
        self._ask("bury")
        while told.exit_code is None:
            self._listen(told)
        assert told.exit_code == -signal.SIGKILL, self._errors()
        return told

    def _ask(self, what: str) -> None:
        stdin = _of(self._process.stdin)
        stdin.write(f"{what}\n".encode())
        stdin.flush()

    def _listen(self, told: Told, seconds: float | None = None) -> None:
        """Wait for something to be said, for that long, or until patience is at an end."""
        stdout = _of(self._process.stdout)
        ready, _, _ = select.select(
            [stdout], [], [], PATIENCE_SECONDS if seconds is None else seconds
        )
        if not ready:
            assert seconds is not None, f"nothing was said any more: {self._errors()}"
            return
        data = os.read(stdout.fileno(), 65536)
        assert data, self._errors()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            assert line != b"failed", self._errors()
            told.take(line)

    def _errors(self) -> str:
        return self._errors_file.read_text(errors="replace")


class Killing:
    """Many deaths in a row; knows what was acknowledged so far and checks each life against it."""

    def __init__(self, nursery: Nursery, dice: random.Random) -> None:
        self._nursery = nursery
        self._dice = dice
        self._acknowledged: dict[int, int] = {}
        self._start_seconds = 0.05  # what a start takes here, about
        self.lives = 0
        self.acknowledgements = 0
        self.phases: Counter[str] = Counter()

    def run(self, kills: int) -> None:
        """Kill so many times, and see that what is left opens and is right.

        Raises:
            AssertionError: it did not boot, or something was lost, or applied twice.
        """
        for _ in range(kills):
            self._once(self._death())
        self._once(Death(1, 0.0))

    def _death(self) -> Death:
        """Give a moment; every other one falls before a start is done, or about then.

        A start is the rarest part of a program's life and the most eventful of a directory's.
        """
        if self._dice.random() < 0.5:
            return Death(0, self._dice.uniform(0.0, 1.2 * self._start_seconds))
        acknowledgements = self._dice.randrange(1, MOST_ACKNOWLEDGEMENTS)
        return Death(acknowledgements, self._dice.uniform(0.0, MOST_SECONDS_LATER))

    def _once(self, death: Death) -> None:
        begun = time.monotonic()
        told = self._nursery.live(death)
        if told.opened_at is not None:
            self._start_seconds += 0.1 * (told.opened_at - begun - self._start_seconds)
        check(told.found, self._acknowledged)
        # A thread that was killed before its first acknowledgement goes on from what it found.
        found = {thread: value for thread, (value, _) in told.found.items()}
        self._acknowledged |= found | told.acknowledged
        self.lives += 1
        self.acknowledgements += told.acknowledgements
        self.phases.update(told.phases or ["NONE"])


def check(found: dict[int, tuple[int, int]], acknowledged: dict[int, int]) -> None:
    """Every acknowledged value is there, at most one later one, and each was applied once."""
    for thread, (value, version) in found.items():
        last = acknowledged.get(thread, 0)
        assert value >= last, f"thread {thread}: {last} was acknowledged, {value} is there"
        assert value <= last + 1, f"thread {thread}: {value} was never sent, {last} was the last"
        assert version == 2 * value, f"thread {thread}: {value} commands made {version} puts"


def _of(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
