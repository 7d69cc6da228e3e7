"""Power cuts, as near as it gets without pulling the plug: an ext4 that forgets what is unsynced.

The writer is stopped, the file system under it is shut down by an ioctl (nothing that is not on
the disk gets there any more, the journal is not flushed), the writer is killed, the file system
is mounted again and read. Stopping first matters: a sync under way during the shutdown may return
success. Needs the right to mount; without it the test is skipped.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from khepri.log.posix_file_system import PosixFileSystem
from tests.log.log_helpers import LogHarness

if TYPE_CHECKING:
    from collections.abc import Generator

ROUNDS = 6
SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING_THE_JOURNAL = 2
ROOT = Path(__file__).resolve().parents[2]


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@contextmanager
def mounted(image: Path, folder: Path) -> Generator[None]:
    run("mount", "-o", "loop", image, folder)
    try:
        yield
    finally:
        run("umount", folder)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An empty ext4 file system in a file."""
    if not all(map(shutil.which, ("mkfs.ext4", "mount", "umount"))):
        pytest.skip("no mkfs.ext4, mount or umount here")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    try:
        run("mkfs.ext4", "-q", image)
        with mounted(image, folder):
            pass
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot mount here: {error.stderr.decode().strip()}")
    return image


def write_until_power_cut(folder: Path, wait_seconds: float) -> tuple[int, int, int]:
    """Give what the writer had acknowledged: last index, term, snapshot index."""
    command = [sys.executable, "-m", "tests.log.power_cut_child", str(folder / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        end = _monotonic() + wait_seconds
        while (left := end - _monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                said += os.read(child.stdout.fileno(), 65536)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_JOURNAL))
        os.close(descriptor)
        child.kill()
        said += child.stdout.read()
    index, term, covered = said.splitlines()[-1].split()
    return int(index), int(term), int(covered)


def _monotonic() -> float:
    return os.times().elapsed


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_at_a_power_cut(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    rng = random.Random(1)
    for _ in range(ROUNDS):
        with mounted(image, folder):
            index, term, covered = write_until_power_cut(folder, rng.uniform(0, 0.3))
        with mounted(image, folder):
            harness = LogHarness(PosixFileSystem(), str(folder / "data"))
            assert not harness.system.damaged
            store = harness.store()
            harness.close()
        snapshot_index = store.snapshot.index if store.snapshot else 0
        last_index = store.entries[-1].index if store.entries else snapshot_index
        assert last_index >= index
        assert store.hard_state.term >= term
        assert snapshot_index >= covered
        for entry in store.entries:
            assert entry.data.startswith(b"%d:%d." % (entry.index, entry.term))
