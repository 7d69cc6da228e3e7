"""Operations tried out on a tree that nobody else sees: how a transaction sees its own writes.

They run through the functions that the machine runs them through, so what they come to there is
the same, if the tree is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from khepri.encoding import unpack

from .commands import encode
from .edit import Edit
from .machine import View
from .operations import OPERATIONS
from .replies import command_raised, is_error

if TYPE_CHECKING:
    from .commands import Operation
    from .replies import Reply

_NO_TIME: Final = 0
"""When it will be applied, nobody knows. So what expires, and when, is nothing to look at here."""


class Trial:
    """One tree and what becomes of it. One thread.

    Attributes:
        view: as it is now.
    """

    __slots__ = ("view",)

    def __init__(self, view: View) -> None:
        """Begin with a published tree, which stays as it is."""
        self.view = view

    def run(self, operation: Operation) -> Reply:
        """Do one operation and give its reply; an error means that it has changed nothing."""
        view = self.view
        code, *arguments = unpack(encode(operation))
        edit = Edit(view.state, _NO_TIME, lists_descendants=False)
        try:
            reply = OPERATIONS[code](edit, *arguments)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001 - as the machine does
            return command_raised(error)
        if not is_error(reply):
            self.view = View(edit.state(), view.index, view.term)
        return reply
