"""What is said in a call between nodes, without trust in who says it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.actors.remote_calls import Answer, Call
from khepri.encoding import EncodingError, pack
from khepri.errors import JoinError, KhepriError

SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=7) | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["self", "message", "JoinError", "pack"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


def test_an_error_comes_back_as_what_it_was() -> None:
    error = Answer.decode(Answer(7, None, JoinError("no", node="bob")).encode()).error
    assert isinstance(error, JoinError)
    assert (error.message, error.facts) == ("no", {"node": "bob"})


@pytest.mark.parametrize("name", ["self", "message"])
def test_a_fact_cannot_take_the_place_of_what_every_error_has(name: str) -> None:
    with pytest.raises(EncodingError):
        Answer.decode(pack([1, True, ["JoinError", "no", [[name, 1]]]]))


@given(VALUES, st.booleans())
def test_whatever_comes_is_an_answer_or_garbled(value: object, is_error: bool) -> None:
    bodies = (pack(value), pack([1, is_error, value]), pack([1, True, ["JoinError", "", value]]))
    for body in bodies:
        with suppress(EncodingError):
            assert isinstance(Answer.decode(body).error, KhepriError | None)
        with suppress(EncodingError):
            Call.decode(body)
