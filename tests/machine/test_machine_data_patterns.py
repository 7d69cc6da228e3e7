"""Data patterns: what they match (spec §3.1, ``if_data_matches``)."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import InvalidConditionError
from khepri.machine.comparisons import Eq, Ge, Gt, Le, Lt, Ne, Var
from khepri.machine.data_patterns import (
    ANY,
    MAX_GUARDS,
    MAX_PATTERN_DEPTH,
    DataPattern,
    DictWith,
    Guard,
)
from khepri.machine.same_data import same_data
from khepri.machine.values import decode_value, encode_value
from tests.machine.pattern_helpers import data_patterns, values

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
SOME_ID = uuid.UUID(int=7)


def fits(pattern: object, value: object, *where: Guard) -> bool:
    """Ask twice, of the value and of its encoded form."""
    compiled = DataPattern.of(pattern, where)
    answer = compiled.matches(value)
    assert compiled.matches_encoded(encode_value(value)) is answer
    return answer


# --- literals ----


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1,
        -1,
        1.5,
        "",
        "a",
        b"",
        b"a",
        [],
        [1],
        (),
        (1,),
        {},
        {"a": 1},
        NOON,
        SOME_ID,
    ],
)
def test_a_value_matches_itself_and_no_other(value: object) -> None:
    assert fits(value, value)
    assert not fits(value, "something else")


@pytest.mark.parametrize("one", [1, 1.0, True, "1", b"1", [1], (1,)])
@pytest.mark.parametrize("other", [1, 1.0, True, "1", b"1", [1], (1,)])
def test_values_of_different_types_are_different_data(one: object, other: object) -> None:
    assert fits(one, other) is (type(one) is type(other))
    assert fits([one], [other]) is (type(one) is type(other))
    assert fits({"k": one}, {"k": other}) is (type(one) is type(other))


def test_keys_of_different_types_are_different_data() -> None:
    assert fits({1: "a"}, {1: "a"})
    assert not fits({1: "a"}, {True: "a"})
    assert not fits({1: "a"}, {1.0: "a"})
    assert not fits({(1,): "a"}, {(True,): "a"})
    assert not fits({1: ANY}, {True: "a"})
    assert not fits({"1": ANY}, {1: "a"})


def test_the_order_of_keys_does_not_count() -> None:
    assert fits({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert fits({"a": {"c": 1, "d": 2}}, {"a": {"d": 2, "c": 1}})


def test_a_plain_dict_has_no_further_keys_and_misses_none() -> None:
    assert not fits({"a": 1}, {"a": 1, "b": 2})
    assert not fits({"a": 1, "b": 2}, {"a": 1})
    assert not fits({"a": ANY}, {"a": 1, "b": 2})
    assert not fits({"a": ANY, "b": ANY}, {"a": 1, "c": 2})


def test_not_a_number_is_itself_and_zero_has_a_sign() -> None:
    assert fits(float("nan"), float("nan"))
    assert not fits(0.0, -0.0)


def test_a_pattern_does_not_change_with_the_value_it_was_made_of() -> None:
    value = [1]
    pattern = DataPattern.of(value)
    value.append(2)
    assert pattern.matches([1])
    assert not pattern.matches([1, 2])


# --- parts ----


def test_any_matches_any_data() -> None:
    for value in (None, 1, [1, 2], {"a": ()}):
        assert fits(ANY, value)
        assert fits([ANY], [value])


def test_a_type_matches_data_of_exactly_that_type() -> None:
    assert fits(int, 1)
    assert not fits(int, True)
    assert not fits(float, 1)
    assert fits(type(None), None)
    assert fits({"when": dt.datetime, "id": uuid.UUID}, {"when": NOON, "id": SOME_ID})
    kinds: list[type] = [str, bytes, list, tuple, dict, bool]
    examples: list[object] = ["", b"", [], (), {}, False]
    assert fits(kinds, examples)


def test_a_comparison_matches_data_that_compares_so() -> None:
    assert fits({"limit": Gt(3)}, {"limit": 4})
    assert not fits({"limit": Gt(3)}, {"limit": 3})
    assert fits({"limit": Ge(3)}, {"limit": 3.5})
    assert fits(Lt("b"), "a")
    assert fits(Lt(b"b"), b"a")
    assert fits(Gt(NOON), NOON + dt.timedelta(seconds=1))
    assert fits(Eq(1), 1)
    assert not fits(Eq(1), 1.0)
    assert fits(Ne(1), 1.0)


def test_what_has_no_order_is_neither_before_nor_after() -> None:
    for operand in (1, "a", b"a", NOON):
        for value in (None, True, [1], (1,), {"a": 1}, SOME_ID):
            for kind in (Lt, Le, Gt, Ge):
                assert not fits(kind(operand), value)
    assert not fits(Le("1"), 1)
    assert not fits(Le(float("nan")), float("nan"))


def test_lists_and_tuples_match_part_by_part() -> None:
    assert fits([1, ANY, int], [1, "x", 3])
    assert not fits([1, ANY], [1])
    assert not fits([1, ANY], [1, 2, 3])
    assert not fits([ANY], (1,))
    assert not fits((ANY,), [1])
    assert fits((ANY, [int]), ("x", [1]))


def test_a_dict_with_some_keys_may_have_others() -> None:
    assert fits(DictWith({"kind": "queue"}), {"kind": "queue", "limit": 3})
    assert not fits(DictWith({"kind": "queue"}), {"limit": 3})
    assert not fits(DictWith({"kind": "queue"}), {"kind": "exchange"})
    assert not fits(DictWith({}), [])
    assert fits(DictWith({"a": DictWith({})}), {"a": {"b": 1}, "c": 2})


# --- variables and guards ----


def test_a_variable_matches_any_data() -> None:
    assert fits(Var("x"), [1, 2])


def test_the_same_variable_twice_means_the_same_data_twice() -> None:
    same = [Var("x"), Var("x")]
    assert fits(same, [1, 1])
    assert fits(same, [{"a": 1, "b": 2}, {"b": 2, "a": 1}])
    assert not fits(same, [1, 2])
    assert not fits(same, [1, True])
    assert not fits(same, [1, 1.0])


def test_guards_compare_what_variables_captured() -> None:
    pattern = {"low": Var("low"), "high": Var("high")}
    rising = Guard("low", Lt(Var("high")))
    assert fits(pattern, {"low": 1, "high": 2}, rising)
    assert not fits(pattern, {"low": 2, "high": 2}, rising)
    assert not fits(pattern, {"low": 1, "high": "2"}, rising)
    assert fits(pattern, {"low": 1, "high": 2}, rising, Guard("low", Ge(0)))
    assert not fits(pattern, {"low": -1, "high": 2}, rising, Guard("low", Ge(0)))


def test_guards_compare_whole_values_too() -> None:
    pattern = [Var("x"), Var("y")]
    assert fits(pattern, [[1], [1]], Guard("x", Eq(Var("y"))))
    assert fits(pattern, [[1], [True]], Guard("x", Ne(Var("y"))))


# --- what is refused ----


@pytest.mark.parametrize(
    "pattern",
    [
        object(),
        {1, 2},
        2**64,
        set,
        object,
        [complex],
        {"a": object()},
        {object(): 1},
        Lt(Var("x")),
    ],
)
def test_what_no_data_can_match_is_refused(pattern: object) -> None:
    with pytest.raises(InvalidConditionError):
        DataPattern.of(pattern)


def test_guards_speak_of_variables_of_the_pattern() -> None:
    for guard in (Guard("y", Gt(1)), Guard("x", Gt(Var("y")))):
        with pytest.raises(InvalidConditionError):
            DataPattern.of([Var("x")], [guard])


def test_guards_are_guards() -> None:
    for where in ([Gt(1)], [("x", Gt(1))], ["x"]):
        with pytest.raises(InvalidConditionError):
            DataPattern.of(Var("x"), where)  # type: ignore[arg-type]
    parts: Any
    for parts in (("x", 1), (1, Gt(1)), (Var("x"), Gt(1))):
        with pytest.raises(InvalidConditionError):
            Guard(*parts)


def test_guards_are_few() -> None:
    guards = [Guard("x", Gt(1))] * MAX_GUARDS
    assert fits(Var("x"), 2, *guards)
    with pytest.raises(InvalidConditionError):
        DataPattern.of(Var("x"), [*guards, Guard("x", Gt(1))])


@pytest.mark.parametrize("entries", [1, [], "a", None])
def test_a_dict_with_some_keys_is_made_of_a_dict(entries: Any) -> None:
    with pytest.raises(InvalidConditionError):
        DictWith(entries)


@pytest.mark.parametrize("name", ["", "x" * 256, 1, None])
def test_a_variable_has_a_name(name: Any) -> None:
    with pytest.raises(InvalidConditionError):
        Var(name)


def test_patterns_are_nested_to_a_limit() -> None:
    pattern: object = ANY
    for _ in range(MAX_PATTERN_DEPTH - 1):
        pattern = [pattern]
    DataPattern.of(pattern)
    with pytest.raises(InvalidConditionError):
        DataPattern.of([pattern])
    for _ in range(100_000):
        pattern = [pattern]
    with pytest.raises(InvalidConditionError):
        DataPattern.of(pattern)
    itself: list[object] = []
    itself.append(itself)
    with pytest.raises(InvalidConditionError):
        DataPattern.of(itself)


# --- properties ----


@given(values, values)
def test_same_data_are_the_same_bytes_but_for_the_order_of_keys(
    one: object, other: object
) -> None:
    if encode_value(one) == encode_value(other):
        assert same_data(one, other)
    assert same_data(one, decode_value(encode_value(one)))
    assert same_data(one, other) == (sorted_keys(one) == sorted_keys(other))


def sorted_keys(value: Any) -> object:
    """A form of a value that is equal for the same data: tagged with types, keys sorted."""
    kind = cast("type[object]", type(value)).__name__
    if kind == "dict":
        pairs = [(repr(sorted_keys(key)), sorted_keys(each)) for key, each in value.items()]
        return (kind, sorted(pairs, key=repr))
    if kind in ("list", "tuple"):
        return (kind, [sorted_keys(each) for each in value])
    return (kind, repr(value))


@given(values)
def test_every_value_is_a_pattern_that_matches_it(value: object) -> None:
    assert fits(value, value)
    assert fits(Var("x"), value)
    assert fits(type(value), value)


@given(data_patterns, values)
def test_every_pattern_gives_an_answer_for_every_value(pattern: object, value: object) -> None:
    assert fits(pattern, value) in (True, False)


@given(st.binary(max_size=20), data_patterns)
def test_bytes_that_are_no_value_match_or_do_not(payload: bytes, pattern: object) -> None:
    assert DataPattern.of(pattern).matches_encoded(payload) in (True, False)
