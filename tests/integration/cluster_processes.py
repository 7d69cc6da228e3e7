"""A cluster of real processes, seen from the test: start, kill, pause, ask; what it promises."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.sim.linearizability import Event, Verdict, search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
COOKIE = "5a" * 32


class RefusedError(Exception):
    """A node answered a command with an error."""


class Account(NamedTuple):
    """What became of one tree node that has one writer."""

    acknowledged: int
    sent: int


class Story:
    """All that the clients of all processes have said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accounts: dict[str, Account] = defaultdict(lambda: Account(0, 0))
        self.began: dict[str, list[Any]] = {}
        self.ended: dict[str, list[Any]] = {}
        self.acknowledged_at: list[float] = []

    def take(self, kind: str, words: list[Any]) -> None:
        with self._lock:
            match kind:
                case "sent":
                    path, value = words
                    self.accounts[path] = self.accounts[path]._replace(sent=value)
                case "acknowledged":
                    path, value = words
                    self.accounts[path] = self.accounts[path]._replace(acknowledged=value)
                    self.acknowledged_at.append(time.monotonic())
                case "began":
                    self.began[words[0]] = words[1:]
                case _:
                    self.ended[words[0]] = words[1:]

    def histories(self) -> dict[str, list[Event]]:
        """Give what happened to each key that all share."""
        found: dict[str, list[Event]] = defaultdict(list)
        for operation, (kind, key, value, expected, began) in self.began.items():
            status, result, ended = self.ended.get(operation, ("unknown", None, math.inf))
            if status == "unknown":
                if kind == "read":
                    continue
                ended = math.inf
            found[key].append(
                Event(
                    began,
                    ended,
                    kind,
                    result if kind == "read" else value,
                    expected,
                    None if status == "unknown" else status == "ok",
                )
            )
        return found


def check_histories(histories: dict[str, list[Event]]) -> int:
    """Every key behaved like one register. Give how many operations that were."""
    for key, events in histories.items():
        verdict = search(events, most_states=200_000)
        assert verdict is Verdict.LINEARIZABLE, (verdict, key, sorted(events))
    return sum(len(events) for events in histories.values())


def check_accounts(accounts: dict[str, Account], tree: dict[str, Sequence[Any]]) -> int:
    """Every acknowledged put is there, once. Give how many were acknowledged."""
    for path, account in accounts.items():
        data, version, _ = tree.get(path, (0, 0, 0))
        assert data >= account.acknowledged, f"{path}: {account}, but {data} is there"
        assert data <= account.sent, f"{path}: {account}, but {data} is there"
        assert version == data, f"{path}: {data} puts were applied {version} times"
    return sum(account.acknowledged for account in accounts.values())


class Process:
    """One node in a process of its own."""

    def __init__(
        self,
        name: str,
        data_dir: Path,
        story: Story,
        prefix: Sequence[str] = (),
        routes: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.is_paused = False
        self._story = story
        self._log_path = data_dir.with_suffix(".log")
        self._numbers = itertools.count(1)
        self._replies: queue.Queue[list[Any]] = queue.Queue()
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    "-m",
                    "tests.integration.cluster_child",
                    name,
                    str(data_dir),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **os.environ,
                    "KHEPRI_COOKIE": COOKIE,
                    "KHEPRI_TEST_ROUTES": json.dumps(dict(routes or {})),
                },
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def await_ready(self) -> None:
        """Wait until its node has started, which takes as long as the interpreter does."""
        assert self._next_reply()[0] == "ready", self.log()

    def ask(self, command: str, *arguments: object) -> Any:
        """Have the node do something, and give what it answers.

        Raises:
            RefusedError: it answers with an error.
        """
        number = next(self._numbers)
        self.tell(number, command, *arguments)
        while True:
            kind, *words = self._next_reply()
            assert kind == "reply", f"{self.name} has ended: {self.log()}"
            if words[0] == number:
                if not words[1]:
                    raise RefusedError(words[2])
                return words[2]

    def tell(self, number: int, command: str, *arguments: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, command, *arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        self._close()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def resident_bytes(self) -> int:
        """Give how much memory it has now."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")[-4000:]

    def _close(self) -> None:
        self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _next_reply(self) -> list[Any]:
        try:
            return self._replies.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise AssertionError(f"{self.name} does not answer: {self.log()}") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # the kill came in the middle of it
            kind, *words = json.loads(line)
            if kind in {"ready", "reply"}:
                self._replies.put([kind, *words])
            else:
                self._story.take(kind, words)
        self._replies.put(["end"])


class Processes:
    """A cluster of real processes; use it as a context manager."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        prefixes: Sequence[Sequence[str]] | None = None,
        routes: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        """Describe the cluster.

        Args:
            folder: where the data directories are.
            names: of the nodes.
            prefixes: what to put before each node's command.
            routes: where each node has to dial instead of the addresses in the others' names.
        """
        self.story = Story()
        self.names = list(names)
        self.running: dict[int, Process] = {}
        self._folder = folder
        self._prefixes = prefixes or [()] * len(names)
        self._routes: Sequence[Mapping[str, str]] = routes or [{}] * len(names)

    def __enter__(self) -> Self:
        try:
            for number in range(len(self.names)):
                self._begin(number)
            for number, process in self.running.items():
                process.await_ready()
                process.ask("start")
                if number:
                    process.ask("join", self.names[0])
            for process in self.running.values():
                process.ask("load")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in self.running.values():
            if process.is_paused:
                process.resume()
            process.kill()
        self.running = {}

    def _begin(self, number: int) -> None:
        self.running[number] = Process(
            self.names[number],
            self._folder / f"node{number}",
            self.story,
            self._prefixes[number],
            self._routes[number],
        )

    def kill(self, number: int) -> None:
        self.running.pop(number).kill()

    def restart(self, *numbers: int) -> None:
        """Start nodes that were killed; those under load again that are still in the cluster."""
        for number in numbers:
            self._begin(number)
        for number in numbers:
            process = self.running[number]
            process.await_ready()
            known: list[str] = process.ask("start")
            if len(known) > 1:
                process.ask("load")

    def leave_and_return(self, number: int, remote: int) -> None:
        """Leave the cluster, and join it again, empty."""
        process = self.running[number]
        process.ask("unload")
        process.ask("reset")
        process.ask("start")
        process.ask("join", self.names[remote])
        process.ask("load")

    def leader(self) -> int | None:
        """Give who leads, as the first that answers has it."""
        for process in self.running.values():
            try:
                name = process.ask("leader")
            except RefusedError:
                continue
            if name is not None:
                return self.names.index(name)
        return None

    def await_progress(self, count: int) -> None:
        """Wait until that many more puts were acknowledged."""
        wanted = len(self.story.acknowledged_at) + count
        await_condition(lambda: len(self.story.acknowledged_at) >= wanted, f"{count} more puts")

    def make_whole(self) -> None:
        """Have all nodes run and be members."""
        for number in range(len(self.names)):
            if number not in self.running:
                self.restart(number)
        for number, process in self.running.items():
            end = time.monotonic() + PATIENCE_SECONDS
            while not self._is_member(number):
                assert time.monotonic() < end, f"{process.name} does not get in: {process.log()}"
                try:
                    process.ask("unload")
                    process.ask("start")
                    process.ask("join", self.names[(number + 1) % len(self.names)])
                except RefusedError as error:
                    print(f"{process.name} tries again: {error}")

    def _is_member(self, number: int) -> bool:
        """Ask the others: a member that has left is the only one it knows."""
        process = self.running[number]
        others = [other for other in self.running.values() if other is not process]
        for other in others:
            try:
                nodes = other.ask("nodes")
            except RefusedError:
                continue
            if len(nodes) > 1 or len(self.names) == 1:
                try:
                    return process.name in nodes and len(process.ask("known")) > 1
                except RefusedError:
                    return False
        return False

    def check(self) -> None:
        """Stop the load, and see that all promises were kept and all trees are equal."""
        for process in self.running.values():
            process.ask("unload")
        for process in self.running.values():
            process.ask("fence")
        # A write that its caller gave up may have been done by the fence of its own node, after
        # those of the others: they may still be a moment behind.
        await_condition(
            lambda: len({process.ask("applied") for process in self.running.values()}) == 1,
            "one place in the log",
        )
        trees = [process.ask("tree") for process in self.running.values()]
        assert all(tree == trees[0] for tree in trees), _differences(trees)
        puts = check_accounts(dict(self.story.accounts), trees[0])
        operations = check_histories(self.story.histories())
        print(f"{puts} acknowledged puts, {operations} operations on {len(trees)} nodes")


def _differences(trees: list[dict[str, Any]]) -> str:
    paths = sorted({path for tree in trees for path in tree})
    told = {path: [tree.get(path) for tree in trees] for path in paths}
    return str({path: found for path, found in told.items() if found != found[:1] * len(found)})


def await_condition(condition: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {PATIENCE_SECONDS} s"
        pause.wait(0.01)


def free_names(count: int) -> list[str]:
    """Give names of nodes with free ports on loopback.

    Not of those that the kernel gives to connections: one would be taken before it is used.
    """
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return [f"n{number}@127.0.0.1:{port}" for number, port in enumerate(sorted(ports))]


def port_of(name: str) -> int:
    return int(name.rpartition(":")[2])


def events_of(*rows: Iterable[Any]) -> list[Event]:
    return [Event(*row) for row in rows]
