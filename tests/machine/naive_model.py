"""A second, naive tree: a dict of paths, no sharing, no index, no shared code with the machine.

Slow and plain on purpose: everything is looked for by looking at everything. Versions come from
comparing before and after. Conditions and patterns are tuples that both sides translate:

- a condition: ("exists", bool), ("has_payload", bool), ("children", n), ("version", n),
  ("data", value);
- a component of a pattern: a name, "*", "**", or a condition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Names = tuple[str, ...]
Payload = tuple[object] | None
Condition = tuple[str, object]
Component = str | Condition
Pattern = tuple[Component, ...]
KeepWhile = tuple[tuple[Pattern, Condition], ...]

IMPLICIT = "implicit"


@dataclass(frozen=True)
class Node:
    payload: Payload = None  # a one-tuple with the value, or None
    payload_version: int = 1
    child_list_version: int = 1
    keep_while: KeepWhile | str | None = None
    expiry: tuple[int, int] | None = None  # the moment and how long it was given


class Refused(Exception):  # noqa: N818 - the expected outcome of an operation
    """The kind of error an operation ends with."""


class NaiveTree:
    def __init__(self) -> None:
        self.nodes: dict[Names, Node] = {(): Node()}
        self.before = dict(self.nodes)
        self.created: set[Names] = set()
        self.child_changes: set[Names] = set()
        self.payload_changes: set[Names] = set()
        self.deleted: dict[Names, tuple[Node, str]] = {}
        self.touched: set[Names] = set()
        self.now = 1_000

    # --- looking ---

    def children(self, path: Names) -> list[Names]:
        return [at for at in self.nodes if len(at) == len(path) + 1 and at[:-1] == path]

    def below(self, path: Names) -> list[Names]:
        return [at for at in self.nodes if len(at) > len(path) and at[: len(path)] == path]

    def holds(self, path: Names, condition: Condition) -> bool:
        kind, argument = condition
        node = self.nodes[path]
        if kind == "exists":
            return bool(argument)
        if kind == "has_payload":
            return (node.payload is not None) is argument
        if kind == "children":
            return len(self.children(path)) == argument
        if kind == "version":
            return node.payload_version == argument
        assert kind == "data"
        return node.payload is not None and same(node.payload[0], argument)

    def matches(self, pattern: Pattern) -> set[Names]:
        here: set[Names] = {()}
        for component in pattern:
            here = {at for path in here for at in self.step(path, component)}
        return here

    def step(self, path: Names, component: Component) -> list[Names]:
        if component == "**":
            return self.below(path)
        children = self.children(path)
        if component == "*":
            return children
        if isinstance(component, str):
            return [at for at in children if at[-1] == component]
        return [at for at in children if self.holds(at, component)]

    def places(self, pattern: Pattern) -> set[Names]:
        """Where a put with this pattern goes, existing or not."""
        here: set[Names] = {()}
        for component in pattern:
            following: set[Names] = set()
            for path in here:
                if isinstance(component, str) and component not in {"*", "**"}:
                    following.add((*path, component))
                elif path in self.nodes:
                    following.update(self.step(path, component))
            here = following
        return here

    # --- operations ---

    def begin(self) -> None:
        self.before = dict(self.nodes)
        self.created = set()
        self.child_changes = set()
        self.payload_changes = set()
        self.deleted = {}
        self.touched = set()

    def put(
        self,
        pattern: Pattern,
        payload: Payload,
        keep_while: KeepWhile | None = None,
        ttl: int | None = None,
    ) -> dict[Names, dict[str, Any]]:
        self.begin()
        targets = sorted(self.places(pattern))
        if keep_while is not None:
            for path in targets:
                newcomer = path if path not in self.nodes else None
                if self.unmet(keep_while, newcomer):
                    raise Refused("keep_while")
        for path in targets:
            self.put_one(path, payload, keep_while, ttl)
        self.settle()
        return self.results(targets)

    def put_one(
        self,
        path: Names,
        payload: Payload,
        keep_while: KeepWhile | None,
        ttl: int | None = None,
    ) -> None:
        if path in self.nodes:
            if keep_while is not None:
                self.nodes[path] = replace(self.nodes[path], keep_while=keep_while or None)
            if ttl is not None:
                self.set_ttl(path, ttl)
            self.set_payload(path, payload)
            return
        self.make_parents(path)
        expiry = (self.now + ttl, ttl) if ttl else None
        self.add(path, Node(payload, keep_while=keep_while or None, expiry=expiry))

    def set_ttl(self, path: Names, ttl: int) -> None:
        expiry = (self.now + ttl, ttl) if ttl else None
        self.nodes[path] = replace(self.nodes[path], expiry=expiry)

    def make_parents(self, path: Names) -> None:
        for length in range(1, len(path)):
            if path[:length] not in self.nodes:
                self.add(path[:length], Node(keep_while=IMPLICIT))

    def add(self, path: Names, node: Node) -> None:
        self.nodes[path] = node
        self.created.add(path)
        self.child_changes.add(path[:-1])
        self.touched |= {path, path[:-1]}

    def set_payload(self, path: Names, payload: Payload) -> None:
        node = self.nodes[path]
        if same(node.payload, payload):
            return
        self.nodes[path] = replace(node, payload=payload)
        self.payload_changes.add(path)
        self.touched.add(path)
        self.drop_idle(path)

    def drop_idle(self, path: Names) -> None:
        node = self.nodes[path]
        if node.keep_while == IMPLICIT and node.payload is None and not self.children(path):
            self.remove(path, "keep_while")

    def clear(self, pattern: Pattern) -> dict[Names, dict[str, Any]]:
        self.begin()
        targets = sorted(self.matches(pattern))
        for path in targets:
            if path in self.nodes:
                self.set_payload(path, None)
        self.settle()
        return self.results(targets)

    def delete(self, pattern: Pattern) -> dict[Names, dict[str, Any]]:
        self.begin()
        for path in sorted(self.matches(pattern)):
            if path in self.nodes:
                self.remove(path, "explicit")
        self.settle()
        return self.results([])

    def increment(self, path: Names, by: int) -> dict[Names, dict[str, Any]] | str:
        payload = self.nodes[path].payload if path in self.nodes else None
        number = 0 if payload is None else payload[0]
        if type(number) is not int:
            return "mismatching"
        return self.put(path, (number + by,))

    def transplant(
        self, source: Names, target: Names, *, move: bool
    ) -> dict[Names, dict[str, Any]] | str:
        if source not in self.nodes:
            return "not_found"
        if target in self.nodes:
            return "mismatching"
        self.begin()
        self.make_parents(target)
        for at in sorted([source, *self.below(source)]):
            old = self.nodes[at]
            fresh = Node(old.payload, keep_while=old.keep_while, expiry=old.expiry)
            self.add((*target, *at[len(source) :]), fresh)
        if move:
            self.remove(source, "explicit")
        self.settle()
        return self.results([target])

    def touch(self, path: Names, ttl: int | None) -> dict[Names, dict[str, Any]] | str:
        node = self.nodes.get(path)
        if node is None:
            return "not_found"
        if ttl is None and node.expiry is None:
            return "mismatching"
        self.begin()
        self.set_ttl(path, node.expiry[1] if ttl is None and node.expiry else ttl or 0)
        return self.results([path])

    def let_pass(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.begin()
        due = [
            (node.expiry[0], at)
            for at, node in self.nodes.items()
            if node.expiry is not None and node.expiry[0] <= self.now
        ]
        for _moment, at in sorted(due):
            if at in self.nodes:
                self.remove(at, "expired")
        self.settle()

    def remove(self, path: Names, reason: str) -> None:
        self.bump_all()
        for at in sorted([path, *self.below(path)]):
            self.deleted[at] = (self.nodes[at], reason)
            self.touched.add(at)
        if not path:
            root = self.nodes[()]
            if root.payload is not None:
                self.payload_changes.add(())
            if self.children(()):
                self.child_changes.add(())
            self.nodes = {(): replace(root, payload=None)}
            return
        for at in [path, *self.below(path)]:
            del self.nodes[at]
        self.child_changes.add(path[:-1])
        self.touched.add(path[:-1])
        if path[:-1]:
            self.drop_idle(path[:-1])

    # --- keep while ---

    def unmet(self, keep_while: KeepWhile, newcomer: Names | None) -> bool:
        for pattern, condition in keep_while:
            prefix = literal_prefix(pattern)
            if newcomer is not None and prefix[: len(newcomer)] == newcomer:
                continue
            found = self.matches(pattern)
            if not found and condition != ("exists", False):
                return True
            if any(not self.holds(path, condition) for path in found):
                return True
        return False

    def settle(self) -> None:
        while self.touched:
            self.bump_all()
            doomed = [
                path
                for path, node in sorted(self.nodes.items())
                if isinstance(node.keep_while, tuple)
                and self.concerned(node.keep_while)
                and self.unmet(node.keep_while, path if path in self.created else None)
            ]
            self.touched = set()
            for path in doomed:
                if path in self.nodes:
                    self.remove(path, "keep_while")
        self.bump_all()

    def concerned(self, keep_while: KeepWhile) -> bool:
        for pattern, _condition in keep_while:
            prefix = literal_prefix(pattern)
            for path in self.touched:
                if path == pattern or (prefix != pattern and path[: len(prefix)] == prefix):
                    return True
        return False

    # --- versions, results, events ---

    def bump_all(self) -> None:
        """Versions are those of before plus one, for what has changed."""
        for path in self.payload_changes | self.child_changes:
            node = self.nodes.get(path)
            if node is None or path in self.created:
                continue
            old = self.before[path]
            self.nodes[path] = replace(
                node,
                payload_version=old.payload_version + (path in self.payload_changes),
                child_list_version=old.child_list_version + (path in self.child_changes),
            )

    def results(self, targets: list[Names]) -> dict[Names, dict[str, Any]]:
        told: dict[Names, dict[str, Any]] = {}
        for path in targets:
            if path not in self.deleted:
                node = self.nodes[path]
                old = None if path in self.created else self.before[path].payload
                told[path] = properties(replace(node, payload=old))
        for path, (node, reason) in self.deleted.items():
            told[path] = {**properties(node), "delete_reason": reason}
        return told

    def changes(self) -> list[tuple[Names, str]]:
        kinds: dict[Names, str] = {}
        for path in self.payload_changes | self.child_changes:
            kinds[path] = "update"
        for path in self.created:
            kinds[path] = "create"
        for path in self.deleted:
            if path:
                kinds[path] = "delete"
        return sorted(kinds.items())


def properties(node: Node) -> dict[str, Any]:
    told: dict[str, Any] = {
        "payload_version": node.payload_version,
        "child_list_version": node.child_list_version,
    }
    if node.payload is not None:
        told["data"] = node.payload[0]
    return told


def literal_prefix(pattern: Pattern) -> Names:
    names: list[str] = []
    for component in pattern:
        if not isinstance(component, str) or component in {"*", "**"}:
            break
        names.append(component)
    return tuple(names)


def same(left: object, right: object) -> bool:
    """Tell whether two payloads are the same data: 1 and 1.0 are not."""
    return repr(left) == repr(right)
