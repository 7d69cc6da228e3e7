"""Three khepri members as processes over loopback, with a cookie of their own."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from .khepri_member import KhepriMember
from .worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = ("alice", "bob", "carol", "dave")


class KhepriCluster:
    """Starts them, joins them and ends them; use it as a context manager. For one thread."""

    def __init__(self, directory: Path, size: int = 3) -> None:
        self._directory = directory
        self._cookie = secrets.token_hex(32)
        self._cleanup = ExitStack()
        self.names = [f"{name}@127.0.0.1:{free_port()}" for name in _NAMES[:size]]
        self.members: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        try:
            for name in self.names:
                self.start(name)
            self.each("leader")
            for name in self.names[1:]:
                self.members[name].call("join", remote=self.names[0])
            self.members[self.names[0]].call("prepare")
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def start(self, name: str) -> Worker:
        """Start the process of a member; what is on its disk is found again."""
        directory = str(self._directory / name.partition("@")[0])
        worker = Worker(KhepriMember, name=name, directory=directory, cookie=self._cookie)
        self._cleanup.callback(worker.close)
        self.members[name] = worker
        return worker

    def stranger(self) -> str:
        """Start a process that is no member yet; give its name."""
        name = f"{_NAMES[-1]}@127.0.0.1:{free_port()}"
        self.start(name)
        return name

    def kill(self, name: str) -> None:
        """End the process of a member as a power cut would."""
        self.members.pop(name).close()

    def leader(self) -> str:
        """Give the name of the leader."""
        name: str = next(iter(self.members.values())).call("leader")
        return name

    def followers(self) -> list[str]:
        """Give the names of the others."""
        leader = self.leader()
        return [name for name in self.members if name != leader]

    def on_leader(self, method: str, **arguments: float) -> float:
        """Have all callers at the leader; give calls per second."""
        rate: float = self.members[self.leader()].call(method, **arguments)
        return rate

    def spread(self, method: str, *, threads: int, seconds: float) -> float:
        """Have the callers at all members alike; give calls per second of all together."""
        workers = list(self.members.values())
        shares = [len(range(first, threads, len(workers))) for first in range(len(workers))]
        busy = [(worker, share) for worker, share in zip(workers, shares, strict=True) if share]
        for worker, share in busy:
            worker.begin(method, threads=share, seconds=seconds)
        return sum(float(worker.finish()) for worker, _ in busy)

    def each(self, method: str) -> dict[str, Any]:
        """Call a method of each member."""
        return {name: worker.call(method) for name, worker in self.members.items()}


def free_port() -> int:
    """Give a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
