"""Triggers: which changes ask for a procedure to be called, and which calls are still owed.

A trigger says which changes of which tree nodes it is for, and where the name of its procedure is
stored. When an operation has been applied, each of its changes that a trigger is for makes an
*action*: one call that is owed. It stays in the replicated state until somebody says that it was
made, so it outlives whoever was to make it. Whose turn it is, and how it is called, is for others
to know (``actors/event_handler.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import immutables

from .concrete_pattern import ConcretePattern
from .conditions import IfNameMatches
from .pattern_index import PatternIndex
from .tree import is_procedure, procedure_name
from .unix_paths import STAR_STAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .patterns import Pattern
    from .state import Change
    from .tree import Names, TreeNode

KINDS: Final = ("create", "update", "delete")
"""What can happen to a tree node; in commands and snapshots a kind is bit 0, 1 or 2."""

ALL_KINDS: Final = 0b111


class Trigger(NamedTuple):
    """What is to be called when.

    Attributes:
        pattern: resolved; of the tree nodes it is for.
        kinds: a bit for each of `KINDS` it is for.
        priority: of what one operation asks for, the highest is called first.
        procedure_path: where the name of the procedure is stored.
    """

    pattern: Pattern
    kinds: int
    priority: int
    procedure_path: Names

    @property
    def is_by_name(self) -> bool:
        """Whether the names on the way to a tree node say all, so the tree need not be asked."""
        return all(
            isinstance(part, (str, IfNameMatches)) or part == STAR_STAR for part in self.pattern
        )


class Action(NamedTuple):
    """One call that is owed.

    Attributes:
        trigger_id: of the trigger that asked for it.
        procedure: the name that was stored at the trigger's path at that moment.
        path: of the tree node that has changed.
        kind: what happened to it, one of `KINDS`.
    """

    trigger_id: str
    procedure: str
    path: Names
    kind: str


class Triggers(NamedTuple):
    """All triggers of a store and all actions that are owed. Immutable.

    Attributes:
        by_id: the triggers.
        patterns: theirs, to be found by path.
        to_be_asked: theirs, prepared, of those for which the tree has to be asked. To ask is for
            the thread that applies entries.
        actions: what is owed, by numbers that rise in the order in which it was asked for.
        next_number: of the next action; no number comes twice.
    """

    by_id: immutables.Map[str, Trigger]
    patterns: PatternIndex[str]
    to_be_asked: immutables.Map[str, ConcretePattern]
    actions: immutables.Map[int, Action]
    next_number: int

    @property
    def are_to_be_kept(self) -> bool:
        """Whether there is anything to be kept of them."""
        return bool(self.by_id) or self.next_number > 1

    def with_trigger(self, trigger_id: str, trigger: Trigger) -> Triggers:
        """Add a trigger, instead of the one of that id if there is one."""
        without = self._without_pattern(trigger_id)
        to_be_asked = without.to_be_asked
        if not trigger.is_by_name:
            to_be_asked = to_be_asked.set(trigger_id, ConcretePattern(trigger.pattern))
        return without._replace(
            by_id=without.by_id.set(trigger_id, trigger),
            patterns=without.patterns.with_pattern(trigger.pattern, trigger_id),
            to_be_asked=to_be_asked,
        )

    def without_trigger(self, trigger_id: str) -> Triggers:
        """Remove a trigger, and what is owed on its account."""
        if trigger_id not in self.by_id:
            return self
        of_it = [number for number, it in self.actions.items() if it.trigger_id == trigger_id]
        without = self._without_pattern(trigger_id).without_actions(of_it)
        return without._replace(by_id=without.by_id.delete(trigger_id))

    def without_actions(self, numbers: Iterable[int]) -> Triggers:
        """Note that these calls were made; of those that are not owed nothing is said."""
        actions = self.actions.mutate()
        for number in numbers:
            actions.pop(number, None)
        return self._replace(actions=actions.finish())

    def may_concern(self, path: Names) -> bool:
        """Tell whether a put to a tree node whose parent exists may ask for a call."""
        matching = self.patterns.matching
        return bool(self.by_id) and bool(matching(path) or matching(path[:-1]))

    def may_concern_below(self, path: Names) -> bool:
        """Tell whether the deletion of all below a path, itself included, may ask for a call."""
        return bool(self.by_id) and bool(self.patterns.matching_at_or_below(path))

    def fired(self, changes: Iterable[Change], before: TreeNode, after: TreeNode) -> Triggers:
        """Owe what an operation's changes ask for.

        Args:
            changes: of the operation, in path order; what was deleted with another tree node may
                be left out where `may_concern_below` denies it.
            before: the root as it was; conditions are asked of it for what was deleted.
            after: the root as it is, for all else, and for the procedures' names.
        """
        found: list[tuple[int, Action]] = []
        was, is_now = _Tree(before), _Tree(after)
        for path, old, new, _reason in changes:
            kind = 0 if old is None else 2 if new is None else 1
            tree = was if new is None else is_now
            for trigger_id in self.patterns.matching(path):
                trigger = self.by_id[trigger_id]
                pattern = self.to_be_asked.get(trigger_id)
                if trigger.kinds >> kind & 1 and (pattern is None or tree.matches(pattern, path)):
                    procedure = _procedure_at(after, trigger.procedure_path)
                    if procedure is not None:
                        action = Action(trigger_id, procedure, path, KINDS[kind])
                        found.append((-trigger.priority, action))
        if not found:
            return self
        # By priority, then by trigger; what one trigger asks for stays in the order of paths.
        found.sort(key=lambda it: (it[0], it[1].trigger_id))
        numbers = range(self.next_number, self.next_number + len(found))
        actions = self.actions.update(zip(numbers, (it for _, it in found), strict=True))
        return self._replace(actions=actions, next_number=numbers.stop)

    def _without_pattern(self, trigger_id: str) -> Triggers:
        known = self.by_id.get(trigger_id)
        if known is None:
            return self
        to_be_asked = self.to_be_asked
        if trigger_id in to_be_asked:
            to_be_asked = to_be_asked.delete(trigger_id)
        return self._replace(
            patterns=self.patterns.without_pattern(known.pattern, trigger_id),
            to_be_asked=to_be_asked,
        )


class _Tree:
    """The tree before or after an operation, of which many paths are asked."""

    __slots__ = ("_asked", "_root")

    def __init__(self, root: TreeNode) -> None:
        self._root = root
        self._asked: dict[ConcretePattern, Callable[[Names], bool]] = {}

    def matches(self, pattern: ConcretePattern, path: Names) -> bool:
        """Tell whether a path matches; what can only be walked is walked once for all paths."""
        is_match = self._asked.get(pattern)
        if is_match is None:
            is_match = self._asked[pattern] = pattern.matching(self._root)
        return is_match(path)


def _procedure_at(root: TreeNode, path: Names) -> str | None:
    node = root
    for name in path:
        child = node.children.get(name)
        if child is None:
            return None
        node = child
    payload = node.payload
    return procedure_name(payload) if payload and is_procedure(payload) else None


NO_TRIGGERS: Final = Triggers(
    immutables.Map(), PatternIndex(), immutables.Map(), immutables.Map(), 1
)
