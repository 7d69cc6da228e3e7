"""The payload of a log entry: a time and groups of commands.

``[time, [[session id, first sequence, acknowledged below, [command, ...]], ...]]``

The leader's clock gives the time, in whole milliseconds; the machine makes it monotonic. Commands
are bytes made once by their callers and copied into the entry as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence


class Group(NamedTuple):
    """Commands of one session with contiguous sequences: the unit of exactly-once.

    Attributes:
        session_id: the session; ``sessions.NO_SESSION`` for commands that open one.
        first_sequence: the sequence of the first command.
        acknowledged_below: the origin needs no reply of any sequence below.
        commands: encoded commands; none to keep the session alive.
    """

    session_id: int
    first_sequence: int
    acknowledged_below: int
    commands: Sequence[bytes]

    @property
    def size_bytes(self) -> int:
        """About how long it is when encoded."""
        return 32 + sum([len(command) + 5 for command in self.commands])


def encode_entry(time_milliseconds: int, groups: Sequence[Group]) -> bytes:
    """Give the payload of an entry that carries these groups, in this order."""
    return pack((time_milliseconds, groups))


def decode_entry(data: bytes) -> tuple[int, list[tuple[int, int, int, list[bytes]]]]:
    """Take an entry apart: its time, and its groups as the lists they come as.

    Checked is what could otherwise make half of an entry apply; a command that is not even bytes
    fails on its own.

    Raises:
        EncodingError: the bytes are not an entry's.
    """
    plain = unpack(data)
    try:
        time_milliseconds, groups = plain
        good = type(time_milliseconds) is int
        for session_id, first, acknowledged, encoded in groups:
            if not (
                type(session_id) is type(first) is type(acknowledged) is int
                and type(encoded) is list
            ):
                good = False
    except (TypeError, ValueError) as error:
        raise EncodingError(f"not a log entry of commands: {error}") from error
    if not good:
        raise EncodingError("not a log entry of commands: a part has the wrong type")
    return time_milliseconds, groups
