"""Reading the tree: every question the store's read functions ask, on one immutable root.

All functions take the root of a published view, change nothing, and may be called in any thread:
a long walk works on the tree as it was when it began and stops nobody. Many nodes always come in
path order (parents first, siblings by name). Nothing recurses, so no tree is too deep.

Patterns are resolved ones (``paths.resolve_path``). Payloads are decoded on the way out, so what
a caller gets is its own.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from khepri.encoding import pack

from .conditions import IfNameMatches, IfPathMatches
from .outcomes import Found, MismatchingNode, to_error
from .paths import Path
from .patterns import find_many, find_one
from .properties import (
    PAYLOAD,
    PAYLOAD_VERSION,
    decoded_properties,
    known_path,
    plain_properties,
)
from .values import decode_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .patterns import Pattern
    from .properties import NodeProperties
    from .tree import Names, TreeNode

_EVERYTHING_BELOW: Final = (IfNameMatches(), IfPathMatches())


# --- one node ---


def get(root: TreeNode, pattern: Pattern) -> Any:  # noqa: ANN401 - what was stored decides
    """Give the payload of one node; None if it has none.

    A stored procedure comes as its `values.ProcedureName`.

    Raises:
        NodeNotFoundError: it does not exist.
        MismatchingNodeError: it does not meet the pattern's conditions.
        ManyNodesDeniedError: the pattern may match several nodes.
    """
    if type(pattern) is Path:
        node = root
        try:
            for name in pattern:
                node = node.children[name]
        except KeyError:
            node = find_node(root, pattern)  # raises, and knows how far the path exists
    else:
        node = find_node(root, pattern)
    payload = node.payload
    return None if payload is None else decode_value(payload)


def find_node(root: TreeNode, pattern: Pattern) -> TreeNode:
    """Give one tree node itself. Errors as for `get`."""
    return find_match(root, pattern)[1]


def find_match(root: TreeNode, pattern: Pattern) -> tuple[Names, TreeNode]:
    """Give the path of one tree node and the node itself. Errors as for `get`."""
    outcome = find_one(root, pattern)
    if isinstance(outcome, Found):
        return outcome.path, outcome.node
    if isinstance(outcome, MismatchingNode):
        node = outcome.node
        plain = plain_properties(node, PAYLOAD | PAYLOAD_VERSION, node.payload)
        raise to_error(outcome, decoded_properties(plain))
    raise to_error(outcome)


def get_or(root: TreeNode, pattern: Pattern, default: object) -> Any:  # noqa: ANN401 - see get
    """Give the payload of one node; the default if it has none, is not there or does not match.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes.
    """
    outcome = find_one(root, pattern)
    if isinstance(outcome, Found) and outcome.node.payload is not None:
        return decode_value(outcome.node.payload)
    return default


def exists(root: TreeNode, pattern: Pattern) -> bool:
    """Tell whether a node is there and meets the pattern.

    Raises:
        ManyNodesDeniedError: the pattern may match several nodes.
    """
    return isinstance(find_one(root, pattern), Found)


def has_data(root: TreeNode, pattern: Pattern) -> bool:
    """Tell whether a node is there, meets the pattern and has data. Errors as for `exists`."""
    outcome = find_one(root, pattern)
    return isinstance(outcome, Found) and outcome.node.has_data


def is_sproc(root: TreeNode, pattern: Pattern) -> bool:
    """Tell the same of a stored procedure. Errors as for `exists`."""
    outcome = find_one(root, pattern)
    return isinstance(outcome, Found) and outcome.node.has_procedure


# --- many nodes ---


def data_of(matches: Iterable[tuple[Names, TreeNode]], default: object = None) -> dict[Path, Any]:
    """Give the payloads of found nodes by path, the default where there is none."""
    return {
        known_path(path): default if node.payload is None else decode_value(node.payload)
        for path, node in matches
    }


def count(root: TreeNode, pattern: Pattern, *, include_root: bool = False) -> int:
    """Give the number of matches, with or without payload.

    Counting the children of one node (``/a/b/*``) or everything below it (``/a/b/**``) does not
    walk: nodes know their size and their children.
    """
    if pattern and pattern[-1] in _EVERYTHING_BELOW:
        above = pattern[:-1]
        if all(isinstance(component, str) for component in above):
            top = find_one(root, above)
            if not isinstance(top, Found):
                return 0
            node = top.node
            is_root_too = include_root and not above
            below = node.size - 1 if pattern[-1] == IfPathMatches() else len(node.children)
            return below + is_root_too
    return sum(1 for _ in find_many(root, pattern, include_root=include_root))


def fingerprint(root: TreeNode, pattern: Pattern, mask: int) -> bytes:
    """Give 16 bytes that change if a read of this pattern and these properties would.

    What is compared is what a read can see, so a node that was removed and made again the same is
    the same.
    """
    seen = [
        [path, plain_properties(node, mask, node.payload)]
        for path, node in find_many(root, pattern)
    ]
    return blake2b(pack(seen), digest_size=16).digest()


def properties_of(node: TreeNode, mask: int) -> NodeProperties:
    """Give the asked properties of a node with its payload decoded."""
    return decoded_properties(plain_properties(node, mask, node.payload))
