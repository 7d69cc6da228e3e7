"""The same puts against PySyncObj, the nearest relative: a Raft library in Python.

One member, journal and dump file on the same disk, a replicated method that sets a key of a dict.
Two settings are measured:

*as it comes*: the library's defaults plus the files.

*tuned*: what it offers for the speed of single calls (``appendEntriesUseBatch`` off, so that a
call wakes the working thread), and the shortest poll its poller knows, one millisecond.

Its durability is not ours: the journal (``pysyncobj/journal.py``, 0.3.17) is a memory-mapped file
that is never flushed while it runs (``flush`` exists and nothing calls it), so an acknowledged
write survives the death of the process and not that of the machine. Every put of khepri has been
synced to the disk when it returns.
"""

from __future__ import annotations

import importlib
import socket
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import puts
from .callers import blocking_calls_per_second, pipelined_calls_per_second
from .child import in_child
from .harness import Plan, Sample, Samples, in_rounds
from .tables import Table, rate, ratio, verdict
from .workloads import BY_NAME, EXISTING_TREE_NODES, SINGLE, Workload, value

SETTINGS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "tuned": {"appendEntriesUseBatch": False, "autoTickPeriod": 0.001},
}
_WARM_UP_SECONDS = 0.2
_DEADLINE_SECONDS = 30.0


def measure(plan: Plan) -> Table:
    """Measure both libraries in turn with every workload."""
    workloads = {workload.name: workload for workload in SINGLE}

    def sample(subject: str) -> Sample:
        workload = workloads[subject]
        ours = puts.measure_in_child(plan, workload, puts.EXISTING)
        theirs = {
            settings: in_child(
                put_for_a_while,
                directory=str(plan.directory),
                workload_name=subject,
                settings=settings,
                seconds=plan.seconds,
            )["rate"]
            for settings in SETTINGS
        }
        return {"khepri": ours["rate"], **theirs}

    collected = in_rounds(plan, workloads, sample)
    return Table(
        title=f"The same puts per second with PySyncObj {version('pysyncobj')}, one member",
        columns=(
            "workload",
            "khepri, synced to disk",
            "PySyncObj as it comes, not synced",
            "khepri / PySyncObj",
            "target",
            "PySyncObj tuned, not synced",
            "khepri / tuned",
        ),
        rows=tuple(_row(workloads[subject], samples) for subject, samples in collected.items()),
        notes=(
            (
                "PySyncObj keeps its journal in a memory-mapped file that it never flushes: its"
                " acknowledged writes survive the process, not the machine; khepri's survive both."
            ),
            "Tuned: `appendEntriesUseBatch=False` and `autoTickPeriod=0.001`.",
        ),
    )


def put_for_a_while(
    *, directory: str, workload_name: str, settings: str, seconds: float
) -> Sample:
    """Be the process that takes one sample of PySyncObj."""
    pysyncobj: Any = importlib.import_module("pysyncobj")  # it has no types

    class Places(pysyncobj.SyncObj):  # type: ignore[misc]
        """A replicated dict."""

        def __init__(self, address: str, conf: object) -> None:
            pysyncobj.SyncObj.__init__(self, address, [], conf)
            self.values: dict[str, bytes] = {}

        @pysyncobj.replicated  # type: ignore[untyped-decorator]
        def put(self, path: str, data: bytes) -> None:
            self.values[path] = data

    workload = BY_NAME[workload_name]
    # Its journal's thread may still write while what it has written is removed.
    with tempfile.TemporaryDirectory(
        dir=directory, prefix="peer-", ignore_cleanup_errors=True
    ) as temporary:
        conf = pysyncobj.SyncObjConf(
            journalFile=str(Path(temporary) / "journal"),
            fullDumpFile=str(Path(temporary) / "dump"),
            **SETTINGS[settings],
        )
        member: Any = Places(f"127.0.0.1:{_free_port()}", conf)
        try:
            # The first call returns when the member has elected itself.
            member.put("/bench", b"", sync=True, timeout=_DEADLINE_SECONDS)
            _run(member, workload, _WARM_UP_SECONDS)
            return {"rate": _run(member, workload, seconds)}
        finally:
            member.destroy_synchronous()


def _run(member: Any, workload: Workload, seconds: float) -> float:
    places = [f"/bench/existing/{number}" for number in range(EXISTING_TREE_NODES)]

    def place(thread: int, number: int) -> str:
        return places[(thread * 61 + number) % EXISTING_TREE_NODES]

    def call(thread: int, number: int) -> None:
        member.put(place(thread, number), value(number), sync=True, timeout=_DEADLINE_SECONDS)

    if workload.threads:
        return blocking_calls_per_second(call, threads=workload.threads, seconds=seconds)

    def send(number: int) -> _Answer:
        answer = _Answer()
        member.put(place(0, number), value(number), callback=answer)
        return answer

    return pipelined_calls_per_second(send, _Answer.wait, seconds=seconds)


class _Answer:
    """PySyncObj calls back; this waits for it."""

    __slots__ = ("_answered", "_error")

    def __init__(self) -> None:
        self._answered = threading.Lock()
        self._answered.acquire()
        self._error = 0

    def __call__(self, _result: object, error: int) -> None:
        self._error = error
        self._answered.release()

    def wait(self) -> None:
        if not self._answered.acquire(timeout=_DEADLINE_SECONDS) or self._error:
            raise RuntimeError(f"PySyncObj refused a put with error {self._error}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _row(workload: Workload, samples: Samples) -> tuple[str, ...]:
    multiple = samples.median_ratio("khepri", "as it comes")
    return (
        workload.name,
        rate(samples.median("khepri")),
        rate(samples.median("as it comes")),
        ratio(multiple),
        verdict(multiple, workload.peer_target, at_least=True) if workload.peer_target else "",
        rate(samples.median("tuned")),
        ratio(samples.median_ratio("khepri", "tuned")),
    )
