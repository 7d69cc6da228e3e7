"""The demonstration's side of a `member`: starts it, asks it, kills it, counts what it says."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .crash import DemonstrationFailedError

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE_SECONDS = 60.0


@dataclass(slots=True)
class Acknowledgements:
    """What all members have said is written. Any thread.

    Attributes:
        count_of: how many values each writing thread has put, beginning with number 0.
        total: how many altogether.
        last_at: when the last one came (monotonic seconds).
        longest_pause_seconds: the longest time between two of them, since `restart_clock`.
    """

    count_of: dict[int, int] = field(default_factory=dict[int, int])
    total: int = 0
    last_at: float = 0.0
    longest_pause_seconds: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, thread: int, number: int) -> None:
        """Take one."""
        now = time.monotonic()
        with self._changed:
            self.count_of[thread] = number + 1
            self.total += 1
            self.longest_pause_seconds = max(self.longest_pause_seconds, now - self.last_at)
            self.last_at = now
            self._changed.notify_all()

    def restart_clock(self) -> None:
        """Measure pauses from now on."""
        with self._changed:
            self.last_at, self.longest_pause_seconds = time.monotonic(), 0.0

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more have come.

        Raises:
            DemonstrationFailedError: they did not.
        """
        with self._changed:
            enough = self.total + count
            if not self._changed.wait_for(lambda: self.total >= enough, _DEADLINE_SECONDS):
                raise DemonstrationFailedError(f"no {count} writes in {_DEADLINE_SECONDS:.0f} s")


class MemberProcess:
    """One node as a process. For one thread."""

    def __init__(
        self, name: str, data_dir: Path, cookie_file: Path, acknowledgements: Acknowledgements
    ) -> None:
        """Start it; `finish` returns when it is there."""
        self.name = name
        self._acknowledgements = acknowledgements
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        module = f"{__package__}.member"
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", module, name, str(data_dir), str(cookie_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def begin(self, function: str, **arguments: object) -> None:
        """Have a function of `member.Member` called; `finish` gives what it returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([function, arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def finish(self) -> Any:  # noqa: ANN401 - the function decides
        """Wait for the answer to what was begun.

        Raises:
            DemonstrationFailedError: there is none, or it is an error.
        """
        try:
            answer = self._answers.get(timeout=_DEADLINE_SECONDS)
        except queue.Empty:
            answer = {"error": f"no answer in {_DEADLINE_SECONDS:.0f} s"}
        if "error" in answer:
            raise DemonstrationFailedError(f"{self.name}: {answer['error']}")
        return answer["value"]

    def ask(self, function: str, **arguments: object) -> Any:  # noqa: ANN401 - it decides
        """Begin and finish."""
        self.begin(function, **arguments)
        return self.finish()

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end and for what is left in the pipe."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def close(self) -> None:
        """End it, however it is; nothing of it is left."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"{"):
                self._answers.put(json.loads(line))
            elif line.endswith(b"\n"):
                thread, number = map(int, line.split())
                self._acknowledgements.add(thread, number)
        self._answers.put({"error": "the process has ended"})
