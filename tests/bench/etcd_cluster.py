"""Three etcd members on loopback, and what is asked of them.

They run as etcd's manual shows it, without TLS: no key is spent that khepri's CURVE spends. Every
write is synced to disk by a majority, as with khepri. Callers are the streams of one connection
(see `grpc_calls`), so they cost little.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from .callers import blocking_calls_per_second
from .grpc_calls import CallFailedError, GrpcConnection, calls_per_second
from .khepri_cluster import free_port
from .workloads import EXISTING_TREE_NODES, value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
PROBE_INTERVAL_SECONDS = 0.02
_WARM_UP_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
_CALL_SECONDS = 10.0


def is_installed() -> bool:
    """Tell whether etcd and etcdctl are there (Debian: etcd-server, etcd-client)."""
    return bool(shutil.which("etcd") and shutil.which("etcdctl"))


def etcd_version() -> str:
    """Give the version, such as 3.4.23."""
    said = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True)  # noqa: S607 - where the user has it
    return said.stdout.split()[2]


class EtcdCluster:
    """Starts three members and ends them; use it as a context manager. For one thread."""

    def __init__(self, directory: Path, size: int = 3) -> None:
        self._directory = directory
        self._cleanup = ExitStack()
        self.names = [f"etcd{number}" for number in range(size)]
        self._client_ports = {name: free_port() for name in self.names}
        self._peer_ports = {name: free_port() for name in self.names}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for name in self.names:
                self.start(name)
            self.leader()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def start(self, name: str) -> None:
        """Start a member; what is on its disk is found again."""
        client = f"http://127.0.0.1:{self._client_ports[name]}"
        peer = f"http://127.0.0.1:{self._peer_ports[name]}"
        others = (f"{n}=http://127.0.0.1:{self._peer_ports[n]}" for n in self.names)
        options = {
            "name": name,
            "data-dir": str(self._directory / name),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": ",".join(others),
            "logger": "zap",
            "log-level": "error",
        }
        process = subprocess.Popen(
            ["etcd", *(f"--{option}={text}" for option, text in options.items())],  # noqa: S607 - where the user has it
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes[name] = process
        self._cleanup.callback(_end, process)

    def kill(self, name: str) -> None:
        """End a member as a power cut would."""
        self._processes[name].kill()

    def leader(self) -> str:
        """Wait until all members answer and name the same leader; give its name."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            statuses = self._statuses()
            leaders = {status["Status"]["leader"] for status in statuses}
            if len(statuses) == len(self.names) and len(leaders) == 1 and leaders != {0}:
                ids = [status["Status"]["header"]["member_id"] for status in statuses]
                return self.names[ids.index(leaders.pop())]
            threading.Event().wait(0.1)
        raise CallFailedError("etcd has no leader")

    def puts(self, *, callers: int, seconds: float) -> float:
        """Put at the leader; give puts per second."""
        return self._measure(PUT, _put, callers, seconds)

    def gets(self, *, callers: int, seconds: float) -> float:
        """Read linearizably at the leader; give reads per second."""
        return self._measure(RANGE, _get, callers, seconds)

    def puts_of_threads(self, *, threads: int, seconds: float) -> float:
        """Put at the leader from threads that wait for each; give puts per second."""
        return self._measure_threads(PUT, _put, threads, seconds)

    def gets_of_threads(self, *, threads: int, seconds: float) -> float:
        """Read linearizably at the leader from threads; give reads per second."""
        return self._measure_threads(RANGE, _get, threads, seconds)

    def prepare(self) -> None:
        """Put what is read later."""
        connection = GrpcConnection(self._client_ports[self.leader()], PUT, _CALL_SECONDS)
        for number in range(EXISTING_TREE_NODES):
            connection.call(_put(number))
        connection.close()

    def probe(self, name: str) -> float:
        """Send a put every 20 ms to a member; give the moment when the first one returned."""
        connection = GrpcConnection(self._client_ports[name], PUT, _CALL_SECONDS)
        pause = threading.Event()
        done = threading.Event()
        acknowledged: list[float] = []

        def receive() -> None:
            while not acknowledged:
                try:
                    if connection.finished():
                        acknowledged.append(time.monotonic())
                except CallFailedError:
                    continue
            done.set()

        receiver = threading.Thread(target=receive, daemon=True)
        receiver.start()
        number = 0
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not done.is_set():
            if time.monotonic() > give_up:
                raise CallFailedError("etcd does not come back")
            connection.send(connection.request(_put(number))[1])
            number += 1
            pause.wait(PROBE_INTERVAL_SECONDS)
        receiver.join()
        connection.close()
        return acknowledged[0]

    def _measure(
        self, path: str, message: Callable[[int], bytes], callers: int, seconds: float
    ) -> float:
        connection = GrpcConnection(self._client_ports[self.leader()], path, _CALL_SECONDS)
        try:
            calls_per_second(connection, message, callers=callers, seconds=_WARM_UP_SECONDS)
            return calls_per_second(connection, message, callers=callers, seconds=seconds)
        finally:
            connection.close()

    def _measure_threads(
        self, path: str, message: Callable[[int], bytes], threads: int, seconds: float
    ) -> float:
        port = self._client_ports[self.leader()]
        connections = [GrpcConnection(port, path, _CALL_SECONDS) for _ in range(threads)]

        def call(thread: int, number: int) -> None:
            connections[thread].call(message(thread * 61 + number))

        try:
            blocking_calls_per_second(call, threads=threads, seconds=_WARM_UP_SECONDS)
            return blocking_calls_per_second(call, threads=threads, seconds=seconds)
        finally:
            for connection in connections:
                connection.close()

    def _statuses(self) -> list[dict[str, Any]]:
        endpoints = ",".join(f"127.0.0.1:{port}" for port in self._client_ports.values())
        command = ["etcdctl", "--endpoints", endpoints, "endpoint", "status", "-w", "json"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        said = subprocess.run(command, capture_output=True, check=False, env=environment)
        if said.returncode != 0:
            return []
        statuses: list[dict[str, Any]] = json.loads(said.stdout)
        return statuses


def _put(number: int) -> bytes:
    return _field(1, b"/bench/existing/%d" % (number % EXISTING_TREE_NODES)) + _field(
        2, value(number)
    )


def _get(number: int) -> bytes:
    return _field(1, b"/bench/existing/%d" % (number % EXISTING_TREE_NODES))


def _field(number: int, content: bytes) -> bytes:
    """Write one field of a protobuf message."""
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
