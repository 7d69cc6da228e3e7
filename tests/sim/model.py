"""A plain model of the machine: sessions and a map of keys, replayed from the committed log.

It shares no code with the machine but the encoding of entries: sessions are dicts, keys have
histories, and every command is known by its bytes, since clients make each one unique.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from khepri.encoding import unpack
from khepri.machine.commands import ACTIONS_DONE
from khepri.machine.entries import decode_entry
from tests.sim.trigger_model import Happened, TriggerModel
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from khepri.raft.types import Entry
    from khepri.testing.simulation_operation import Operation

EXPIRY_MILLISECONDS = 15 * 60 * 1000
Names = tuple[str, ...]


@dataclass(slots=True)
class _Session:
    active_milliseconds: int
    last_sequence: int = 0
    outcomes: dict[int, bool] = field(default_factory=dict[int, bool])


@dataclass(slots=True)
class _History:
    indexes: list[int] = field(default_factory=list[int])
    values: list[tuple[bytes | None, int]] = field(default_factory=list[tuple[bytes | None, int]])


class Model:
    """What the committed log means.

    Attributes:
        commands: by their bytes, every command a client ever sent.
        applied_at: by its bytes, the index at which a command was applied.
        succeeded: by its bytes, whether it did what it was to do.
        index: of the last entry replayed.
        triggers: what the log says of triggers and calls.
    """

    def __init__(self, marks: Counter[str] | None = None) -> None:
        self._marks: Counter[str] = Counter() if marks is None else marks
        self.commands: dict[bytes, Operation] = {}
        self.applied_at: dict[bytes, int] = {}
        self.succeeded: dict[bytes, bool] = {}
        self.index = 0
        self._time = 0
        self._sessions: dict[int, _Session] = {}
        self._keys: dict[Names, _History] = {}
        self._due: dict[Names, int] = {}
        self._children: Counter[Names] = Counter()
        self.triggers = TriggerModel(self.newest, self._marks)

    def replay(self, entry: Entry) -> list[tuple[int, int, str, list[bool] | None]]:
        """Apply an entry; give per group (session id, first sequence, status, outcomes)."""
        self.index = entry.index
        time, groups = decode_entry(entry.data)
        self._time = now = max(self._time, time)
        self.triggers.index = entry.index
        self._expire(now, is_own=not groups)
        for session_id in [
            session_id
            for session_id, session in self._sessions.items()
            if now - session.active_milliseconds > EXPIRY_MILLISECONDS
        ]:
            del self._sessions[session_id]
        results: list[tuple[int, int, str, list[bool] | None]] = []
        opened = 0
        for session_id, first, _, commands in groups:
            if session_id == 0:
                for _ in commands:
                    self._sessions[entry.index * 65536 + opened] = _Session(now)
                    opened += 1
                results.append((0, 0, "applied", None))
                continue
            results.append(self._group(session_id, first, commands, now))
        return results

    def _group(
        self, session_id: int, first: int, commands: list[bytes], now: int
    ) -> tuple[int, int, str, list[bool] | None]:
        session = self._sessions.get(session_id)
        if session is None:
            return (session_id, first, "expired", None)
        session.active_milliseconds = now
        if first > session.last_sequence + 1:
            return (session_id, first, "gap", None)
        outcomes: list[bool] = []
        for sequence, command in enumerate(commands, first):
            if sequence > session.last_sequence:
                session.last_sequence = sequence
                session.outcomes[sequence] = self._execute(command)
            outcomes.append(session.outcomes[sequence])
        return (session_id, first, "applied", outcomes)

    def _execute(self, command: bytes) -> bool:
        operation = self.commands.get(command)
        if operation is None:
            made = _calls_said_to_be_made(command)
            if made is None:
                raise ViolationError(f"I10: {command!r:.80} is applied and nobody sent it")
            self.triggers.cross_out(made)
            return True
        if command in self.applied_at:
            raise ViolationError(
                f"I10: operation {operation.number} is applied at {self.applied_at[command]}"
                f" and at {self.index}"
            )
        if operation.status == "refused":
            raise ViolationError(f"I10: operation {operation.number} was refused and is applied")
        self.applied_at[command] = self.index
        outcome = self._change(operation)
        self.succeeded[command] = outcome
        return outcome

    def _change(self, operation: Operation) -> bool:
        key: Names = ("k", operation.key)
        payload, _ = self.newest(key)
        match operation.kind:
            case "create" if payload is not None:
                return False
            case "update" if payload is None:
                return False
            case "cas" if payload is None or payload != operation.expected:
                return False
            case "delete":
                self._put(key, None)
                self._put(tuple(operation.path), operation.payload)
            case _ if operation.parts:
                return self._do_parts(operation)
            case _:
                self._put(key, operation.payload)
        return True

    def _do_parts(self, operation: Operation) -> bool:
        for name, seen in operation.reads.items():
            if self.newest(("k", name))[0] != seen:
                return False
        for part in operation.parts:
            if part.watch is not None:
                self.triggers.take(part.kind, part.watch)
                continue
            key = tuple(part.path)
            if part.ttl_milliseconds:
                self._due[key] = self._time + part.ttl_milliseconds
            elif part.ttl_milliseconds is not None:
                self._due.pop(key, None)
            self._put(key, part.payload)
        return True

    def _put(self, key: Names, payload: bytes | None) -> None:
        self.triggers.fire(self._set(key, payload))

    def _set(
        self, key: Names, payload: bytes | None, reason: str = "explicit"
    ) -> dict[Names, Happened]:
        """Write something; give what has happened to which tree nodes."""
        before, version = self.newest(key)
        if payload == before:
            return {}
        history = self._keys.setdefault(key, _History())
        history.indexes.append(self.index)
        history.values.append((payload, 0 if payload is None else version + 1))
        if payload is None:
            self._due.pop(key, None)
            happened = {key: Happened("delete", version, reason)}
            change, last, kind = -1, 0, "delete"
        elif before is None:
            happened = {key: Happened("create", 1)}
            change, last, kind = 1, 1, "create"
        else:
            return {key: Happened("update", version + 1)}
        # A folder comes with the first and goes with the last of what is in it.
        folder = key[:-1]
        self._children[folder] += change
        is_other = self._children[folder] == last
        why = "keep_while" if is_other and payload is None else None
        happened[folder] = Happened(kind if is_other else "update", 1, why)
        if is_other:
            happened[()] = Happened("update", 1)
        return happened

    def _expire(self, now: int, *, is_own: bool) -> None:
        """Remove what is due, as one operation."""
        due = [key for key, moment in self._due.items() if moment <= now]
        happened: dict[Names, Happened] = {}
        for key in due:
            happened |= self._set(key, None, "expired")
        if not due:
            return
        own = " with an entry of their own" if is_own else ""
        self._marks[f"tree nodes expired{own}"] += 1
        calls = len(self.triggers.calls)
        self.triggers.fire(happened)
        if len(self.triggers.calls) > calls:
            self._marks["call for what expired"] += 1

    def newest(self, key: Names) -> tuple[bytes | None, int]:
        """Give payload and version of a key now; None and 0 if it is not there."""
        history = self._keys.get(key)
        return history.values[-1] if history is not None else (None, 0)

    def at(self, key: Names, index: int) -> tuple[bytes | None, int]:
        """Give payload and version of a key as of an index that was replayed."""
        if index > self.index_known:
            raise ViolationError(
                f"I11: index {index} is seen, the log is known up to {self.index}"
            )
        history = self._keys.get(key)
        if history is None:
            return (None, 0)
        position = bisect_right(history.indexes, index) - 1
        return history.values[position] if position >= 0 else (None, 0)

    @property
    def index_known(self) -> int:
        return self._known

    _known = 0

    def seen_up_to(self, index: int) -> None:
        """Note that entries without commands were committed up to an index, too."""
        self._known = max(self._known, index)

    def tree_at(self, index: int) -> dict[Names, tuple[bytes, int]]:
        """Give all keys with payload and version as of an index."""
        tree: dict[Names, tuple[bytes, int]] = {}
        for key in self._keys:
            payload, version = self.at(key, index)
            if payload is not None:
                tree[key] = (payload, version)
        return tree


def _calls_said_to_be_made(command: bytes) -> list[int] | None:
    """Give the numbers in a command that no client has sent; None if it is of another kind."""
    operation = unpack(command)
    return operation[1] if operation[0] == ACTIONS_DONE else None
