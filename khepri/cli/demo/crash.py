"""Kills a writing process and checks that nothing it acknowledged is lost."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from khepri.machine.paths import Path as TreePath
from khepri.machine.properties import NodeProperties
from khepri.machine.unix_paths import STAR

from .writer import WRITTEN, place

if TYPE_CHECKING:
    from pathlib import Path

    from khepri.store import Store

THREADS = 8
_DEADLINE_SECONDS = 30.0
_READ_BYTES = 1 << 16

_Found = dict[TreePath, NodeProperties]


class DemonstrationFailedError(Exception):
    """Something that khepri promises did not happen; the message says what."""


@dataclass(slots=True)
class Acknowledged:
    """What the writer has said is written, over all its lives.

    Attributes:
        count_of: how many values each thread has put, beginning with number 0.
        last_round: how many came in the writer's last life.
        last_rate: how many came per second until it was killed.
    """

    count_of: dict[int, int] = field(default_factory=dict[int, int])
    last_round: int = 0
    last_rate: float = 0.0

    @property
    def total(self) -> int:
        """How many values were acknowledged altogether."""
        return sum(self.count_of.values())


def write_and_kill(data_dir: Path, enough: int, acknowledged: Acknowledged) -> None:
    """Start the writer, wait for some acknowledgements, and kill it while it goes on writing.

    Args:
        data_dir: where the writer's store is.
        enough: kill it when so many writes are acknowledged.
        acknowledged: is brought up to date, with all that came before the pipe broke.

    Raises:
        DemonstrationFailedError: the writer ended or fell silent by itself.
    """
    command = [sys.executable, "-m", "khepri.cli.demo.writer", str(data_dir), str(THREADS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:  # noqa: S603 - ourselves
        assert writer.stdout is not None
        try:
            lines = _read_until_killed(writer, writer.stdout, enough, acknowledged)
        finally:
            writer.kill()
    if writer.returncode != -signal.SIGKILL:
        raise DemonstrationFailedError(f"the writer ended by itself, with {writer.returncode}")
    acknowledged.last_round = len(lines)
    for line in lines:
        thread, number = map(int, line.split())
        expected = acknowledged.count_of.get(thread, number)
        if number < expected:
            raise DemonstrationFailedError(f"thread {thread} wrote number {number} again")
        acknowledged.count_of[thread] = number + 1


def _read_until_killed(
    writer: subprocess.Popen[bytes], pipe: IO[bytes], enough: int, acknowledged: Acknowledged
) -> list[bytes]:
    """Read acknowledgements, kill the writer when there are enough, read what is in the pipe."""
    received = bytearray()
    started = 0.0
    alive = True
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(_DEADLINE_SECONDS):
                raise DemonstrationFailedError(f"no write in {_DEADLINE_SECONDS:.0f} s")
            piece = os.read(pipe.fileno(), _READ_BYTES)
            if not piece:
                return bytes(received).splitlines()
            started = started or time.monotonic()
            received += piece
            if alive and received.count(b"\n") >= enough:
                elapsed_seconds = time.monotonic() - started
                acknowledged.last_rate = enough / max(elapsed_seconds, 1e-9)
                writer.kill()
                alive = False


def problems(store: Store, acknowledged: Acknowledged) -> list[str]:
    """Compare a store with what was acknowledged; give what is wrong, one sentence each.

    Every acknowledged value is there, with the value it was given, written once; and there is
    nothing beyond, except one put per thread that was under way when the writer died.
    """

    def collect(path: TreePath, properties: NodeProperties, found: _Found) -> _Found:
        found[path] = properties
        return found

    wrong: list[str] = []
    for thread, count in acknowledged.count_of.items():
        found = store.fold(WRITTEN / str(thread) / STAR, collect, _Found())
        for number in range(count):
            properties = found.get(place(thread, number), {})
            if properties.get("data") != number:
                wrong.append(f"{place(thread, number)} was acknowledged and is lost")
            elif properties.get("payload_version") != 1:
                wrong.append(f"{place(thread, number)} was written more than once")
        if len(found) > count + 1:
            wrong.append(f"thread {thread} has values that it cannot have written")
    return wrong
