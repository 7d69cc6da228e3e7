"""One operation on the tree: what it changes, and what has to be told about it.

An `Edit` begins with one immutable state and ends with another. In between it path-copies: each
change makes new nodes from the changed one up to the root and shares everything else. It keeps
the first sight of every node it changes, and from that follow

- the versions: a changed version is *that of the first sight plus one*, so each is raised at most
  once however much happens to a node in one operation (spec §3.4);
- the results (old payload, new versions) and the change events (at most one per path, §3.7).

Here is also what happens by itself to parents made on the way (§3.6).
Not here: the conditions of other watchers (``cascade.py``), which operations there are
(``operations.py``), and the short cut for plain puts (``working_tree.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .children import family_of, with_child, without_child
from .keep_while import IMPLICIT, KeepWhile
from .properties import KEEP_WHILE
from .state import Change, TreeState
from .tree import NO_CHILDREN, Names, TreeNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Deleted(NamedTuple):
    """A node that is gone: its last version and why."""

    node: TreeNode
    reason: str


class Edit:
    """The work of one operation on one state. Used by one thread, for one operation.

    Attributes:
        root: the root as changed so far.
        now_milliseconds: the log's time at this operation.
        index: who watches what, as changed so far.
        before: every changed node (payload or child list) as it was when the operation began;
            None for a node this operation created.
        deleted: every node removed so far, in the order of removal, descendants included if
            ``lists_descendants``.
        touched: paths changed since somebody last emptied the list; the cascade lives on it.
        triggers: the triggers, as changed so far.
    """

    __slots__ = (
        "before",
        "deleted",
        "index",
        "lists_descendants",
        "now_milliseconds",
        "root",
        "touched",
        "triggers",
    )

    def __init__(
        self, state: TreeState, now_milliseconds: int, *, lists_descendants: bool
    ) -> None:
        """Begin an operation.

        Args:
            state: what to start from; it stays as it is.
            now_milliseconds: the log's time.
            lists_descendants: whether removed descendants are wanted one by one, for results or
                change events. They also are if anything is watched, and where a trigger may be
                for them.
        """
        self.root = state.root
        self.index = state.watch_index
        self.triggers = state.triggers
        self.now_milliseconds = now_milliseconds
        self.before: dict[Names, TreeNode | None] = {}
        self.deleted: dict[Names, Deleted] = {}
        self.touched: list[Names] = []
        self.lists_descendants = lists_descendants

    def state(self) -> TreeState:
        """Give the state the operation has reached."""
        return TreeState(self.root, self.index, self.triggers)

    def node_at(self, path: Names) -> TreeNode | None:
        """Give the node now at a path, None if there is none."""
        node = self.root
        for name in path:
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    # --- the four changes ---

    def create(
        self, path: Names, existing_depth: int, payload: bytes | None, keep_while: KeepWhile | None
    ) -> None:
        """Make a node and its missing parents.

        Args:
            path: where; nothing is there yet.
            existing_depth: how many names of it exist; the parents below are made, implicitly.
            payload: the payload of the new node.
            keep_while: its conditions, already found to be met.
        """
        self._note_new(path, keep_while)
        self._hang(path, existing_depth, TreeNode(payload, 1, 1, NO_CHILDREN, keep_while))

    def create_like(self, path: Names, existing_depth: int, model: TreeNode) -> None:
        """Make a node and all below it as they are in a model, and its missing parents.

        What it comes to is what `create` would do with one node after the other, in the time for
        all of them and not for the way to each.

        Args:
            path: where; nothing is there yet, and it does not lie in the model.
            existing_depth: as for `create`.
            model: an existing node; the conditions of all its nodes are met at their new places.
        """
        families: dict[Names, dict[str, TreeNode]] = {}
        # Children come behind their parents there.
        for here, old in reversed(list(subtree(path, model))):
            self._note_new(here, old.keep_while)
            children = family_of(families.pop(here, None))
            copy = TreeNode(old.payload, 1, 1, children, old.keep_while, old.size)
            families.setdefault(here[:-1], {})[here[-1]] = copy
        self._hang(path, existing_depth, families[path[:-1]][path[-1]])

    def set_payload(self, path: Names, payload: bytes | None) -> None:
        """Give an existing node another payload; the same payload changes nothing.

        An implicit parent without children that loses its payload goes away.
        """
        node = self.node_at(path)
        assert node is not None
        if node.payload == payload:
            return
        before = self._note(path, node)
        version = 1 if before is None else before.payload_version + 1
        changed = TreeNode(
            payload, version, node.child_list_version, node.children, node.keep_while, node.size
        )
        self._replace(path, changed)
        if _is_idle(changed):
            self.delete(path, KEEP_WHILE)

    def set_keep_while(self, path: Names, keep_while: KeepWhile | None) -> None:
        """Give an existing node other conditions; no version tells of it."""
        node = self.node_at(path)
        assert node is not None
        if node.keep_while is not None:
            self.index = self.index.without_watcher(path, node.keep_while)
        if keep_while is not None:
            self.index = self.index.with_watcher(path, keep_while)
        changed = TreeNode(
            node.payload,
            node.payload_version,
            node.child_list_version,
            node.children,
            keep_while,
            node.size,
        )
        self._replace(path, changed)

    def delete(self, path: Names, reason: str) -> None:
        """Remove a node and all below it; the root stays and loses its payload and children.

        Implicit parents left without children and payload go away too, all the way up.
        """
        node = self.node_at(path)
        assert node is not None
        if not path:
            self._forget(path, node, reason)
            self._empty_root(node)
            return
        parents = self._ancestors(path)
        depth, removed = len(path), node.size
        while True:
            self._forget(path[:depth], node, reason)
            depth -= 1
            parent = parents[depth]
            children = without_child(parent.children, path[depth])
            node, reason = (
                self._with_children(path[:depth], parent, children, -removed),
                KEEP_WHILE,
            )
            if not _is_idle(node):  # the root never is
                break
            removed = parent.size
        self._rebuild(path[:depth], parents, node, -removed)

    # --- how they are done ---

    def _note(self, path: Names, node: TreeNode | None) -> TreeNode | None:
        """Remember a node at its first change; give its first sight (None: created here)."""
        self.touched.append(path)
        return self.before.setdefault(path, node)

    def _note_new(self, path: Names, keep_while: KeepWhile | None) -> None:
        """Remember that a node is created here, and what it watches."""
        self._note(path, None)
        if keep_while is not None:
            self.index = self.index.with_watcher(path, keep_while)

    def _hang(self, path: Names, existing_depth: int, node: TreeNode) -> None:
        """Put a new node, which may have children, in its place, and make its missing parents."""
        for depth in range(len(path) - 1, existing_depth, -1):
            node = TreeNode(None, 1, 1, {path[depth]: node}, IMPLICIT, node.size + 1)
            self._note(path[:depth], None)
        self._link(path[: existing_depth + 1], node, node.size)

    def _ancestors(self, path: Names) -> list[TreeNode]:
        """Give the nodes above a path, root first."""
        nodes = [self.root]
        for name in path[:-1]:
            nodes.append(nodes[-1].children[name])
        return nodes

    def _replace(self, path: Names, node: TreeNode) -> None:
        """Put another version of an existing node in its place."""
        if path:
            self._rebuild(path, self._ancestors(path), node, 0)
        else:
            self.root = node

    def _link(self, path: Names, node: TreeNode, size_change: int) -> None:
        """Hang a new child under an existing parent."""
        parents = self._ancestors(path)
        parent = parents[-1]
        children = with_child(parent.children, path[-1], node)
        changed = self._with_children(path[:-1], parent, children, size_change)
        self._rebuild(path[:-1], parents, changed, size_change)

    def _with_children(
        self, path: Names, node: TreeNode, children: Mapping[str, TreeNode], size_change: int
    ) -> TreeNode:
        before = self._note(path, node)
        version = 1 if before is None else before.child_list_version + 1
        return TreeNode(
            node.payload,
            node.payload_version,
            version,
            children,
            node.keep_while,
            node.size + size_change,
        )

    def _rebuild(
        self, path: Names, parents: list[TreeNode], node: TreeNode, size_change: int
    ) -> None:
        """Make new versions of all nodes above a changed one."""
        for depth in range(len(path) - 1, -1, -1):
            above = parents[depth]
            node = TreeNode(
                above.payload,
                above.payload_version,
                above.child_list_version,
                with_child(above.children, path[depth], node),
                above.keep_while,
                above.size + size_change,
            )
        self.root = node

    def _empty_root(self, root: TreeNode) -> None:
        if root.payload is None and not root.children:
            return
        before = self._note((), root) or root
        self.root = TreeNode(
            None,
            before.payload_version + (root.payload is not None),
            before.child_list_version + bool(root.children),
            NO_CHILDREN,
            root.keep_while,
        )

    def _forget(self, path: Names, node: TreeNode, reason: str) -> None:
        """Record a removal, of the descendants too, and drop what they watched."""
        removed = Deleted(node, reason)
        self.deleted[path] = removed
        if not (
            self.lists_descendants
            or self.index
            or (node.size > 1 and self.triggers.may_concern_below(path))
        ):
            return
        for below, descendant in subtree(path, node):
            self.deleted[below] = Deleted(descendant, reason)
            self.touched.append(below)
            keep_while = descendant.keep_while
            if keep_while is not None:
                self.index = self.index.without_watcher(below, keep_while)

    # --- what is told ---

    def changes(self) -> list[Change]:
        """Give one change event per changed path, in path order.

        A node that was changed and then removed is told as removed, and so is one that was
        created and removed in one operation. A removal says why, as its result does. The root is
        told like any other node (BUG-7).
        """
        changes: list[Change] = []
        for path, before in self.before.items():
            if path not in self.deleted or not path:
                changes.append(Change(path, before, self.node_at(path)))
        for path, (node, reason) in self.deleted.items():
            if path:
                changes.append(Change(path, self.before.get(path) or node, None, reason))
        changes.sort(key=_by_path)
        return changes


def _is_idle(node: TreeNode) -> bool:
    """Tell whether a node is an implicit parent that has neither children nor a payload."""
    kept = node.keep_while
    return kept is not None and kept.is_implicit and not node.children and node.payload is None


def _by_path(change: Change) -> Names:
    return change.path


def subtree(path: Names, node: TreeNode) -> Iterator[tuple[Names, TreeNode]]:
    """Walk a node and everything below it, parents first, siblings by name. Any depth is safe."""
    stack = [(path, node)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if node.children:
            children = node.children
            stack.extend(
                ((*path, name), children[name]) for name in sorted(children, reverse=True)
            )
