"""One member of a PySyncObj cluster with a journal, as a worker process; see `peer`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .callers import blocking_calls_per_second
from .workloads import EXISTING_TREE_NODES, value

_WARM_UP_SECONDS = 0.2
_DEADLINE_SECONDS = 30.0


class PySyncObjMember:
    """What the benchmark has a member do. Callers are threads of this process."""

    def __init__(
        self, *, address: str, others: list[str], directory: str, settings: dict[str, Any]
    ) -> None:
        pysyncobj: Any = importlib.import_module("pysyncobj")  # it has no types

        class Places(pysyncobj.SyncObj):  # type: ignore[misc]
            """A replicated dict."""

            def __init__(self, conf: object) -> None:
                pysyncobj.SyncObj.__init__(self, address, others, conf)
                self.values: dict[str, bytes] = {}

            @pysyncobj.replicated  # type: ignore[untyped-decorator]
            def put(self, path: str, data: bytes) -> None:
                self.values[path] = data

        Path(directory).mkdir(parents=True)
        self._address = address
        self._member: Any = Places(
            pysyncobj.SyncObjConf(
                journalFile=str(Path(directory) / "journal"),
                fullDumpFile=str(Path(directory) / "dump"),
                **settings,
            )
        )
        self._places = [f"/bench/existing/{number}" for number in range(EXISTING_TREE_NODES)]

    def leads(self) -> bool:
        """Return when there is a leader; tell whether it is this member."""
        self._member.put("/bench", b"", sync=True, timeout=_DEADLINE_SECONDS)
        return str(self._member.getStatus()["leader"]) == self._address

    def puts(self, *, threads: int, seconds: float) -> float:
        """Put from threads that wait for each; give puts per second."""

        def call(thread: int, number: int) -> None:
            place = self._places[(thread * 61 + number) % EXISTING_TREE_NODES]
            self._member.put(place, value(number), sync=True, timeout=_DEADLINE_SECONDS)

        blocking_calls_per_second(call, threads=threads, seconds=_WARM_UP_SECONDS)
        return blocking_calls_per_second(call, threads=threads, seconds=seconds)
