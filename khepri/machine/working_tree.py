"""The short cut for plain puts: nodes made in one log entry are changed in place.

Publishing one root per entry means that nobody sees what lies between two commands of the same
entry. So the first put copies the nodes from the root to the parent, this entry *owns* the copies
from then on, and the next put to the same family costs one look-up and one assignment.

Two rules keep this safe:

- `WorkingTree.seal` gives the state as an immutable value and ends all ownership. Everything but
  a plain put works on sealed states (``edit.py``), where going back is to keep the old state.
- A plain put checks everything before it changes anything. Should it raise all the same (a bug),
  `WorkingTree.recover` goes back to the last sealed state and says what is to be put again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import immutables

from .children import LARGE, with_child
from .keep_while import IMPLICIT
from .state import TreeState
from .tree import NO_CHILDREN, Names, TreeNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    # While owned, a family is a dict or this: both have get and item assignment, which is all that
    # is used of it here.
    _OwnedMap = immutables.MapMutation[str, TreeNode]


_new: Final = object.__new__


class WorkingTree:
    """The tree between two published states. Used by one thread."""

    __slots__ = (
        "_is_anything_watched",
        "_last_family",
        "_last_parent",
        "_owned",
        "_sealed",
        "_unsealed",
    )

    def __init__(self, state: TreeState) -> None:
        """Begin with a sealed state."""
        self._sealed = state
        self._is_anything_watched = state.is_anything_watched
        self._own_nothing()

    def seal(self) -> TreeState:
        """End all ownership and give the state, immutable from now on."""
        owned = self._owned
        if owned:
            for node in owned.values():
                children = node.children
                if not isinstance(children, dict):
                    node.children = cast("_OwnedMap", children).finish()
                elif not children:
                    node.children = NO_CHILDREN
                elif len(children) > LARGE:
                    node.children = immutables.Map(children)
            self._sealed = TreeState(owned[()], self._sealed.watch_index, self._sealed.triggers)
            self._own_nothing()
        return self._sealed

    def replace(self, state: TreeState) -> None:
        """Go on from another sealed state; nothing may be owned."""
        assert not self._owned
        self._sealed = state
        self._is_anything_watched = state.is_anything_watched

    def go_back(self, state: TreeState) -> None:
        """Throw away everything since a sealed state."""
        self._own_nothing()
        self.replace(state)

    def recover(self) -> list[Any]:
        """Go back to the last sealed state after a put that raised: it may be half done.

        Returns:
            the commands that are to be put again.
        """
        unsealed = self._unsealed
        self._own_nothing()
        return unsealed

    def _own_nothing(self) -> None:
        self._owned: dict[Names, TreeNode] = {}
        self._unsealed: list[Any] = []
        self._last_family: Sequence[str] | None = None
        self._last_parent: TreeNode | None = None

    def put_alone(self, path: Sequence[str], payload: bytes, command: object) -> bool:
        """Do the same as `put` where no other is expected in this entry: nothing is owned.

        For an existing node this saves a third of the time; everything else is left to `put`.
        """
        sealed = self._sealed
        node = sealed.root
        above: list[TreeNode] = []
        for name in path:
            above.append(node)
            child = node.children.get(name)
            if child is None:
                return self.put(path, payload, command)
            node = child
        if self._owned or self._is_anything_watched or not path:
            return self.put(path, payload, command)
        if node.payload == payload:
            return True
        changed = TreeNode(
            payload,
            node.payload_version + 1,
            node.child_list_version,
            node.children,
            node.keep_while,
            node.size,
        )
        for depth in range(len(path) - 1, -1, -1):
            node = above[depth]
            changed = TreeNode(
                node.payload,
                node.payload_version,
                node.child_list_version,
                with_child(node.children, path[depth], changed),
                node.keep_while,
                node.size,
            )
        self._sealed = TreeState(changed, sealed.watch_index, sealed.triggers)
        return True

    def put(self, path: Sequence[str], payload: bytes, command: object) -> bool:
        """Create or replace a payload, making missing parents.

        Args:
            path: where; a root's path is refused.
            payload: the new payload; the same as before changes nothing.
            command: what `recover` gives back, should it come to that. Something that is there
                anyway: keeping path and payload of each put until its entry ends costs a
                sixteenth of all the time, for memory that has left the caches by then.

        Returns:
            Whether it was done. If not, nothing has changed and the put needs a full edit:
            somebody watches what it would change.
        """
        if not path:
            return False
        family = path[:-1]
        # Many puts in a row are of one family, and a list costs less to compare than to look up.
        parent = self._last_parent if family == self._last_family else None
        if parent is None:
            parent = self._parent_of(tuple(path))
            if parent is None:
                return False
            if not self._is_anything_watched:
                self._last_family, self._last_parent = family, parent
        name = path[-1]
        node = parent.children.get(name)
        if node is None:
            parent.children[name] = TreeNode(payload, 1, 1, NO_CHILDREN)  # type: ignore[index]  # owned
            parent.child_list_version += 1
            self._grow(family, 1)
        elif node.payload != payload:
            if node.children:
                self._set_payload(tuple(path), parent, node, payload)
            else:
                # Never owned, and the most frequent: what a call would do, in half the time.
                changed = _new(TreeNode)
                changed.payload = payload
                changed.payload_version = node.payload_version + 1
                changed.child_list_version = node.child_list_version
                changed.children = node.children
                changed.keep_while = node.keep_while
                changed.size = 1
                parent.children[name] = changed  # type: ignore[index]  # owned
        self._unsealed.append(command)
        return True

    def put_family(
        self,
        family: Sequence[str],
        names: Sequence[str],
        payloads: Sequence[bytes],
        command: object,
    ) -> bool:
        """Do as many calls of `put` would for tree nodes with one parent.

        Args:
            family: the path of the parent.
            names: of the tree nodes, one or more.
            payloads: of each.
            command: as for `put`.

        Returns:
            Whether it was done. If not, nothing has changed: something in the tree is watched,
            and each put has to be looked at by itself.
        """
        if self._is_anything_watched:
            return False
        parent = self._parent_of((*family, names[0]))
        assert parent is not None, "only a watcher stands in the way of a put"
        children, made = parent.children, 0
        for name, payload in zip(names, payloads, strict=True):
            node = children.get(name)
            leaf = _new(TreeNode)  # as in `put`
            if node is None:
                made += 1
                leaf.payload_version = leaf.child_list_version = 1
                leaf.children, leaf.keep_while = NO_CHILDREN, None
            elif node.payload == payload:
                continue
            elif node.children:
                self._set_payload((*family, name), parent, node, payload)
                continue
            else:
                leaf.payload_version = node.payload_version + 1
                leaf.child_list_version = node.child_list_version
                leaf.children, leaf.keep_while = node.children, node.keep_while
            leaf.payload, leaf.size = payload, 1
            children[name] = leaf  # type: ignore[index]  # owned
        if made:
            parent.child_list_version += made
            self._grow(family, made)
        self._unsealed.append(command)
        return True

    def _parent_of(self, path: Names) -> TreeNode | None:
        """Give the parent of a path, owned and made if need be; None if somebody may care."""
        parent_path = path[:-1]
        if self._is_anything_watched and self._is_watched(path, parent_path):
            return None
        parent = self._owned.get(parent_path)
        if parent is None:
            parent, depth = self._own(parent_path)
            if depth < len(parent_path):
                parent = self._make_parents(parent, parent_path, depth)
        return parent

    def _is_watched(self, path: Names, parent_path: Names) -> bool:
        """Tell whether watchers may care; also if parents are missing, which are not looked up."""
        sealed = self._sealed
        by_path, by_prefix, _expiries = sealed.watch_index
        if by_prefix or path in by_path or parent_path in by_path:
            return True
        if parent_path not in self._owned and not _exists(sealed.root, parent_path):
            return True
        return sealed.triggers.may_concern(path)

    def _own(self, path: Names) -> tuple[TreeNode, int]:
        """Own every node from the root to a path; give the deepest that exists, and its depth."""
        owned = self._owned
        node = owned.get(())
        if node is None:
            node = owned[()] = _own_copy(self._sealed.root)
        for depth, name in enumerate(path, 1):
            here = path[:depth]
            child = owned.get(here)
            if child is None:
                shared = node.children.get(name)
                if shared is None:
                    return node, depth - 1
                child = owned[here] = _own_copy(shared)
                node.children[name] = child  # type: ignore[index]  # owned
            node = child
        return node, len(path)

    def _make_parents(self, node: TreeNode, path: Names, depth: int) -> TreeNode:
        """Make the missing part of a path, implicitly; give its last node, which has no child."""
        node.child_list_version += 1
        self._grow(path[:depth], len(path) - depth)
        for made in range(depth, len(path)):
            child = TreeNode(None, 1, 1, {}, IMPLICIT, len(path) - made)
            node.children[path[made]] = child  # type: ignore[index]  # owned
            self._owned[path[: made + 1]] = child
            node = child
        # The first child, which comes next, is part of the node's creation: the version it raises
        # must end at 1.
        node.child_list_version = 0
        return node

    def _grow(self, path: Sequence[str], count: int) -> None:
        """Let a path's nodes, all of them owned, count so many more below them."""
        node = self._owned[()]
        node.size += count
        for name in path:
            node = node.children[name]
            node.size += count

    def _set_payload(self, path: Names, parent: TreeNode, node: TreeNode, payload: bytes) -> None:
        """Change the payload of a node with children; only such a node can be owned."""
        version = node.payload_version + 1
        if path in self._owned:
            node.payload = payload
            node.payload_version = version
            return
        # A node that is not owned may be read by others: it is replaced, never changed.
        parent.children[path[-1]] = TreeNode(  # type: ignore[index]  # owned
            payload, version, node.child_list_version, node.children, node.keep_while, node.size
        )


def _own_copy(node: TreeNode) -> TreeNode:
    children = node.children
    family: Any
    if isinstance(children, dict):
        family = children.copy()
    else:
        family = cast("immutables.Map[str, TreeNode]", children).mutate()
    return TreeNode(
        node.payload,
        node.payload_version,
        node.child_list_version,
        family,
        node.keep_while,
        node.size,
    )


def _exists(root: TreeNode, path: Names) -> bool:
    node = root
    for name in path:
        child = node.children.get(name)
        if child is None:
            return False
        node = child
    return True
