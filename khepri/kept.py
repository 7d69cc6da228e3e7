"""One tree node with a time to live that this process keeps alive, and how long that is certain.

What counts is the moment *before* a call was made: the tree node lives for its time to live from
some later moment on. So whoever looks at `Kept.is_valid` may be told "no" too early, and never
"yes" too late, as far as clocks can be trusted (``docs/reference/tree-functions.md``, "Whose
clock").
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from khepri.actors.server_clock import server_clock
from khepri.errors import (
    InvalidOptionError,
    KhepriError,
    KhepriTimeoutError,
    MismatchingNodeError,
    NodeNotFoundError,
    ServerStoppedError,
    WrongTypeError,
)

from .keeping import keeper
from .options import ttl_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.future import KhepriFuture

TRUSTED_SHARE: Final = 0.98
"""The part of a time to live that is counted on here: the time of the log may go faster than the
clocks by a hundredth, and this clock slower than the others by another."""

RENEWALS_PER_TTL: Final = 3
"""How often a time to live begins anew before it would be over."""

RETRY_SECONDS_MAX: Final = 0.5
"""The pause after a renewal that failed, at most; a tenth of a short time to live."""

LOOK_SECONDS: Final = 1.0
"""How often is looked whether the server that is to answer is still there."""

TTL_MIN_SECONDS: Final = 0.1
"""Renewals of anything shorter would be a load."""

_logger = logging.getLogger("khepri.keeping")


def checked_ttl(ttl: Any) -> float:  # noqa: ANN401 - checked here
    """Give a time to live that something can be kept alive with.

    Raises:
        WrongTypeError: not a number.
        InvalidOptionError: below 0.1 seconds, or without end.
    """
    if ttl_milliseconds(ttl) is None:
        raise WrongTypeError("ttl is in seconds, not None", option="ttl", value=ttl)
    if not TTL_MIN_SECONDS <= ttl < math.inf:
        raise InvalidOptionError(
            f"ttl is {TTL_MIN_SECONDS} seconds or more, and not without end: {ttl!r:.100}",
            option="ttl",
            value=ttl,
        )
    return float(ttl)


class Kept(ABC):
    """A tree node that is kept alive until `end`; the keeper's thread calls `step`.

    Attributes:
        is_over: whether nothing is done for it any more.
        lost_because: why it is not certain that it lives; None while it is.
        ttl_seconds: its time to live.
        valid_until: by `server_clock`, how long it surely lives unless somebody deletes it.
    """

    def __init__(self, ttl_seconds: float, began: float) -> None:
        """Begin.

        Args:
            ttl_seconds: its time to live.
            began: by `server_clock`, when the call that made it was about to be sent.
        """
        self.ttl_seconds = ttl_seconds
        self.valid_until = began + ttl_seconds * TRUSTED_SHARE
        self.is_over = False
        self.lost_because: str | None = None
        self._due = began + ttl_seconds / RENEWALS_PER_TTL
        self._sent_at = began
        self._under_way: KhepriFuture[Any] | None = None
        self._stepping = Lock()  # held for a moment only: nothing below waits

    @property
    def is_valid(self) -> bool:
        """Whether it surely lives, unless somebody has deleted it. Any thread; asks nobody."""
        return not self.is_over and self.lost_because is None and server_clock() < self.valid_until

    def end(self) -> None:
        """Do nothing more for it. Nothing is sent once this has returned. Any thread."""
        with self._stepping:
            self.is_over = True
            under_way, self._under_way = self._under_way, None
        if under_way is not None:  # who sees that nobody waits does not begin what has not begun
            under_way.fail(ServerStoppedError("nobody waits for it any more", outcome="unknown"))
        keeper.look_at(self)

    def abandon(self) -> None:
        """In a forked child: it is the parent's business."""
        self._stepping = Lock()
        self._under_way = None
        self.lost_because = "it is held by the parent process"
        self.is_over = True

    def step(self, answered: Callable[[], object]) -> float:
        """Do what is to be done now, in the keeper's thread.

        Args:
            answered: called when there is an answer, in any thread.

        Returns:
            by `server_clock`, when to step again at the latest; infinity if it is over.
        """
        with self._stepping:
            now = server_clock()
            # First, so that an answer that comes too late does not make up for it.
            if self.lost_because is None and now >= self.valid_until:
                self._lose(f"it was not renewed within {self.ttl_seconds:g} seconds")
            if not self.is_over:
                self._take_answer(now)
            if self.is_over:
                return math.inf
            if self._under_way is None and now >= self._due:
                self._renew(now, answered)
            next_look = self._due if self._under_way is None else now + LOOK_SECONDS
            return next_look if self.lost_because else min(next_look, self.valid_until)

    # --- what is kept

    @abstractmethod
    def _send(self) -> KhepriFuture[Any]:
        """Ask for the time to live to begin anew, without waiting."""

    @abstractmethod
    def _lose(self, reason: str) -> None:
        """It is not certain any more that it lives."""

    @abstractmethod
    def _refused(self, now: float) -> None:
        """The tree has refused what was sent: it is not there, or is not ours."""

    def _renewed(self) -> None:
        """What was sent is done."""
        self.valid_until = self._sent_at + self.ttl_seconds * TRUSTED_SHARE
        self._due = self._sent_at + self.ttl_seconds / RENEWALS_PER_TTL

    # --- inside

    def _renew(self, now: float, answered: Callable[[], object]) -> None:
        self._sent_at = now
        try:
            self._under_way = self._send()
        except KhepriError as error:
            self._failed(error, now)
        else:
            self._under_way.add_done_callback(lambda _future: answered())

    def _take_answer(self, now: float) -> None:
        under_way = self._under_way
        if under_way is None:
            return
        try:
            under_way.get(timeout=0)  # tells of a server that is gone too
        except (NodeNotFoundError, MismatchingNodeError):
            self._under_way = None
            self._refused(now)
        except KhepriError as error:
            if isinstance(error, KhepriTimeoutError) and not under_way.done():
                return
            self._under_way = None
            self._failed(error, now)
        else:
            self._under_way = None
            self._renewed()

    def _failed(self, error: KhepriError, now: float) -> None:
        _logger.debug("%r was not renewed and will be again: %s", self, error)
        self._due = now + min(RETRY_SECONDS_MAX, self.ttl_seconds / 10)
