"""The version of the machine: what commands there are, and what they do.

All members of a store must make the same tree of the same log, whatever release each of them runs.
So a release that brings a command, or changes what one does, has a higher version than the one
before, and goes on knowing all versions below. From which entry on a store is of a version is in
its log (``khepri.raft.machine_versions``): the leader raises it when all members know it.

What to do in such a release: raise `MACHINE_VERSION`; enter new commands in `SINCE`; where an old
one is to do something else, ask ``Machine.version`` which of the two it is to do.
"""

from __future__ import annotations

from typing import Final

FIRST_VERSION: Final = 1
"""Of a store whose log says nothing else."""

MACHINE_VERSION: Final = 1
"""The highest version that this release knows."""

SINCE: Final[dict[int, int]] = {}
"""The version that has brought a command, by the command's code; for those behind the first."""
