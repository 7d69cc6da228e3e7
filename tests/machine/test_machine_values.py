"""What can be stored, what cannot, and what counts as the same."""

from __future__ import annotations

import contextlib
import enum
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.encoding import EncodingError
from khepri.errors import InvalidValueError
from khepri.machine.tree import TreeNode, is_procedure
from khepri.machine.values import DEPTH_LIMIT, ProcedureName, decode_value, encode_value

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(),
    st.binary(),
    st.uuids(),
    st.datetimes(timezones=st.timezones()).map(
        lambda it: it.astimezone(timezone(it.utcoffset() or timedelta()))
    ),
)
keys = st.one_of(st.text(), st.integers(-(2**63), 2**64 - 1), st.binary(), st.booleans())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(keys, inner)
    ),
    max_leaves=20,
)


def shape(value: Any) -> object:
    """Make types and order part of a comparison."""
    if type(value) is dict:
        pairs: list[object] = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
        return "dict", shape(pairs)
    if type(value) in {list, tuple}:
        return type(value).__name__, [shape(element) for element in value]
    return type(value).__name__, repr(value)


@given(values)
def test_a_value_comes_back_equal_and_of_the_same_types(value: object) -> None:
    assert shape(decode_value(encode_value(value))) == shape(value)


@given(values)
def test_no_value_is_taken_for_the_name_of_a_stored_procedure(value: object) -> None:
    assert not is_procedure(encode_value(value))
    assert TreeNode(encode_value(value), 1, 1, {}).has_data


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ((1,), [1])])
def test_values_of_different_types_are_different_payloads(one: object, other: object) -> None:
    assert encode_value(one) != encode_value(other)


def test_dicts_in_different_order_are_different_payloads() -> None:
    assert encode_value({"a": 1, "b": 2}) != encode_value({"b": 2, "a": 1})


def test_a_bytearray_comes_back_as_bytes() -> None:
    assert decode_value(encode_value([bytearray(b"x"), memoryview(b"y")])) == [b"x", b"y"]


class Colour(enum.IntEnum):
    RED = 1


def deep(levels: int, kind: type[list[Any] | tuple[Any, ...]] = list) -> object:
    value: object = 1
    for _ in range(levels):
        value = kind([value])
    return value


def in_itself() -> object:
    value: list[object] = []
    value.append(value)
    return {"loop": value}


UNFIT: list[tuple[object, tuple[object, ...]]] = [
    (object(), ()),
    ({"a": [1, {2}]}, ("a", 1)),
    ({"big": 2**64}, ("big",)),
    ([-(2**63) - 1], (0,)),
    (datetime(2026, 1, 1), ()),  # noqa: DTZ001 - that is the point
    ([Colour.RED], (0,)),
    (OrderedDict([("a", 1)]), ()),
    ({"text": "\ud800"}, ("text",)),
    ({"\ud800": 1}, ("\ud800",)),
    ({frozenset([1]): 1}, ()),
    ([msgpack.ExtType(0x50, b"name")], (0,)),
    (msgpack.ExtType(0x54, b"\x90"), ()),
    ([msgpack.Timestamp(1)], (0,)),
    ([ProcedureName("p")], (0,)),
    ((1, (2, {3})), (1, 1)),
    (deep(DEPTH_LIMIT + 1), (0,) * DEPTH_LIMIT),
    (deep(DEPTH_LIMIT + 1, tuple), (0,) * DEPTH_LIMIT),
    (deep(600), (0,) * DEPTH_LIMIT),
]


@pytest.mark.parametrize(("value", "where"), UNFIT)
def test_what_cannot_be_carried_is_refused_with_its_place(
    value: object, where: tuple[object, ...]
) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        encode_value(value)
    assert refusal.value.facts["where"] == where


def test_who_stores_what_cannot_be_stored_is_told_what_can() -> None:
    with pytest.raises(InvalidValueError, match=r"of the type set; values are None, bool, int"):
        encode_value({1, 2})


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_depth_limit_itself_is_allowed(kind: Any) -> None:
    value = deep(DEPTH_LIMIT, kind)
    assert decode_value(encode_value(value)) == value


def test_a_value_that_contains_itself_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="contains itself"):
        encode_value(in_itself())


def test_a_datetime_keeps_its_offset_and_a_uuid_its_type() -> None:
    moment = datetime(2026, 7, 1, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=-3)))
    back = decode_value(encode_value(moment))
    assert (back, back.utcoffset()) == (moment, timedelta(hours=-3))
    assert decode_value(encode_value(datetime(1, 1, 1, tzinfo=UTC))).year == 1
    assert decode_value(encode_value(UUID(int=5))) == UUID(int=5)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 255])
def test_a_procedure_name_is_a_payload_of_its_own_kind(size: int) -> None:
    payload = encode_value(ProcedureName("n" * size))
    node = TreeNode(payload, 1, 1, {})
    assert node.has_procedure
    assert not node.has_data
    name = decode_value(payload)
    assert isinstance(name, ProcedureName)
    assert name == "n" * size


@pytest.mark.parametrize("name", ["", "n" * 256, "é" * 128])
def test_a_procedure_name_has_1_to_255_bytes(name: str) -> None:
    with pytest.raises(InvalidValueError):
        ProcedureName(name)


@given(st.binary(max_size=40))
def test_garbled_bytes_are_an_encoding_error_or_a_value(data: bytes) -> None:
    with contextlib.suppress(EncodingError):
        decode_value(data)
