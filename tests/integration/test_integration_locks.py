"""Holders that are processes of their own: one sleeps longer than it may, one is killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

import khepri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_SECONDS = 60.0
COOKIE = "5a" * 32
TTL = 1.0

HOLDER = """
import sys
import khepri

parent, name, cookie, ttl = sys.argv[1:]
khepri.node.start(name, cookie=bytes.fromhex(cookie))
khepri.start("holder")
khepri.cluster.join(parent, votes=False)
node = khepri.EphemeralNode("/workers/holder", 1, ttl=float(ttl))
lock = khepri.Lock("/locks/a", ttl=float(ttl))
node.start()
lock.acquire()
print("acquired", lock.token, flush=True)
sys.stdin.readline()
print("held" if lock.held else "not held", flush=True)
batch = khepri.batch()
batch.require(lock.guard)
batch.put("/printed", "by a former holder")
try:
    batch.commit()
except khepri.NodeNotFoundError:
    print("refused", flush=True)
try:
    lock.release()
except khepri.LockLostError:
    print("lost", flush=True)
sys.stdin.readline()
"""


def free_name(name: str) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"{name}@127.0.0.1:{probe.getsockname()[1]}"


def eventually(condition: Callable[[], object]) -> None:
    end, pause = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.01)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[str]:
    name = free_name("parent")
    khepri.node.start(name, cookie=bytes.fromhex(COOKIE))
    try:
        khepri.start(tmp_path / "parent")
        yield name
    finally:
        khepri.node.stop()


@pytest.fixture
def holder(parent: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [parent, free_name("holder"), COOKIE, str(TTL)]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), *arguments],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "acquired 1\n"
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdin.close()
        process.stdout.close()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_holder_that_sleeps_longer_than_it_may_knows_it_when_it_wakes(
    holder: subprocess.Popen[str],
) -> None:
    lock = khepri.Lock("/locks/a", data="the next one")
    assert not lock.acquire(timeout=0)
    holder.send_signal(signal.SIGSTOP)
    assert lock.acquire(timeout=PATIENCE_SECONDS)
    assert lock.token == 2
    eventually(lambda: not khepri.exists("/workers/holder"))
    say(holder)
    holder.send_signal(signal.SIGCONT)
    assert [heard(holder) for _ in range(3)] == ["not held", "refused", "lost"]
    assert not khepri.exists("/printed")
    eventually(lambda: khepri.exists("/workers/holder"))  # it lives, and says so again
    assert lock.held
    assert lock.holder(favor="consistency") == "the next one"
    lock.release()


def test_what_a_process_held_that_was_killed_is_free_after_its_time_to_live(
    holder: subprocess.Popen[str],
) -> None:
    assert khepri.exists("/workers/holder")
    holder.kill()
    begin = time.monotonic()
    with khepri.Lock("/locks/a") as lock:
        assert lock.token == 2
    eventually(lambda: not khepri.exists("/workers/holder"))
    assert time.monotonic() - begin < 20 * TTL
