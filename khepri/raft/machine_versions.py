"""Which version of the machine applies which entry, so that members of two releases agree.

A release may change what commands do, or bring new ones. Then members that ran both releases at
the same time would make two trees of one log. So the log says from which entry on the machine is
of which version: each release knows all versions up to its own, and applies each entry by the one
that is in effect there, now and at every restart.

- The version is raised by an entry of kind `EntryKind.NOOP` that carries it (Ra §4.4). An empty
  one changes nothing; before the first that carries one the version is `FIRST_VERSION`.
- The leader raises it as soon as every member has said, in its answers to heartbeats, that it
  knows a higher one. A member that is down may be started again with an old release, so it is
  waited for.
- A member that finds a version above its own in the log applies nothing from there on, is no
  candidate, and takes no snapshot of such a version. It goes on to write the log, and counts.
- A newcomer that does not know the version in effect is made no voter.

Not here: what the versions of the machine are (`khepri.machine.machine_version`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.encoding import EncodingError, pack, unpack

from .log_history import LogHistory
from .plain import as_natural

if TYPE_CHECKING:
    from .types import Index

FIRST_VERSION: Final = 1
"""Of every store that no release has raised to a higher one."""


class VersionHistory(LogHistory[int]):
    """The machine versions in the log. They only rise."""

    def first_above(self, version: int) -> Index | None:
        """Give the first index since the snapshot whose version is above `version`."""
        for start, raised in self._history:
            if raised > version:
                return start
        return None


def encode_version(version: int) -> bytes:
    """Give the data of an entry of kind `EntryKind.NOOP` that raises the machine version."""
    return pack(version)


def decode_version(data: bytes) -> int | None:
    """Give the version that such an entry raises the machine to; None if it is empty.

    Raises:
        EncodingError: the bytes are something else.
    """
    return as_machine_version(unpack(data)) if data else None


def as_machine_version(value: object) -> int:
    """Give `value` as the number of a version.

    Raises:
        EncodingError: it is something else.
    """
    version = as_natural(value, "machine version")
    if version < FIRST_VERSION:
        raise EncodingError(f"there is no machine version {version}")
    return version
