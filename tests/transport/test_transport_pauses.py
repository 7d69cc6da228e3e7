"""A process that stood still for a while: it comes back and goes on, whatever piled up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from khepri.transport.settings import TransportSettings
from tests.transport.transport_helpers import (
    COOKIE,
    DEADLINE_SECONDS,
    Mailbox,
    ZmqNodes,
    eventually,
    new_incarnation,
    state_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Generator

LISTENING = """
import sys, threading
from khepri.transport.zmq_transport import ZmqTransport
def tell(batch):
    print(len(batch), flush=True)
transport = ZmqTransport(sys.argv[1], b"life", tell, cookie=bytes(range(32)))
transport.start()
print("ready", flush=True)
sys.stdin.read()
transport.stop()
print("stopped", flush=True)
"""

PEERS = 4
HEARTBEAT_SECONDS = 1.5
"""Long enough for a heartbeat to be sent, were there any: the length of the pause is the test."""

FRAMES = 60
"""So many that more wait than the process takes at once."""


@contextmanager
def listening_process(node: str) -> Generator[subprocess.Popen[str]]:
    assert bytes(range(32)) == COOKIE
    with subprocess.Popen(
        [sys.executable, "-c", LISTENING, node],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def test_k03_a_process_that_stood_still_survives_what_it_finds_when_it_wakes(
    zmq_nodes: ZmqNodes,
) -> None:
    """libzmq aborts its process if it answers a ping on a connection that ended meanwhile.

    That is: more frames wait than the high-water mark, a ping among them, and the peer has hung
    up. So no socket may ask libzmq for heartbeats; this one's peers hang up while it sleeps.
    """
    node = zmq_nodes.name("sleeper")
    with listening_process(node) as process:
        names = [zmq_nodes.name(f"peer{number}") for number in range(PEERS)]
        as_shipped = TransportSettings()
        peers = [zmq_nodes.make(name, Mailbox(), settings=as_shipped) for name in names]
        for peer in peers:
            peer.start()
            assert peer.send(node, [text(b"hello")])
        assert process.stdout is not None
        heard = 0
        while heard < PEERS:  # it tells of batches
            heard += int(process.stdout.readline())
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(FRAMES):
            for peer in peers:
                assert peer.send(node, [text(b"while it slept")])
                eventually(lambda peer=peer: not state_of(peer, node).queued_bytes)  # type: ignore[misc]
        threading.Event().wait(HEARTBEAT_SECONDS)
        for peer in peers:
            peer.stop()
        os.kill(process.pid, signal.SIGCONT)
        newcomer = zmq_nodes.make(zmq_nodes.name("newcomer"), Mailbox())
        newcomer.start()
        token = new_incarnation()
        assert newcomer.send(node, [text(token)])
        _, errors = process.communicate("", timeout=DEADLINE_SECONDS)
        assert (process.returncode, errors) == (0, "")
