"""What a message costs over ZeroMQ: ``python -m tests.transport.measure_transport``.

Two processes on loopback, CURVE as always. Prints round trips and one-way rates with the CPU time
per message on each side, which is steadier than the rate on a machine that is not idle.
"""

from __future__ import annotations

import multiprocessing
import resource
import secrets
import socket
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from khepri.transport.interface import Message
from khepri.transport.zmq_transport import ZmqTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.transport.interface import Envelope

QUIET, ANSWER = 1, 2
DEADLINE_SECONDS = 60.0
PATIENCE_SECONDS = 0.0005


class Pipe(Protocol):
    """One end of a pipe between processes."""

    def send(self, obj: Any, /) -> None: ...
    def recv(self) -> Any: ...


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(pipe: Pipe, node: str, cookie: bytes) -> None:
    """Answer each batch that asks for it, and tell the CPU time used, until told to end."""

    def receive(batch: Sequence[Envelope]) -> None:
        last = batch[-1]
        if last.kind == ANSWER:
            transport.send(last.from_node, [Message(b"", "", QUIET, b"")])

    transport = ZmqTransport(node, b"server", receive, cookie=cookie)
    transport.start()
    pipe.send(None)
    while pipe.recv() == "cpu":
        pipe.send(cpu_seconds())
    transport.stop()


class Client:
    """The side that measures."""

    def __init__(self, node: str, server: str, cookie: bytes, pipe: Pipe) -> None:
        self._server = server
        self._pipe = pipe
        self._is_answered = threading.Event()
        self._nobody = threading.Event()
        self.transport = ZmqTransport(
            node, b"client", lambda _batch: self._is_answered.set(), cookie=cookie
        )

    def cpu_of_both(self) -> tuple[float, float]:
        self._pipe.send("cpu")
        return cpu_seconds(), self._pipe.recv()

    def send(self, messages: list[Message]) -> None:
        """Send, and wait where the queue is full."""
        while not self.transport.send(self._server, messages):
            self._nobody.wait(PATIENCE_SECONDS)

    def ask(self, body: bytes) -> None:
        self._is_answered.clear()
        self.send([Message(b"", "", ANSWER, body)])
        assert self._is_answered.wait(DEADLINE_SECONDS)

    def measure_round_trips(self, size_bytes: int, times: int) -> str:
        body = bytes(size_bytes)
        took: list[float] = []
        before = self.cpu_of_both()
        for _ in range(times):
            start = time.perf_counter()
            self.ask(body)
            took.append(time.perf_counter() - start)
        cpu = self._cpu_microseconds_since(before, times)
        median = statistics.median(took) * 1e6
        return f"{size_bytes:>9} B there and back: median {median:.0f} us, {cpu}"

    def measure_rate(self, size_bytes: int, per_call: int, total: int) -> str:
        messages = [Message(b"c" * 16, "my_store", QUIET, bytes(size_bytes))] * per_call
        before = self.cpu_of_both()
        start = time.perf_counter()
        for _ in range(total // per_call):
            self.send(messages)
        self.ask(b"")
        rate = total / (time.perf_counter() - start)
        cpu = self._cpu_microseconds_since(before, total)
        megabytes = rate * size_bytes / 1e6
        return (
            f"{size_bytes:>9} B, {per_call:>2} a call: {rate:.0f}/s, {megabytes:.0f} MB/s, {cpu}"
        )

    def _cpu_microseconds_since(self, before: tuple[float, float], messages: int) -> str:
        ours, theirs = self.cpu_of_both()
        sender = (ours - before[0]) / messages * 1e6
        receiver = (theirs - before[1]) / messages * 1e6
        return f"CPU per message {sender:.1f} us here, {receiver:.1f} us there"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print."""
    cookie = secrets.token_bytes(32)
    here, there = (f"{name}@127.0.0.1:{free_port()}" for name in ("client", "server"))
    spawn = multiprocessing.get_context("spawn")
    pipe, server_pipe = spawn.Pipe()
    server = spawn.Process(target=serve, args=(server_pipe, there, cookie))
    server.start()
    pipe.recv()
    client = Client(here, there, cookie, pipe)
    client.transport.start()
    client.ask(b"")
    for size_bytes, times in ((100, 2000), (65_536, 1000), (1_048_576, 100)):
        sys.stdout.write(client.measure_round_trips(size_bytes, times) + "\n")
    for size_bytes, per_call, total in (
        (100, 1, 200_000),
        (100, 16, 320_000),
        (1000, 1, 100_000),
        (1000, 16, 160_000),
        (10_000, 1, 30_000),
        (65_536, 1, 8000),
        (1_048_576, 1, 500),
    ):
        sys.stdout.write(client.measure_rate(size_bytes, per_call, total) + "\n")
    client.transport.stop()
    pipe.send("end")
    server.join()


if __name__ == "__main__":
    main()
