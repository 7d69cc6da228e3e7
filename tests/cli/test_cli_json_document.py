"""A JSON document becomes payloads at places."""

import pytest

from khepri.cli.json_document import flatten, parse
from khepri.cli.outcomes import CommandError


def test_keys_and_indexes_become_names_and_scalars_payloads() -> None:
    document = parse('{"a": {"b": 1}, "c": [true, "x", null]}', "test")
    assert list(flatten(document)) == [
        (("a", "b"), 1),
        (("c", "0"), True),
        (("c", "1"), "x"),
        (("c", "2"), None),
    ]


def test_an_empty_object_or_list_is_a_payload_so_that_nothing_is_lost() -> None:
    assert list(flatten({"a": {}, "b": []})) == [(("a",), {}), (("b",), [])]


def test_a_document_that_is_a_scalar_is_one_payload_at_the_top() -> None:
    assert list(flatten(7, ("here",))) == [(("here",), 7)]


def test_a_document_goes_under_the_given_names() -> None:
    assert list(flatten({"a": 1}, ("x", "y"))) == [(("x", "y", "a"), 1)]


def test_names_are_taken_as_they_are() -> None:
    assert list(flatten({"": {"*": {"a/b": 1}}})) == [(("", "*", "a/b"), 1)]


def test_a_document_may_be_deep() -> None:
    document = parse('{"a":' * 900 + "1" + "}" * 900, "test")
    assert list(flatten(document)) == [(("a",) * 900, 1)]


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "[" * 100_000])
def test_what_is_not_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(CommandError, match=r"^here is (not JSON: .* in line|nested too deeply)"):
        parse(text, "here")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "an object with the key 'a' twice"),
        ('{"x": [{"b": {"c": 1}, "b": {"d": 2}}]}', "an object with the key 'b' twice"),
        ('{"a": 1e400}', "the number 1e400, which no float can be"),
        ("[-1e999]", "the number -1e999, which no float can be"),
    ],
)
def test_what_would_lose_something_is_refused(text: str, what: str) -> None:
    with pytest.raises(CommandError, match=f"^here has {what}$"):
        parse(text, "here")
