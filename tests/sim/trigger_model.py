"""A plain model of triggers: which calls the log owes, from when to when.

As `model.py` it shares nothing with the machine. It is told what has happened to which tree nodes,
works out what that asks for, and keeps of each call from which index on it is owed, and from which
on no more. A call is crossed out only if it was made: who makes calls says so in `made`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.machine.values import ProcedureName, encode_value
from khepri.testing.simulation_workload import PROCEDURE_NAMES
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from khepri.testing.simulation_workload import Watch

Names = tuple[str, ...]
NAMES = {encode_value(ProcedureName(name)): name for name in PROCEDURE_NAMES}
"""What the payloads say that stand for procedures."""


class Happened(NamedTuple):
    """What an operation did to a tree node.

    Attributes:
        kind: create, update or delete.
        version: of its payload, afterwards; before, if it was deleted.
        reason: why it was deleted; None if it was not.
    """

    kind: str
    version: int
    reason: str | None = None


class Call(NamedTuple):
    """A call that a trigger asks for; in the order of the machine's own."""

    trigger_id: str
    procedure: str
    path: Names
    kind: str


class TriggerModel:
    """What the log means for triggers.

    Attributes:
        index: of the entry that is replayed.
        watches: the triggers.
        calls: all that were ever asked for; the first has the number 1.
        owed: the numbers of those that are owed now.
        happened: by index, what each operation has done to which tree nodes, in order.
        made: the numbers of those that were made at least once.
    """

    def __init__(
        self, newest: Callable[[Names], tuple[bytes | None, int]], marks: Counter[str]
    ) -> None:
        """Begin without triggers.

        Args:
            newest: gives payload and version of a tree node.
            marks: where rare things are counted (`marks.py`).
        """
        self._marks = marks
        self._newest = newest
        self.index = 0
        self.watches: dict[str, Watch] = {}
        self.calls: list[Call] = []
        self.owed: dict[int, None] = {}
        self.made: set[int] = set()
        self.happened: dict[int, list[tuple[Names, Happened]]] = {}
        self._owed_from: list[int] = []
        self._owed_until: dict[int, int] = {}

    def take(self, kind: str, watch: Watch) -> None:
        """Register a trigger, or remove it with what is owed on its account."""
        if kind == "watch":
            self.watches[watch.trigger_id] = watch
            return
        if self.watches.pop(watch.trigger_id, None) is not None:
            for number in list(self.owed):
                if self.calls[number - 1].trigger_id == watch.trigger_id:
                    self._marks["calls dropped with their trigger"] += 1
                    self._drop(number)

    def cross_out(self, numbers: Iterable[int]) -> None:
        """Calls are said to be made."""
        for number in numbers:
            if number not in self.made:
                raise ViolationError(f"I17: call {number} is said to be made and was not")
            if number in self.owed:
                self._drop(number)
            else:
                self._marks["call said to be made again"] += 1

    def _drop(self, number: int) -> None:
        del self.owed[number]
        self._owed_until[number] = self.index

    def fire(self, happened: dict[Names, Happened]) -> None:
        """Owe what the changes of one operation ask for."""
        self.happened.setdefault(self.index, []).extend(sorted(happened.items()))
        found: list[tuple[int, str, Names, Call]] = []
        for path, (kind, version, _) in happened.items() if self.watches else ():
            for trigger_id, watch in self.watches.items():
                if kind in watch.kinds and _is_for(watch, path, version):
                    procedure = self._name_at(tuple(watch.procedure))
                    if procedure is not None:
                        call = Call(trigger_id, procedure, path, kind)
                        found.append((-watch.priority, trigger_id, path, call))
        for _, _, _, call in sorted(found):
            self.calls.append(call)
            self._owed_from.append(self.index)
            self.owed[len(self.calls)] = None

    def _name_at(self, path: Names) -> str | None:
        payload, _ = self._newest(path)
        return NAMES.get(payload) if payload is not None else None

    def is_owed_at(self, number: int, index: int) -> bool:
        """Tell whether a call is owed where the log is applied up to an index."""
        return (
            0 < number <= len(self.calls)
            and self._owed_from[number - 1] <= index
            and self._owed_until.get(number, index + 1) > index
        )

    def owed_at(self, index: int) -> dict[int, Call]:
        """Give what is owed where the log is applied up to an index."""
        return {
            number: call
            for number, call in enumerate(self.calls, 1)
            if self.is_owed_at(number, index)
        }


def _is_for(watch: Watch, path: Names, version: int) -> bool:
    match watch.shape:
        case "key":
            return path == ("k", watch.key)
        case "keys":
            return len(path) == 2 and path[0] == "k"
        case "folders":
            return len(path) == 1
        case "all":
            return bool(path)
        case "root":
            return not path
        case _:
            return len(path) == 2 and version == 1
