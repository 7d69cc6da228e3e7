"""The form of a snapshot: what its writer and its reader agree on.

The chunks of equal states are equal, byte for byte, on every member: nodes come in an order that
depends on nothing but their names.

A chunk is the CRC-32 of all bytes so far, then a msgpack list of records, each a list that begins
with its kind. The first chunk holds the header, the last one the end mark, so a stream that was
cut, shortened in the middle or damaged anywhere is refused.

Nodes are written by *families* (all children of one node) after the families below them, with one
column per attribute: a family is then read by a handful of C loops instead of by a Python loop
over nodes, which is what makes a restart fast. A node finds its own children on a stack: each
record names the positions of its members that have children, whose families are the last ones.

Not here: files and transfer (``khepri.log``), when a snapshot is taken (the server).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .state import TreeState

FORMAT_VERSION: Final = 3
"""What is written. 2: what a node lives under has an expiry and a mark of its own. 3: there may be
triggers; where there have never been any, 2 is written, for older releases to read."""

WITHOUT_TRIGGERS: Final = 2

KNOWN_VERSIONS: Final = frozenset({1, WITHOUT_TRIGGERS, FORMAT_VERSION})
"""What can be read."""

CRC_BYTES: Final = 4

HEADER: Final = 0
"""[HEADER, format version, index, term, time in milliseconds]"""
FAMILY: Final = 1
"""[FAMILY, parts, names, payloads, payload versions, child list versions, positions with
children, positions of implicit parents]; versions are None where all are 1."""
FAMILY_LENGTH: Final = 8
ROOT: Final = 2
"""[ROOT, payload, payload version, child list version]"""
KEEP_WHILE: Final = 3
"""[KEEP_WHILE, path, [[pattern, condition], ...], moment of expiry or None, time to live or None,
is implicit]; in format 1 nothing behind the conditions. Not for nodes that are only implicit."""
SESSION: Final = 4
"""[SESSION, a row of ``SessionTable.to_plain``]"""
END: Final = 5
"""[END]"""
TRIGGER: Final = 6
"""[TRIGGER, id, pattern, kinds of changes, priority, path of the procedure], by id"""
ACTION: Final = 7
"""[ACTION, number, id of the trigger, procedure, path, kind of change], by number"""
NEXT_ACTION: Final = 8
"""[NEXT_ACTION, number]"""

FIRST_PART: Final = 1
"""In the parts of a family record: it begins a family."""
LAST_PART: Final = 2
"""In the parts of a family record: it ends a family."""


class Snapshot(NamedTuple):
    """All of a machine's state, as it is captured and as it is restored.

    Attributes:
        state: the tree with its index.
        applied_index: the log index applied last.
        applied_term: its term.
        time_milliseconds: the log's time.
        sessions: the session table (``SessionTable.to_plain``).
    """

    state: TreeState
    applied_index: int
    applied_term: int
    time_milliseconds: int
    sessions: list[list[Any]]
