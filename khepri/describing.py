"""A store as lines of text for a person: `khepri.info` and ``khepri info`` print them.

All is read on this node: the published tree, and one question to the server here. What is not
answered is said in place of the answer. Each part is bounded, whatever the store holds.
"""

from __future__ import annotations

from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Final

from khepri.actors.server_messages import GetStatus
from khepri.errors import KhepriError
from khepri.machine.paths import Path
from khepri.machine.shown import shown
from khepri.raft.types import UNDISTRIBUTED

from .calls import call, result
from .painting import many, one_line, path_text, shortened
from .projection_table import ProjectionKeeper
from .tree_text import tree_lines
from .triggering import listed_triggers
from .viewing import Viewer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from khepri.actors.access import StoreAccess
    from khepri.actors.node import Node
    from khepri.actors.server_status import ServerStatus
    from khepri.machine.machine import View
    from khepri.machine.patterns import Pattern
    from khepri.machine.tree import Names, TreeNode
    from khepri.raft.types import ServerId

    from .painting import Paint
    from .reading import Reader
    from .tree_text import Style

ANSWER_SECONDS: Final = 1.0
"""So long is waited for the server here: it answers at once, or it stands still."""

_LINE_CHARACTERS: Final = 400
"""Longer lines, of which a terminal makes several, are cut."""

_KINDS: Final = {
    "voter": "voter",
    "promotable": "becomes a voter when it has caught up",
    "non_voter": "has no vote",
}


def stores_lines(stores: Mapping[str, StoreAccess], paint: Paint) -> Iterator[str]:
    """Tell which stores run."""
    listed = sorted(stores.items())
    yield paint.bold("Running stores:") if listed else "No stores are running."
    for store_id, access in listed:
        view = access.view
        has = "is being started" if view is None else many(view.root.size - 1, "tree node")
        yield f"  {one_line(store_id)}  {paint.dim(has)}"


def store_lines(store: Reader, style: Style) -> Iterator[str]:
    """Describe a store.

    Raises:
        NoSuchServerError: it does not run here.
    """
    node, access = store.node, store.access
    paint = style.paint
    yield paint.bold(one_line(store.store_id)) + _where(node, store.store_id)
    # They are few, and what is said of them belongs together.
    yield from _part("Members", _members(node, access), style._replace(limit=None))
    try:
        view = _view(store)
    except KhepriError as error:
        yield from _part("Tree", [_cannot(error)], style)
        return
    yield from _kept(view, style)
    yield from _part("Projections", _projections(access), style)
    yield from _part("Triggers", _triggers(view), style)
    yield ""
    yield paint.bold("Tree") + f": {many(view.root.size - 1, 'tree node')} below the root"
    yield from tree_lines(view.root, style)


def _view(store: Reader) -> View:
    """Give the published tree; one that is being recovered is waited for a moment."""
    return Viewer(store.store_id, store.node).view(timeout=ANSWER_SECONDS).held


def _part(title: str, lines: Iterable[str], style: Style, more: int = 0) -> Iterator[str]:
    """Give a part with its title, nothing for one without lines; `more` are left out already."""
    listed = list(lines)
    if not listed:
        return
    yield ""
    yield style.paint.bold(title)
    limit = len(listed) if style.limit is None else style.limit
    for line in listed[:limit]:
        yield "  " + one_line(shortened(line, _LINE_CHARACTERS))
    more += len(listed[limit:])
    if more:
        yield style.paint.dim(f"  ... and {more:,} more")


def _where(node: Node, store_id: str) -> str:
    """Say on which node and in which directory."""
    on = "" if node.name == UNDISTRIBUTED else f" on {node.name}"
    found = node.running.find(store_id)
    return on if found is None else f"{on} in {one_line(found[0].storage.path)}"


def _cannot(error: KhepriError) -> str:
    return f"cannot be asked: {error.message}"


# --- members


def _members(node: Node, access: StoreAccess) -> Iterator[str]:
    """Tell who belongs to the cluster, as the server here knows it, or else the cache."""
    try:
        status: ServerStatus = call(node, access.store_id, GetStatus(), result, ANSWER_SECONDS)
    except KhepriError as error:
        yield _cannot(error)
        cached = access.membership
        if cached is not None:
            yield "as was known before:"
            yield from _columns(
                (member.node, _roles(member, cached.leader, access.server_id))
                for member in cached.members
            )
        return
    lost = {peer.server_id for peer in status.peers if not peer.is_reachable}
    yield from _columns(
        (
            member.node,
            [
                _KINDS[kind],
                *_roles(member, status.leader, access.server_id),
                *(["not reachable"] if member in lost else []),
            ],
        )
        for member, kind in zip(status.members, status.kinds, strict=True)
    )
    if access.server_id not in status.members:
        yield f"{access.server_id.node} is none of them, as far as it knows"
    if status.leader is None:
        yield "no leader is known: writes and consistent reads wait for one"


def _roles(member: ServerId, leader: ServerId | None, here: ServerId) -> list[str]:
    return ["leads"] * (member == leader) + ["this node"] * (member == here)


def _columns(rows: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    for name, words in listed:
        yield f"{name:{width}}  {', '.join(words)}".rstrip()


# --- what hangs on the tree


def _kept(view: View, style: Style) -> Iterator[str]:
    """Tell what is kept while what else is there."""
    index = view.state.watch_index
    watchers: set[Names] = set()
    for of_one in chain(index.by_path.values(), index.by_prefix.values()):
        watchers.update(of_one)
    some = sorted(watchers) if style.limit is None else nsmallest(style.limit, watchers)
    lines = [
        f"{path_text(path)}  while {watched}: {condition}"
        for path in some
        for watched, condition in _watches(view.root, path)
    ]
    # Each is a tree node; what it is kept while of has a line for each condition.
    whole = style._replace(limit=None)
    return _part("Kept while", lines, whole, more=len(watchers) - len(some))


def _watches(root: TreeNode, path: Names) -> Iterator[tuple[str, str]]:
    node = root
    for name in path:
        node = node.children[name]
    assert node.keep_while is not None, "the index follows from the tree"
    for pattern, condition in node.keep_while.watches:
        yield pattern_text(pattern), shown(condition)


def _projections(access: StoreAccess) -> Iterator[str]:
    rows: list[tuple[str, list[str]]] = []
    for name in access.outlet.names():
        keeper = access.outlet.named(name)
        if isinstance(keeper, ProjectionKeeper):  # it may have gone meanwhile
            rows.append((name, [pattern_text(keeper.path_pattern)]))
    return _columns(rows)


def _triggers(view: View) -> Iterator[str]:
    """Tell the triggers, and how many calls are owed."""
    for trigger_id, trigger in listed_triggers(view).items():
        owed = f", {many(trigger.calls_owed, 'call')} owed" if trigger.calls_owed else ""
        priority = f", priority {trigger.priority}" if trigger.priority else ""
        yield (
            f"{trigger_id}  {'/'.join(trigger.on_actions)} of {pattern_text(trigger.path_pattern)}"
            f" calls {path_text(trigger.procedure_path)}{priority}{owed}"
        )


def pattern_text(pattern: Pattern) -> str:
    """Write a path or pattern."""
    return path_text(pattern) if isinstance(pattern, Path) else str(pattern)
