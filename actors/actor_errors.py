"""Errors that mean the same to a khepri caller and to a Pykka caller.

A host that holds one of our actors as a `pykka.ActorRef` catches `pykka.ActorDeadError` and
`pykka.Timeout`; everybody else catches khepri's own tree (`khepri.errors`). The classes here are
both at once. They live in this package because nothing below it may know Pykka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pykka

from khepri.errors import (
    ForkedProcessError,
    KhepriError,
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
)

if TYPE_CHECKING:
    from .exit_reason import Exit
    from .label import ActorLabel


class ActorStoppedError(ServerStoppedError, pykka.ActorDeadError):
    """The actor stopped or crashed before it answered.

    Facts: ``actor``, ``store_id``, ``reason``, ``outcome``. The outcome is ``"not_applied"`` when
    the actor never looked at the message, else ``"unknown"``.
    """


class NoSuchActorError(NoSuchServerError, pykka.ActorDeadError):
    """The actor was gone when the message was sent; it never looked at it.

    Facts: ``actor``, ``store_id``, ``outcome`` (always ``"not_applied"``).
    """


class ForkedActorError(ForkedProcessError, pykka.ActorDeadError):
    """The actor lives in the parent of this forked process. Facts: ``actor``."""


class ReplyTimeoutError(KhepriTimeoutError, pykka.Timeout):
    """No answer came in time. Facts: as of its base; the outcome is ``"unknown"``."""


def without_frames(error: BaseException | None) -> None:
    """Take the tracebacks off an error that was logged.

    Whoever keeps it would keep, by the frames, the dead actor and all it knew.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def start_error(error: BaseException | None) -> Exception | None:
    """Give the error of a failing start as it may be raised in the starter's thread.

    A `SystemExit` in an actor is the actor's crash; raised again it would end its starter too.
    """
    if error is None or isinstance(error, Exception):
        return error
    crash = ActorStoppedError(
        f"ended while it started ({error!r})", reason=error, outcome="unknown"
    )
    crash.__cause__ = error
    return crash


class NameTakenError(KhepriError):
    """Another live actor has the name. Facts: ``name``, ``reference``."""


class SupervisionError(KhepriError):
    """Something about a supervisor's children."""


class NoSuchChildError(SupervisionError):
    """The supervisor has no child of that id. Facts: ``child_id``."""


class ChildExistsError(SupervisionError):
    """The supervisor has a child of that id already. Facts: ``child_id``, ``reference``."""


class ChildIsRunningError(SupervisionError):
    """The child is not stopped. Facts: ``child_id``."""


class RestartIntensityExceededError(SupervisionError):
    """A supervisor gave up: its children ended too often within the period.

    Facts: ``supervisor``, ``child_id``, ``reason`` (the last `Exit`).
    """


class DeathNotice(Protocol):
    """What is answered in the name of an actor that cannot answer any more.

    Every call makes a new exception, since raising one changes it.
    """

    def not_seen(self) -> BaseException:
        """Make the error for a message that waited when the actor ended."""
        ...

    def too_late(self) -> BaseException:
        """Make the error for a message that came after the actor's end."""
        ...

    def unanswered(self) -> BaseException:
        """Make the error for a message that the actor took and did not answer."""
        ...


class StoppedNotice:
    """The notice of an actor that ended in this process."""

    def __init__(self, label: ActorLabel, reason: Exit) -> None:
        """Keep who ended and why."""
        self._label = label
        self._reason = reason

    def not_seen(self) -> BaseException:
        """Make the error for a message that waited when the actor ended."""
        return self._stopped("before it looked at the message", "not_applied")

    def too_late(self) -> BaseException:
        """Make the error for a message that came after the actor's end."""
        return NoSuchActorError(
            f"{self._label} does not run",
            actor=str(self._label),
            store_id=self._label.store_id,
            outcome="not_applied",
        )

    def unanswered(self) -> BaseException:
        """Make the error for a message that the actor took and did not answer."""
        return self._stopped("before it answered", "unknown")

    def _stopped(self, when: str, outcome: str) -> BaseException:
        return ActorStoppedError(
            f"{self._label} ended {when} ({self._reason})",
            actor=str(self._label),
            store_id=self._label.store_id,
            reason=self._reason,
            outcome=outcome,
        )


class ForkedNotice:
    """The notice of an actor that stayed behind in the parent of a forked process."""

    def not_seen(self) -> BaseException:
        """Make the error for a message that waited when the process was forked."""
        return ForkedActorError("the process was forked; this store belongs to its parent")

    too_late = not_seen
    unanswered = not_seen
