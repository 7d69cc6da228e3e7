"""What every role can be told, and does nothing about unless it says otherwise.

Here: the hooks. Not here: the roles (`follower.py`, `candidate.py`, `leader.py`), when they are
told (`core.py`), how one becomes another (`server.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .effects import Send
    from .types import Index, Role


class RoleState:
    """The state that belongs to one role; made when the role begins, dropped when it ends.

    Attributes:
        kind: which role.
        deadline: when `on_deadline` is due; `math.inf` if never.
        speaks_at: when `speak` has something to say though nothing happens; `math.inf` if never.
    """

    kind: ClassVar[Role]
    deadline: float
    speaks_at: float = math.inf

    def on_deadline(self) -> None:
        """Do what is due."""
        raise NotImplementedError

    def confirmation_of(self, last: Index) -> Send | None:
        """Give what is to be said when the log is durable up to `last`; None if nothing is."""
        del last
        return None

    def on_log_written(self) -> None:
        """React to more of the own log being durable."""

    def on_shown_committed(self) -> None:
        """React to a snapshot having shown how far the log is committed."""

    def decide(self) -> None:
        """Draw conclusions from the events of this step, before anything is written or sent."""

    def speak(self) -> None:
        """Send what the events of this step call for."""

    def tickets(self) -> list[object]:
        """Give the tickets of the requests that wait for this role."""
        return []

    def leave(self) -> None:
        """Refuse what waits for this role; `Server.leader` is the next one already, if known."""
