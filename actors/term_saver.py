"""Saves term and vote, and holds back what rests on them while the disk refuses.

Whatever a step of the core wants done may rest on its new term or vote (Raft §5.2): a vote that
is told before it is on the disk could be given twice. So while they cannot be saved nothing of
that step is done and no further step is taken. Messages are lost meanwhile, which Raft bears; the
tree stays and can be read.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Any

from khepri.errors import StorageError
from khepri.raft.effects import Completed, PersistHardState, ReadReady, Rejected
from khepri.raft.events import MessageReceived, Propose, TimePassed

from .wal_writer import RETRY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.types import HardState

_logger = logging.getLogger("khepri.actors.term_saver")

_LOST = MessageReceived | TimePassed | Propose
"""What comes again by itself. A proposal here is one of ours: nobody waits for it."""


class TermSaver:
    """Term and vote of one server. One thread.

    Attributes:
        error: why they cannot be saved; None when they are.
        due: when `hold` is to be called again, on the server's clock; `inf` if nothing is held.
    """

    def __init__(self, write: Callable[[HardState], None], label: object) -> None:
        """Begin with what is saved.

        Args:
            write: makes term and vote durable, or raises a StorageError.
            label: of the server, for the log.
        """
        self.error: StorageError | None = None
        self.due = inf
        self._write = write
        self._label = label
        self._effects: Sequence[Effect] = ()
        self._events: list[Event] = []

    @property
    def is_done(self) -> bool:
        """Whether the newest term and vote are on the disk."""
        return self.error is None

    def save(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        """Save the term and vote that lead the effects of a step.

        Returns:
            what may be done now: the other effects, or none until the disk takes term and vote.
        """
        first = effects[0]
        assert isinstance(first, PersistHardState)
        try:
            self._write(first.hard_state)
        except StorageError as error:
            if self.error is None:
                words = "%s cannot save its term and will try again: %s"
                _logger.error(words, self._label, error)  # noqa: TRY400 - not a bug
            self.error, self._effects, self.due = error, effects, now + RETRY_SECONDS
            return ()
        self.error, self._effects, self.due = None, (), -inf if self._events else inf
        return effects[1:]

    def hold(self, events: Sequence[Event], now: float) -> Sequence[Effect]:
        """Keep what the core has to know later; try again when it is time. Gives as `save`."""
        self._events += [one for one in events if not isinstance(one, _LOST)]
        return self.save(self._effects, now) if now >= self.due else ()

    def take_held(self) -> list[Event]:
        """Give what came meanwhile, once."""
        events, self._events, self.due = self._events, [], inf
        return events

    def tickets(self) -> list[Any]:
        """Give the tickets of requests whose answers are held back."""
        return [
            one.ticket
            for one in self._effects
            if isinstance(one, Completed | Rejected | ReadReady)
        ]
