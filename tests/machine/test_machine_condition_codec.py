"""Conditions as plain values: there and back, and nothing but an error for garbage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from khepri.encoding import EncodingError, pack, unpack
from khepri.machine.comparisons import Eq, Gt, Lt, Var
from khepri.machine.condition_codec import component_from_plain, component_to_plain
from khepri.machine.conditions import (
    MAX_CONDITION_DEPTH,
    Component,
    IfAll,
    IfDataMatches,
    IfHasData,
    IfNameLike,
    IfNodeExists,
    IfNot,
    IfPayloadVersion,
)
from khepri.machine.data_patterns import ANY, MAX_PATTERN_DEPTH, DictWith, Guard
from khepri.machine.names import MAX_NAME_BYTES, PARENT, ROOT, THIS
from khepri.machine.values import encode_value
from tests.machine.pattern_helpers import components


@given(components)
@example(IfDataMatches({"low": Var("l"), "high": Var("h")}, [Guard("l", Lt(Var("h")))]))
@example(IfDataMatches(DictWith({1: [ANY, (int, None)], 2: Gt(1.5)})))
@example(IfPayloadVersion(Eq(3)))
@example(IfNameLike(("a", "", "b")))
def test_every_component_survives_its_plain_form(component: Component) -> None:
    plain = unpack(pack(component_to_plain(component)))
    assert component_from_plain(plain) == component


def test_plain_forms_are_small() -> None:
    assert component_to_plain("a") == "a"
    assert component_to_plain(THIS) == 1
    assert component_to_plain(IfNodeExists(exists=False)) == [4, False]
    assert len(pack(component_to_plain(IfAll("a", IfNodeExists(exists=False))))) == 8


def test_the_specials_have_numbers() -> None:
    assert [component_from_plain(number) for number in (0, 1, 2)] == [ROOT, THIS, PARENT]


LITERAL = encode_value(1)

GARBAGE: list[Any] = [
    None,
    3,
    -1,
    True,
    1.0,
    b"a",
    "\ud800",
    "a" * (MAX_NAME_BYTES + 1),
    {},
    {"a": 1},
    [],
    [1],
    [1, None, None],
    [0, True],
    [99, True],
    ["4", True],
    [True, None],
    [4, 1],
    [4, None],
    [4, [True]],
    [1, 5],
    [1, "["],
    [1, b"a"],
    [2, ["a"]],
    [3, "ab"],
    [3, ["a"]],
    [3, [1, 2]],
    [8, -1],
    [8, True],
    [8, None],
    [8, []],
    [8, [9, LITERAL]],
    [8, [0, 1]],
    [8, [0, encode_value("1")]],
    [8, [0, "x"]],
    [11, None],
    [11, [None]],
    [11, [None, None]],
    [11, [None, [["x", [0, LITERAL]]]]],
    [11, ["x", [[1, [0, LITERAL]]]]],
    [11, ["x", [["x", [9, LITERAL]]]]],
    [11, [b"", []]],
    [11, [b"\xc1", []]],
    [11, ["", []]],
    [11, [[0, "complex"], []]],
    [11, [[0, ["int"]], []]],
    [11, [[1, [0, "x"]], []]],
    [11, [[9, []], []]],
    [11, [[2, None], []]],
    [11, [[4, [LITERAL]], []]],
    [11, [[4, [["a", None]]], []]],
    [11, [[4, [[LITERAL, None], [LITERAL, None]]], []]],
    [12, 2],
    [12, None],
    [12, []],
    [13, "a"],
    [13, [2]],
    [13, [None]],
    [14, {"a": 1}],
]


@pytest.mark.parametrize("plain", GARBAGE, ids=repr)
def test_what_is_no_component_is_an_encoding_error(plain: object) -> None:
    with pytest.raises(EncodingError):
        component_from_plain(plain)


def test_nesting_beyond_the_limit_is_an_encoding_error_and_no_overflow() -> None:
    deepest: Component = IfHasData()
    for _ in range(MAX_CONDITION_DEPTH - 1):
        deepest = IfNot(deepest)
    assert component_from_plain(component_to_plain(deepest)) == deepest
    plain: object = component_to_plain(IfHasData())
    for _ in range(MAX_CONDITION_DEPTH):
        plain = [12, plain]
    with pytest.raises(EncodingError):
        component_from_plain(plain)
    for _ in range(100_000):
        plain = [13, [plain]]
    with pytest.raises(EncodingError):
        component_from_plain(plain)


def test_data_patterns_nested_beyond_the_limit_are_an_encoding_error() -> None:
    plain: object = None
    for _ in range(MAX_PATTERN_DEPTH + 1):
        plain = [2, [plain]]
    with pytest.raises(EncodingError):
        component_from_plain([11, [plain, []]])


plain_junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 15)
    | st.text(max_size=3)
    | st.binary(max_size=4)
    | st.sampled_from([LITERAL, "int", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(st.integers(0, 15), inner).map(list)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(plain_junk)
def test_junk_is_a_component_or_an_encoding_error(plain: object) -> None:
    try:
        component = component_from_plain(plain)
    except EncodingError:
        return
    assert component_from_plain(component_to_plain(component)) == component


@given(components, st.integers(0), st.integers(0, 255))
def test_a_garbled_byte_is_a_component_or_an_encoding_error(
    component: Component, where: int, byte: int
) -> None:
    data = bytearray(pack(component_to_plain(component)))
    data[where % len(data)] = byte
    try:
        component_from_plain(unpack(bytes(data)))
    except EncodingError:
        return
