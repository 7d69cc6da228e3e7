"""Operations on triggers: to register one, to remove one, to say that calls were made.

As in ``operations.py``: each gets a fresh `Edit` and a decoded command's arguments, and gives the
reply; an exception throws the edit away. None of them changes a tree node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import commands
from .parts import checked_path, pattern_from_plain
from .replies import DONE, value_reply
from .triggers import ALL_KINDS, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .edit import Edit
    from .replies import Reply


def register_trigger(  # noqa: PLR0917 - the arguments of the command, in its order
    edit: Edit,
    trigger_id: str,
    plain_pattern: list[Any],
    kinds: int,
    priority: int,
    procedure_names: list[str],
) -> Reply:
    """Add a trigger, or replace the one of that id; what happened before is not looked at."""
    if not (type(trigger_id) is str and type(kinds) is type(priority) is int):
        raise TypeError("a part of a trigger has the wrong type")
    if not 0 < kinds <= ALL_KINDS:
        raise ValueError("no such kinds of changes")
    pattern = pattern_from_plain(plain_pattern)
    trigger = Trigger(pattern, kinds, priority, checked_path(procedure_names))
    edit.triggers = edit.triggers.with_trigger(trigger_id, trigger)
    return DONE


def unregister_trigger(edit: Edit, trigger_id: str) -> Reply:
    """Remove a trigger and what is owed on its account; tell whether there was one."""
    if type(trigger_id) is not str:
        raise TypeError("the id of a trigger is text")
    was_there = trigger_id in edit.triggers.by_id
    edit.triggers = edit.triggers.without_trigger(trigger_id)
    return value_reply(was_there)


def actions_done(edit: Edit, numbers: list[int]) -> Reply:
    """Note that calls were made; it may be said twice."""
    if type(numbers) is not list or set(map(type, numbers)) - {int}:
        raise TypeError("actions are named by whole numbers")
    edit.triggers = edit.triggers.without_actions(numbers)
    return DONE


TRIGGER_OPERATIONS: Final[dict[int, Callable[..., Reply]]] = {
    commands.REGISTER_TRIGGER: register_trigger,
    commands.UNREGISTER_TRIGGER: unregister_trigger,
    commands.ACTIONS_DONE: actions_done,
}
"""These operations by code."""
