"""The simulated disk of one node: files in memory that fail when they are told to.

It adds to `MemoryFileSystem` (whose fault model holds) what a whole run needs: errors for the
next few operations, a death in the middle of some later operation, and a way to have both survive
the death of the process that uses the files.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation

CHANGING = frozenset({"pwrite", "fdatasync", "create", "rename", "fsync_directory"})
"""Operations of which an error is believable for a broken disk."""


class SimulatedDisk(MemoryFileSystem):
    """A file system with planned misfortune.

    Attributes:
        failures: how many operations were refused so far.
        is_rotten: whether bits were flipped since the disk was made.
    """

    def __init__(self) -> None:
        """Begin empty and in good health."""
        super().__init__()
        self.failures = 0
        self.is_rotten = False
        self._failing: frozenset[str] = frozenset()
        self._failures_left = 0
        self._operations_to_death = 0

    def fail_next(self, count: int, names: frozenset[str]) -> None:
        """Refuse the next so many operations of these names with EIO."""
        self._failing, self._failures_left = names, count
        self._arm()

    def leave_room(self, size_bytes: int) -> None:
        """Let the files grow by no more than that many bytes from now on."""
        used = sum(len(data) for data in self.contents().values())
        self.capacity_bytes: int | None = used + size_bytes

    def give_room(self) -> None:
        """Let the files grow again."""
        self.capacity_bytes = None

    def die_at(self, operations: int) -> None:
        """Have the process die in the middle of that many operations from now."""
        self._operations_to_death = operations
        self._arm()

    def recover_health(self) -> None:
        """Forget all planned misfortune and give back the space."""
        self._failures_left = self._operations_to_death = 0
        self.give_room()
        self._arm()

    def process_death(self) -> None:
        """End the process that used the files; a planned death is over, a broken disk is not."""
        super().process_death()
        self._operations_to_death = 0
        self._arm()

    def _arm(self) -> None:
        self.hook = self._misfortune if self._failures_left or self._operations_to_death else None

    def _misfortune(self, operation: Operation) -> None:
        if self._operations_to_death and operation.name != "pread":
            self._operations_to_death -= 1
            if not self._operations_to_death:
                raise SimulatedCrash(operation)
        if self._failures_left and operation.name in self._failing:
            self._failures_left -= 1
            self.failures += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
