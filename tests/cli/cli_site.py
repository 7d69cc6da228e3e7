"""``khepri serve`` and the commands that speak to it, as an operator has them: real processes."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_SECONDS = 60.0


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Served:
    """One ``khepri serve`` and what it logs."""

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.log: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "khepri", "serve", "--name", name, *words],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.log.append(line)
                self._news.notify_all()
        with self._news:
            self.log.append("END")
            self._news.notify_all()

    def wait_for(self, word: str) -> str:
        """Wait until a line with this word was logged, and give the line."""

        def found() -> str | None:
            return next((line for line in self.log if word in line), None)

        with self._news:
            self._news.wait_for(lambda: found() or "END" in self.log, DEADLINE_SECONDS)
            line = found()
        assert line is not None, f"{self.name} never said {word!r}:\n{''.join(self.log)}"
        return line

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and give the exit code."""
        code = self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        return code

    def close(self) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def free_port() -> int:
    """Give a free port that the kernel does not give to connections: it would be taken again."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Site:
    """A directory with a cookie, and nodes that are ended with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cookie_file = self.cookie("cookie")
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def cookie(self, name: str) -> Path:
        """Make a cookie file."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), "ascii")
        return path

    def name(self, name: str) -> str:
        """Give a node name with a free port."""
        return f"{name}@127.0.0.1:{free_port()}"

    def serve(self, name: str, *words: str) -> Served:
        """Start a node; its directory is called like it."""
        data_dir = self.directory / name.partition("@")[0]
        common = ["--data-dir", str(data_dir), "--cookie-file", str(self.cookie_file)]
        served = Served(name, [*common, *words])
        self._cleanup.callback(served.close)
        return served

    def cluster(self, *words: str, cookie_file: Path | None = None) -> Done:
        """Run ``khepri cluster``."""
        return self.khepri("cluster", *words, cookie_file=cookie_file)

    def khepri(self, *words: str, cookie_file: Path | None = None) -> Done:
        """Run a command that speaks to a node."""
        cookie = ["--cookie-file", str(cookie_file or self.cookie_file)]
        done = subprocess.run(
            [sys.executable, "-m", "khepri", *words, *cookie],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def members(self, node: str) -> list[dict[str, Any]]:
        """Give what ``khepri cluster members`` says."""
        done = self.cluster("members", "--node", node, "--output", "json")
        assert done.returncode == 0, done.stderr
        members: list[dict[str, Any]] = json.loads(done.stdout)
        return members

    def status(self, node: str) -> dict[str, Any]:
        """Give what ``khepri cluster status`` says."""
        done = self.cluster("status", "--node", node, "--output", "json")
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def three(self) -> list[Served]:
        """Start three nodes at once; the others find the first when it is there."""
        first = self.name("alice")
        alice = self.serve(first)
        others = [self.serve(self.name(name), "--join", first) for name in ("bob", "carol")]
        for served in (alice, *others):
            served.wait_for("ready: ")
        return [alice, *others]
