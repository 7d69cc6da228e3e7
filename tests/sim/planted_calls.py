"""Bugs planted where calls are owed and made, transactions checked, and changes listed.

They are looked for with triggers, transactions, times to live and listeners in every seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.actors import event_handler
from khepri.machine import commands, machine, operations, snapshot_writer, triggers
from khepri.machine.cascade import settle
from khepri.machine.machine import Machine
from khepri.machine.operations import OPERATIONS
from khepri.machine.properties import EXPIRED, EXPLICIT
from khepri.machine.state import TreeState
from khepri.machine.triggers import Trigger, Triggers
from khepri.transaction import Transaction
from tests.sim.planting import Planted, planted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CALL_BUGS: list[Planted] = []
_plant = planted(CALL_BUGS)

_Owed = event_handler._Owed


# --- what is owed


@_plant("what is owed is lost in a snapshot", snapshot_writer, "_trigger_records")
def _trigger_records(its: Triggers) -> Iterator[list[Any]]:
    yield from _all_records(its._replace(actions=triggers.NO_TRIGGERS.actions))


_all_records = snapshot_writer._trigger_records


@_plant("a snapshot begins the numbers of calls anew", snapshot_writer, "_trigger_records")
def _numbers_anew(its: Triggers) -> Iterator[list[Any]]:
    yield from _all_records(its if its.actions else its._replace(next_number=1))


@_plant("a trigger leaves behind what is owed on its account", Triggers, "without_trigger")
def _without_trigger(self: Any, trigger_id: str) -> Triggers:
    without = _drop_trigger(self, trigger_id)
    return without._replace(actions=self.actions)


_drop_trigger = Triggers.without_trigger


@_plant("the priority of a trigger is not looked at", Triggers, "fired")
def _fired(self: Any, changes: Iterable[Any], before: Any, after: Any) -> Triggers:
    flat = self.by_id.mutate()
    for trigger_id, trigger in self.by_id.items():
        flat[trigger_id] = trigger._replace(priority=0)
    its = _fire(self._replace(by_id=flat.finish()), changes, before, after)
    return its._replace(by_id=self.by_id)


_fire = Triggers.fired


@_plant("conditions are asked of the tree as it was before", Triggers, "fired")
def _fired_before(self: Any, changes: Iterable[Any], before: Any, after: Any) -> Triggers:
    return _fire(self, changes, after, before)


CALL_BUGS.append(Planted("conditions are not asked", Trigger, "is_by_name", True))


@_plant("what expires asks for no calls", Machine, "_expire")
def _expire(self: Any) -> None:
    before = self._working.seal().triggers
    _machine_expire(self)
    state = self._working.seal()
    self._working.replace(TreeState(state.root, state.watch_index, before))


_machine_expire = Machine._expire


# --- what is made


@_plant("calls are said to be made before they are", _Owed, "look")
def _look(self: Any, now: float) -> None:
    _owed_look(self, now)
    for number, _ in self.calls:
        self.was_made(number, now)
    self.say_made(self.access.take_calls_made())


_owed_look = _Owed.look


@_plant("a lost note is never said again", _Owed, "say_made")
def _say_made(self: Any, numbers: Any) -> None:
    if len(numbers) != 1 or numbers[0] % 7:
        _owed_say_made(self, numbers)


_owed_say_made = _Owed.say_made


CALL_BUGS.append(Planted("calls go on whoever leads", _Owed, "are_to_be_made_here", True))


@_plant("calls of a trigger that is gone are made", _Owed, "is_still_owed")
def _is_still_owed(self: Any, number: int) -> bool:
    del self, number
    return True


@_plant("calls are made newest first", _Owed, "look")
def _look_backwards(self: Any, now: float) -> None:
    _owed_look(self, now)
    self.calls.reverse()


@_plant("what was passed over is not looked at again", _Owed, "forget")
def _forget(self: Any) -> None:
    self.calls.clear()


# --- transactions


@_plant("the machine checks no reads", OPERATIONS, "")
def _check() -> dict[int, Any]:
    return {commands.CHECK: _always_done}


def _always_done(*_: object) -> None:
    """Give the reply of what has done something."""


@_plant("a transaction notes no reads", Transaction, "_note")
def _note(self: Any, pattern: Any, mask: int) -> None:
    del self, pattern, mask


@_plant("a transaction notes only its first read", Transaction, "_note")
def _note_once(self: Any, pattern: Any, mask: int) -> None:
    if not self._operations:
        _transaction_note(self, pattern, mask)


_transaction_note = Transaction._note


# --- times to live


@_plant("nothing expires", machine, "expire")
def _nothing_expires(edit: Any) -> None:
    del edit


@_plant("of what is due at once only the first goes", machine, "expire")
def _expire_one(edit: Any) -> None:
    for path in edit.index.expiries.due(edit.now_milliseconds)[:1]:
        edit.delete(path, EXPIRED)
    settle(edit)


@_plant("a time to live does not begin anew", operations, "_prepare_keep_while")
def _prepare_keep_while(edit: Any, place: Any, options: Any) -> Any:
    keep_while = getattr(getattr(place, "node", None), "keep_while", None)
    if keep_while is not None and keep_while.expiry is not None:
        options = {key: value for key, value in options.items() if key != commands.TTL}
    return _operations_prepare(edit, place, options)


_operations_prepare = operations._prepare_keep_while


# --- changes that are listed


@_plant("what was prepared lists no changes", Machine, "_take_prepared")
def _take_prepared(self: Any, prepared: Any, index: int, term: int) -> Any:
    applied = _machine_take_prepared(self, prepared, index, term)
    applied.changes = ()
    return applied


_machine_take_prepared = Machine._take_prepared


@_plant("a tree node that expires is told to be deleted by somebody", machine, "expire")
def _expire_explicitly(edit: Any) -> None:
    for path in edit.index.expiries.due(edit.now_milliseconds):
        if edit.node_at(path) is not None:
            edit.delete(path, EXPLICIT)
    settle(edit)
