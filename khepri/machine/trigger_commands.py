"""Commands about triggers. As in ``commands.py``, which has them under its name too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import InvalidOptionError, WrongTypeError

from .command_codes import (
    ACTIONS_DONE,
    REGISTER_TRIGGER,
    UNREGISTER_TRIGGER,
    Operation,
    pattern_to_plain,
)
from .triggers import ALL_KINDS, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .paths import Path, PathPattern

MAX_ID_BYTES = 255


def register_trigger(
    trigger_id: str,
    pattern: Path | PathPattern,
    procedure_path: Path,
    *,
    on_actions: Iterable[str] | None = None,
    priority: int = 0,
) -> Operation:
    """Ask to have a stored procedure called after changes (Khepri's ``register_trigger``).

    Args:
        trigger_id: a name; a trigger of that name is replaced.
        pattern: resolved; of the tree nodes whose changes count.
        procedure_path: where the name of the procedure is stored, then or later.
        on_actions: which of ``create``, ``update`` and ``delete`` count; None or none for all.
        priority: of what one operation asks for, the highest is called first. 64 bits.

    Raises:
        WrongTypeError: an argument is of the wrong type.
        InvalidOptionError: it has an impossible value.
    """
    if type(priority) is not int:
        raise WrongTypeError(
            f"a priority is a whole number, not {priority!r:.100}",
            option="priority",
            value=priority,
        )
    if not -(1 << 63) <= priority < 1 << 63:
        raise InvalidOptionError(
            f"a priority has 64 bits: {priority!r:.100}", option="priority", value=priority
        )
    return [
        REGISTER_TRIGGER,
        _checked_id(trigger_id),
        pattern_to_plain(pattern),
        _kinds(on_actions),
        priority,
        procedure_path,
    ]


def unregister_trigger(trigger_id: str) -> Operation:
    """Ask to remove a trigger, with the calls that are owed on its account. Beyond Khepri.

    Raises:
        WrongTypeError, InvalidOptionError: it cannot be the name of a trigger.
    """
    return [UNREGISTER_TRIGGER, _checked_id(trigger_id)]


def actions_done(numbers: Sequence[int]) -> Operation:
    """Say that the calls of these numbers were made."""
    return [ACTIONS_DONE, list(numbers)]


def _kinds(on_actions: Iterable[str] | None) -> int:
    wanted = 0
    if isinstance(on_actions, str):
        raise WrongTypeError(
            f"on_actions is a list of {', '.join(KINDS)}, not text: {on_actions!r:.100}",
            option="on_actions",
            value=on_actions,
        )
    for kind in on_actions or ():
        if kind not in KINDS:
            raise InvalidOptionError(
                f"{kind!r:.100} is none of {', '.join(KINDS)}", option="on_actions", value=kind
            )
        wanted |= 1 << KINDS.index(kind)
    return wanted or ALL_KINDS


def _checked_id(trigger_id: object) -> str:
    if not isinstance(trigger_id, str):
        raise WrongTypeError(
            f"the name of a trigger is text, not {trigger_id!r:.100}",
            option="trigger_id",
            value=trigger_id,
        )
    try:
        size = len(trigger_id.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= MAX_ID_BYTES:
        raise InvalidOptionError(
            f"the name of a trigger has 1 to {MAX_ID_BYTES} bytes in UTF-8: {trigger_id!r:.300}",
            option="trigger_id",
            value=trigger_id,
        )
    return str(trigger_id)
