"""What an operation tells of the tree nodes it changed: old payloads, new versions (spec §2.5)."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from . import commands
from .properties import DELETE_REASON, EXPLICIT, plain_properties
from .replies import DONE, properties_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .edit import Edit
    from .properties import NodeProperties
    from .replies import Reply
    from .tree import Names

Options = dict[int, Any]
"""The options of a command, by their number (``commands.py``)."""


def results(edit: Edit, targets: Sequence[Names], options: Options) -> Reply:
    """Tell of the targets and of everything removed, if the options ask for it."""
    mask = options.get(commands.RETURNING)
    if mask is None:
        return DONE
    told: list[tuple[Names, NodeProperties]] = []
    for path in targets:
        if path in edit.deleted:
            continue  # its removal is told instead
        node = edit.node_at(path)
        assert node is not None
        before = edit.before.get(path, node)
        payload = None if before is None else before.payload
        told.append((path, plain_properties(node, mask, payload)))
    named = set(targets)
    for path, (node, reason) in edit.deleted.items():
        if commands.TARGETS_ONLY in options and reason != EXPLICIT and path not in named:
            continue
        properties = plain_properties(node, mask, node.payload)
        if mask & DELETE_REASON:
            properties["delete_reason"] = reason
        told.append((path, properties))
    told.sort(key=itemgetter(0))
    return properties_reply(told)
