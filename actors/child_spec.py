"""How a supervisor and its children are declared, in OTP's words.

A tree is declared, not grown: one `SupervisorFlags` and a tuple of `ChildSpec` per supervisor say
all there is to know. What a supervisor does with them is in `supervisor.py`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .reference import ActorReference

Siblings = Mapping[str, ActorReference]
"""The running children of the same supervisor, by id."""

StartFunction = Callable[[Siblings], ActorReference]
"""Makes and starts a child; quick, since it runs in the supervisor's thread.

It is given its siblings, so that a later child can be told about an earlier one. Combine that
with ``REST_FOR_ONE`` or ``ONE_FOR_ALL``: then nobody keeps a reference to a dead sibling. Slow
things (recovery, opening files) belong into the child's `on_start`.
"""


class Strategy(enum.Enum):
    """Which children are restarted together."""

    ONE_FOR_ONE = "one_for_one"
    """Only the one that ended."""

    ONE_FOR_ALL = "one_for_all"
    """All of them: none can go on without the other."""

    REST_FOR_ONE = "rest_for_one"
    """The one that ended and those started after it, which build on it."""


class Restart(enum.Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always, unless it was told to stop."""

    TRANSIENT = "transient"
    """After a crash only. A supervisor that gave up is not restarted either, as in OTP."""

    TEMPORARY = "temporary"
    """Never; the supervisor forgets it."""


class ChildKind(enum.Enum):
    """What a child is; for `count_children` and for people."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends when significant children end by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor."""

    id: str
    """Its name among its siblings."""

    start: StartFunction

    restart: Restart = Restart.PERMANENT

    shutdown_seconds: float = 5.0
    """How long an ordered stop may take; then the child is abandoned, since a thread cannot be
    killed. ``math.inf`` for a supervisor, whose own children have their limits."""

    kind: ChildKind = ChildKind.WORKER

    significant: bool = False
    """Whether `AutoShutdown.ANY_SIGNIFICANT` means this child; never a permanent one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        assert self.id
        assert self.shutdown_seconds >= 0.0
        assert not (self.significant and self.restart is Restart.PERMANENT)


def supervisor_spec(
    child_id: str, start: StartFunction, restart: Restart = Restart.PERMANENT
) -> ChildSpec:
    """Declare a child that is a supervisor: its shutdown takes as long as it takes."""
    return ChildSpec(child_id, start, restart, math.inf, ChildKind.SUPERVISOR)


@dataclass(frozen=True, slots=True)
class SupervisorFlags:
    """How a supervisor treats its children."""

    strategy: Strategy = Strategy.ONE_FOR_ONE

    intensity: int = 1
    """As many restarts are made within the period; one more, and the supervisor gives up."""

    period_seconds: float = 5.0

    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
