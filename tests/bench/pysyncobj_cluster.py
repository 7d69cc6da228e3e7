"""Three PySyncObj members with journals as processes; see `peer` for the settings."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from .khepri_cluster import free_port
from .pysyncobj_member import PySyncObjMember
from .worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 3


class PySyncObjCluster:
    """Starts them and ends them; use it as a context manager. For one thread."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self._directory = directory
        self._settings = settings
        self._cleanup = ExitStack()
        self._leader: Worker

    def __enter__(self) -> Self:
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(_SIZE)]
        try:
            workers = [self._start(number, addresses) for number in range(_SIZE)]
            for worker in workers:
                worker.begin("leads")
            leading = [worker for worker in workers if worker.finish()]
            self._leader = leading[0]
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def puts(self, *, threads: int, seconds: float) -> float:
        """Put at the leader; give puts per second."""
        rate: float = self._leader.call("puts", threads=threads, seconds=seconds)
        return rate

    def _start(self, number: int, addresses: list[str]) -> Worker:
        worker = Worker(
            PySyncObjMember,
            address=addresses[number],
            others=[*addresses[:number], *addresses[number + 1 :]],
            directory=str(self._directory / str(number)),
            settings=self._settings,
        )
        self._cleanup.callback(worker.close)
        return worker
