"""Trees, names, components and patterns for the tests of paths and patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import immutables
from hypothesis import strategies as st

from khepri.machine.comparisons import Comparison, Eq, Ge, Gt, Le, Lt, Ne, Var
from khepri.machine.conditions import (
    Component,
    Condition,
    IfAll,
    IfAny,
    IfChildListLength,
    IfChildListVersion,
    IfDataMatches,
    IfHasData,
    IfHasPayload,
    IfHasSproc,
    IfNameLike,
    IfNameMatches,
    IfNodeExists,
    IfNot,
    IfPathMatches,
    IfPayloadVersion,
)
from khepri.machine.data_patterns import ANY, DictWith
from khepri.machine.names import PARENT, ROOT, THIS
from khepri.machine.tree import TreeNode, procedure_payload
from khepri.machine.values import encode_value

if TYPE_CHECKING:
    from collections.abc import Mapping

Branches: TypeAlias = "Mapping[str, Any]"
"""A tree as nested dicts: name to what is below. Under the empty name there may be data."""

NOTHING = object()


def leaf(
    value: object = NOTHING, *, payload_version: int = 1, child_list_version: int = 1
) -> TreeNode:
    """A tree node without children; with data if a value is given."""
    payload = None if value is NOTHING else encode_value(value)
    return TreeNode(payload, payload_version, child_list_version, {})


def procedure_node() -> TreeNode:
    """A tree node whose payload is a stored procedure."""
    return TreeNode(procedure_payload("do_it"), 1, 1, {})


def tree(branches: Branches, data: Mapping[str, object] | None = None, at: str = "") -> TreeNode:
    """The root of a tree given as nested dicts, with data by unix path.

    ``tree({"a": {"b": {}}}, {"/a/b": 1})``
    """
    data = data or {}
    children = {name: tree(below, data, f"{at}/{name}") for name, below in branches.items()}
    payload = encode_value(data[at]) if at in data else None
    # Every other family is a persistent map, as large families are.
    family = children if len(at) % 2 else immutables.Map(children)
    return TreeNode(payload, 1, 1, family)


def chain(depth: int) -> TreeNode:
    """The root of a tree that is one line of nodes called ``x``."""
    node = leaf(1)
    for _ in range(depth):
        node = TreeNode(None, 1, 1, {"x": node})
    return node


any_name = st.text(max_size=20)
"""Any name at all: Hypothesis' texts have no surrogates."""

odd_name = st.sampled_from(
    ["", ".", "..", "*", "**", "/", "%", "%2A", "%zz", ":a", "a b", "é", "a*b"]
)

few_names = st.sampled_from(["a", "b", "c", "ab"])
"""So few names that patterns often match."""

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(max_size=2) | st.integers(-2, 2) | st.booleans(), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def _compare(kind: type[Comparison], operand: int) -> Comparison:
    return kind(operand)


comparisons = st.builds(_compare, st.sampled_from([Eq, Ne, Lt, Le, Gt, Ge]), st.integers(0, 3))
numbers: st.SearchStrategy[Any] = st.integers(0, 3) | comparisons

data_patterns: st.SearchStrategy[Any] = st.recursive(
    scalars
    | st.sampled_from(
        [ANY, int, str, dict, list, tuple, bool, float, type(None), Var("x"), Var("y")]
    )
    | comparisons,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(-2, 2), inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(DictWith)
    ),
    max_leaves=6,
)

regexes = st.sampled_from([None, "a", "^a", "b$", "^a.*b$", "[bc]", ""])
flags = st.booleans()

simple_conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(IfNameMatches, regexes),
    st.builds(IfPathMatches, regexes),
    st.lists(st.sampled_from(["", "a", "b"]), min_size=2, max_size=4).map(tuple).map(IfNameLike),
    st.builds(IfNodeExists, flags),
    st.builds(IfHasPayload, flags),
    st.builds(IfHasData, flags),
    st.builds(IfHasSproc, flags),
    st.builds(IfPayloadVersion, numbers),
    st.builds(IfChildListVersion, numbers),
    st.builds(IfChildListLength, numbers),
    st.builds(IfDataMatches, data_patterns),
)


def _composites(inner: st.SearchStrategy[Component]) -> st.SearchStrategy[Component]:
    members = st.lists(inner, max_size=3)
    return (
        st.builds(IfNot, inner)
        | members.map(lambda parts: IfAll(*parts))
        | members.map(lambda parts: IfAny(*parts))
    )


conditions: st.SearchStrategy[Component] = st.recursive(
    simple_conditions | few_names | st.sampled_from([THIS, ROOT]), _composites, max_leaves=5
)

wildcards = st.sampled_from([IfNameMatches(), IfPathMatches(), IfPathMatches("b")])

components: st.SearchStrategy[Component] = (
    few_names | wildcards | conditions | st.sampled_from([THIS, PARENT, ROOT])
)

_named_conditions = st.builds(
    IfAll,
    few_names | st.just(THIS),
    simple_conditions.filter(lambda condition: not isinstance(condition, IfPathMatches)),
)
one_node_patterns = st.lists(
    few_names | few_names | _named_conditions | st.sampled_from([THIS, PARENT]), max_size=5
)
"""Patterns that name one tree node, as lists of components, not resolved."""

patterns = st.lists(components, max_size=5)
"""Patterns as lists of components, not resolved."""

_no_branches: dict[str, Any] = {}
branches: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just(_no_branches),
    lambda inner: st.dictionaries(few_names, inner, max_size=3),
    max_leaves=12,
)


@st.composite
def trees(draw: st.DrawFn) -> TreeNode:
    """Small trees of few names, with data, procedures and versions here and there."""
    return _grown(draw, draw(branches))


def _grown(draw: st.DrawFn, below: Branches) -> TreeNode:
    children = {name: _grown(draw, further) for name, further in below.items()}
    payload = draw(
        st.none() | st.integers(0, 2).map(encode_value) | st.just(procedure_payload("do_it"))
    )
    return TreeNode(payload, draw(st.integers(1, 3)), draw(st.integers(1, 3)), children)
