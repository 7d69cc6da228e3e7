"""What a walk of the tree can find: expected outcomes, as values.

Nothing here is raised. A walk inside the replicated machine returns one of these, the machine
puts it into its reply, and the caller's thread turns it into an exception with `to_error`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from khepri.errors import KhepriError, MismatchingNodeError, NodeNotFoundError

from .conditions import IfNodeExists
from .paths import Path

if TYPE_CHECKING:
    from .components import Component
    from .names import Special
    from .tree import Names, TreeNode


@dataclass(frozen=True, slots=True)
class Found:
    """A tree node that exists and meets the pattern.

    Attributes:
        path: the names from the root down to it; ``()`` for the root.
        node: the tree node as it was when the walk began.
    """

    path: Names
    node: TreeNode


@dataclass(frozen=True, slots=True)
class Missing:
    """A tree node that does not exist and that a put may create here.

    Attributes:
        path: the names from the root down to it.
        existing_depth: how many of those names exist already: ``path[:existing_depth]`` is the
            deepest existing ancestor, the rest is to be created.
    """

    path: Names
    existing_depth: int


@dataclass(frozen=True, slots=True)
class NodeNotFound:
    """The walk met a tree node that does not exist (and that may not be created).

    Attributes:
        node_name: the missing name.
        node_path: the names from the root down to the missing one, included.
        node_is_target: whether it is what the pattern names, not a node on the way to it.
        condition: the whole normalised condition of that component, None for a bare name.
    """

    node_name: str
    node_path: Names
    node_is_target: bool
    condition: Component | None


@dataclass(frozen=True, slots=True)
class MismatchingNode:
    """A tree node exists and a condition on it is not met.

    Attributes:
        node_name: its name, ``Special.ROOT`` for the root.
        node_path: the names from the root down to it.
        node_is_target: whether it is what the pattern names, not a node on the way to it.
        node: the tree node itself, for the properties in the reply.
        condition: what is not met: of `IfAll` its failing member, of `IfAny` and `IfNot` the
            whole condition.
    """

    node_name: str | Special
    node_path: Names
    node_is_target: bool
    node: TreeNode
    condition: Component


FindOutcome: TypeAlias = Found | NodeNotFound | MismatchingNode
"""What looking for one tree node can give."""

PlaceOutcome: TypeAlias = Found | Missing | NodeNotFound | MismatchingNode
"""What looking for the place of a put can give."""


def to_error(
    outcome: NodeNotFound | MismatchingNode, node_props: dict[str, object] | None = None
) -> KhepriError:
    """Make the exception of an unhappy outcome; raise it in the caller's thread.

    Args:
        outcome: what the walk found.
        node_props: for `MismatchingNode`, data and ``payload_version`` as the caller sees them.
    """
    path = Path(outcome.node_path)
    if isinstance(outcome, NodeNotFound):
        return NodeNotFoundError(
            f"there is no tree node {path}",
            node_name=outcome.node_name,
            node_path=path,
            node_is_target=outcome.node_is_target,
            condition=outcome.condition,
        )
    return MismatchingNodeError(
        mismatch_message(path, outcome.condition),
        node_name=outcome.node_name,
        node_path=path,
        node_is_target=outcome.node_is_target,
        node_props=node_props or {},
        condition=outcome.condition,
    )


def mismatch_message(path: Path, condition: Component) -> str:
    """Say in words that a tree node does not meet a condition."""
    if condition == IfNodeExists(exists=False):
        return f"there is a tree node {path} already"
    return f"the tree node {path} does not meet {condition!r}"
