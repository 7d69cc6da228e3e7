"""Who wants to be told of changes: what the feed asks of a subscription or a projection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.machine.concrete_pattern import ConcretePattern
    from khepri.machine.machine import View
    from khepri.machine.state import Change

    from .change_outlet import ChangeOutlet

Ending = Literal["stopped", "reset", "joined", "closed"]
"""Why a listener is told nothing more: the store was stopped or has given up; its data are
deleted; it becomes a member of another cluster, with another tree; or it was taken out."""


class ChangeListener(ABC):
    """One who is told of changes. The feed calls it, one call at a time, in the feed's thread.

    Attributes:
        pattern: which paths it wants.
        view: the last tree it knows; the feed tells what is different since. None: it knows none
            and is to look at the whole next one.
        outlet: whose changes it is told, None if of none; what another outlet tells is of a
            former life of the store and counts for nothing.
        wants_matches: whether it wants what comes and goes among the matches of its pattern,
            also if that is for a change elsewhere (`ConcretePattern.looks_elsewhere`).
        name: what it is called in its store; empty if it has no name.
        outlasts_the_tree: whether it goes on with the tree of another cluster, after a join.
        ends_at_once: whether it is to end with the store, and not after all that waits was told.
            Nothing of the host's is called then.
    """

    __slots__ = ("outlet", "pattern", "view")

    name: str = ""
    wants_matches = False
    outlasts_the_tree = False
    ends_at_once = False

    def __init__(self, pattern: ConcretePattern, view: View | None) -> None:
        """Begin to listen nowhere.

        Args:
            pattern: which paths it wants.
            view: since when.
        """
        self.pattern = pattern
        self.view: View | None = view
        self.outlet: ChangeOutlet | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody is there any more who could be told."""
        return False

    @abstractmethod
    def take(
        self, outlet: ChangeOutlet, before: View, after: View, changes: Sequence[Change]
    ) -> None:
        """Take what is different between `view` and a later tree, then make that the `view`.

        Args:
            outlet: whose it is.
            before: the tree at the place of `view`.
            after: the later one.
            changes: one per path, in path order; at least all those that the pattern may match.
        """

    @abstractmethod
    def begin(self, outlet: ChangeOutlet, view: View) -> None:
        """Look at a whole tree, since `view` is None, and make it the `view`."""

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Know that nothing more is told. Any thread, once."""

    def forget_parent_process(self) -> None:  # noqa: B027 - most have nothing to forget
        """This is a forked child, where nothing is told: without any lock, let nobody wait."""
