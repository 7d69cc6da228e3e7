"""Regular expressions on names: their syntax, their limits and their cost."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import InvalidConditionError
from khepri.machine.regular_expressions import MAX_REGEX_BYTES, compile_regex

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_expression_is_searched_anywhere_in_the_name() -> None:
    assert compile_regex("b")("abc")
    assert not compile_regex("^b")("abc")
    assert compile_regex("^a.*c$")("abc")


def test_an_expression_sees_characters_and_not_bytes() -> None:
    assert compile_regex("^.$")("é")
    assert compile_regex("^[é日]+$")("日é")
    assert compile_regex(r"^\pL+$")("日é")


def test_an_empty_expression_matches_every_name() -> None:
    assert compile_regex("")("")
    assert compile_regex("")("a")


@pytest.mark.parametrize(
    "source", ["[", "(", "*", "a{2,1}", r"(a)\1", "(?=a)", "(?<!a)b", "\ud800"]
)
def test_what_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(InvalidConditionError) as raised:
        compile_regex(source)
    assert raised.value.reason


@pytest.mark.parametrize(
    "source", ["a" * (MAX_REGEX_BYTES + 1), "é" * 600, r"\pL{30}", "((a{100}){100}){100}"]
)
def test_an_expression_that_is_too_large_is_refused(source: str) -> None:
    with pytest.raises(InvalidConditionError):
        compile_regex(source)


def test_an_expression_that_stops_other_engines_is_answered_at_once() -> None:
    """Python's own engine needs twice the time for each letter more.

    It is asked with a few letters, to show that the expression is one of that kind.
    """
    hostile = "^(a+)+$"
    matches = compile_regex(hostile)

    def cpu_seconds(search: Callable[[str], object], letters: int) -> float:
        begin = time.thread_time()
        assert not search("a" * letters + "!")
        return time.thread_time() - begin

    def backtrack(name: str) -> object:
        return re.search(hostile, name)

    assert cpu_seconds(backtrack, 20) > 4 * cpu_seconds(backtrack, 14)
    assert cpu_seconds(matches, 4000) < 1


@given(st.text(max_size=30) | st.text(r"ab.*+?()[]{}|^$\,0123", max_size=30), st.text(max_size=20))
def test_any_text_is_an_expression_or_an_invalid_condition(source: str, name: str) -> None:
    try:
        matches = compile_regex(source)
    except InvalidConditionError:
        return
    assert matches(name) in (True, False)


literals = st.text("ab", min_size=1, max_size=3)
expressions = st.recursive(
    literals | st.just("."),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
        | inner.map(lambda part: f"(?:{part})?")
    ),
    max_leaves=5,
)


@given(expressions, st.text("abc", max_size=6))
def test_common_expressions_mean_what_they_mean_in_python(source: str, name: str) -> None:
    assert compile_regex(source)(name) == bool(re.search(source, name))
