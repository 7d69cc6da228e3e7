"""The second half of the story: three nodes over ZeroMQ, of which one after the other is killed.

The nodes are processes of their own; see `member` for what they can do and `member_process` for
how they are asked.
"""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from .crash import DemonstrationFailedError
from .member import BLOB_BYTES
from .member_process import Acknowledgements, MemberProcess

if TYPE_CHECKING:
    from pathlib import Path

    from .document import Document
    from .story import Story

_NAMES = ("alice", "bob", "carol")
_THREADS_PER_NODE = 4
_WRITES = 500
_BLOBS = 96


def tell_of_three_nodes(directory: Path, kind: str, document: Document, story: Story) -> None:
    """Tell it, in a directory of its own.

    Args:
        directory: where the nodes' data go; removed by the caller.
        kind: which document the nodes read.
        document: the same, read here: what must be there in the end.
        story: how to tell.

    Raises:
        DemonstrationFailedError: a promise was not kept. No process is left in any case.
    """
    with _Cluster(directory) as nodes:
        _form(nodes, story)
        _load(nodes, kind, document, story)
        victim = _kill_the_leader(nodes, story)
        _catch_up_by_log(nodes, victim, story)
        _catch_up_by_snapshot(nodes, story)
        _compare(nodes, story)


class _Cluster:
    """The three processes and what they have acknowledged."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cleanup = ExitStack()
        self._next_thread = 0
        self.cookie_file = directory / "cookie"
        self.acknowledgements = Acknowledgements()
        self.running: dict[str, MemberProcess] = {}
        directory.mkdir()
        self.cookie_file.touch(mode=0o600)
        self.cookie_file.write_text(secrets.token_hex(32), "ascii")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def start(self, name: str) -> MemberProcess:
        """Start a node, maybe again; `finish` of it returns when it is there."""
        data_dir = self._directory / name.partition("@")[0]
        member = MemberProcess(name, data_dir, self.cookie_file, self.acknowledgements)
        self._cleanup.callback(member.close)
        self.running[name] = member
        return member

    def kill(self, name: str) -> None:
        """Kill a node."""
        self.running.pop(name).kill()

    def any(self) -> MemberProcess:
        """Give a node that runs."""
        return next(iter(self.running.values()))

    def leader(self) -> str:
        """Give the name of the leader, as soon as there is one."""
        name: str = self.any().ask("leader")
        return name

    def write_everywhere(self) -> None:
        """Have all that run begin to write."""
        for member in self.running.values():
            first, self._next_thread = self._next_thread, self._next_thread + _THREADS_PER_NODE
            member.ask("write", threads=list(range(first, self._next_thread)))
        self.acknowledgements.restart_clock()

    def stop_writing(self) -> None:
        """Have all that run finish."""
        for member in self.running.values():
            member.begin("stop_writing")
        for member in self.running.values():
            member.finish()


def _form(nodes: _Cluster, story: Story) -> None:
    story.chapter("Start three nodes as processes, over ZeroMQ with CURVE")
    started = time.monotonic()
    members = [nodes.start(f"{name}@127.0.0.1:{_free_port()}") for name in _NAMES]
    for member in members:
        member.finish()
    for member in members[1:]:
        member.ask("join", remote=members[0].name)
    for member in members:
        story.detail(f"{member.name}, process {member.pid}")
    story.tell(
        f"One store after {time.monotonic() - started:.1f} s, with a cookie of its own"
        f" (mode 0600); {nodes.leader()} leads."
    )


def _load(nodes: _Cluster, kind: str, document: Document, story: Story) -> None:
    story.chapter("Load the document through one node, read it from the others")
    first, *others = nodes.running.values()
    started = time.monotonic()
    loaded: int = first.ask("load", document=kind)
    seconds = time.monotonic() - started
    story.tell(
        f"{loaded:,} payloads through {first.name} in {seconds:.1f} s ({loaded / seconds:,.0f}/s),"
        " each on the disks of a majority."
    )
    if loaded != document.payload_count:
        raise DemonstrationFailedError(f"loaded {loaded}, not {document.payload_count}")
    expected = first.ask("ask", pattern="/**")
    for other in others:
        other.ask("catch_up")
        seen = other.ask("ask", pattern="/**")
        question = document.questions[0]
        found = other.ask("ask", pattern=question.pattern)
        story.detail(f"{other.name} has {seen:,} tree nodes. {question.text} {found:,} found.")
        if seen != expected:
            raise DemonstrationFailedError(f"{other.name} has {seen} tree nodes, not {expected}")


def _kill_the_leader(nodes: _Cluster, story: Story) -> str:
    story.chapter("Kill the leader with SIGKILL while all three write")
    acknowledgements = nodes.acknowledgements
    victim = nodes.leader()
    nodes.write_everywhere()
    acknowledgements.wait_for_more(_WRITES)
    nodes.kill(victim)
    acknowledgements.restart_clock()
    killed = time.monotonic()
    story.tell(f"{victim} is dead; {acknowledgements.total:,} writes were acknowledged so far.")
    acknowledgements.wait_for_more(_WRITES)
    seconds = time.monotonic() - killed
    next_leader = nodes.leader()
    if next_leader == victim:
        raise DemonstrationFailedError("the dead node is said to lead")
    story.tell(
        f"{next_leader} leads next. Writes were stalled for"
        f" {acknowledgements.longest_pause_seconds:.2f} s;"
        f" {_WRITES:,} more were acknowledged {seconds:.2f} s after the kill."
    )
    return victim


def _catch_up_by_log(nodes: _Cluster, victim: str, story: Story) -> None:
    story.chapter("Start the dead node again, while the others write")
    member, seconds, caught_up = _restart(nodes, victim)
    nodes.stop_writing()
    if caught_up["snapshots"]:
        raise DemonstrationFailedError("a snapshot was sent for a few entries")
    story.tell(
        f"{member.name} was there after {seconds:.2f} s with {caught_up['applied']:,} entries of"
        " the log; what it had missed came from the others' logs."
    )


def _catch_up_by_snapshot(nodes: _Cluster, story: Story) -> None:
    story.chapter("Kill a follower, and leave it far behind")
    leader = nodes.leader()
    victim = next(name for name in nodes.running if name != leader)
    nodes.kill(victim)
    written: int = nodes.running[leader].ask("replace_blobs", count=_BLOBS)
    story.tell(
        f"{victim} is dead. {written * BLOB_BYTES >> 20} MiB were written meanwhile, more than the"
        " others keep in their logs."
    )
    member, seconds, caught_up = _restart(nodes, victim)
    if not caught_up["snapshots"]:
        raise DemonstrationFailedError("no snapshot was sent")
    story.tell(f"{member.name} was there after {seconds:.2f} s; it was sent a snapshot.")


def _restart(nodes: _Cluster, name: str) -> tuple[MemberProcess, float, dict[str, int]]:
    """Start a node and wait until it has all that was committed."""
    started = time.monotonic()
    member = nodes.start(name)
    member.finish()
    caught_up: dict[str, int] = member.ask("catch_up")
    return member, time.monotonic() - started, caught_up


def _compare(nodes: _Cluster, story: Story) -> None:
    story.chapter("Compare the three trees")
    counts = {str(thread): count for thread, count in nodes.acknowledgements.count_of.items()}
    digests: set[str] = set()
    for member in nodes.running.values():
        member.ask("catch_up")
        wrong = member.ask("problems", acknowledged=counts)
        if wrong:
            raise DemonstrationFailedError(f"{member.name}: {wrong[0]}")
        digest = member.ask("digest")
        digests.add(digest)
        story.detail(f"{member.name}: {member.ask('ask', pattern='/**'):,} tree nodes, {digest}")
    if len(digests) != 1:
        raise DemonstrationFailedError("the trees differ")
    story.tell(
        f"They are equal, and all {nodes.acknowledgements.total:,} acknowledged writes are there,"
        " each applied once."
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
