"""The unix form of paths and patterns (spec §2.1.2, design §4.5)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from khepri.errors import InvalidPathError
from khepri.machine.conditions import (
    Component,
    IfHasData,
    IfNameLike,
    IfNameMatches,
    IfPathMatches,
)
from khepri.machine.names import PARENT, THIS
from khepri.machine.paths import Path, PathPattern, parse_path
from khepri.machine.unix_paths import STAR, STAR_STAR, unix_form
from tests.machine.pattern_helpers import any_name, odd_name


def test_a_star_is_any_name_and_two_stars_reach_deeper() -> None:
    assert IfNameMatches() == STAR
    assert IfPathMatches() == STAR_STAR


# --- the unix form: text to components -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "components"),
    [
        ("", []),
        ("/", []),
        ("/a", ["a"]),
        ("/a/b", ["a", "b"]),
        ("/a/", ["a"]),
        ("//", [""]),
        ("///", ["", ""]),
        ("/a//b", ["a", "", "b"]),
        ("/a//", ["a", ""]),
        (".", [THIS]),
        ("..", [PARENT]),
        ("/a/..", ["a", PARENT]),
        ("./a", [THIS, "a"]),
        ("../a", [PARENT, "a"]),
        ("a/b", [THIS, "a", "b"]),
        (".//", [THIS, ""]),
        ("*", [STAR]),
        ("**", [STAR_STAR]),
        ("**/x", [STAR_STAR, "x"]),
        ("a*/x", [IfNameLike(("a", "")), "x"]),
        ("/*/**", [STAR, STAR_STAR]),
        ("/***", [STAR]),
        ("/a*b", [IfNameLike(("a", "b"))]),
        ("/a**b", [IfNameLike(("a", "b"))]),
        ("/*a*", [IfNameLike(("", "a", ""))]),
        ("/foo bar/ baz ", ["foo bar", " baz "]),
        ("/:a", [":a"]),
        (":a", [THIS, ":a"]),
        ("/^/$", ["^", "$"]),
        ("/é/日本", ["é", "日本"]),
        ("/...", ["..."]),
    ],
)
def test_unix_text_is_read_as_the_grammar_says(text: str, components: list[Component]) -> None:
    assert list(parse_path(text)) == components


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/a%20b", "a b"),
        ("/%2f", "/"),
        ("/%2F", "/"),
        ("/%2e", "."),
        ("/%2E%2E", ".."),
        ("/%C3%A9", "é"),
        ("/é%C3%A9", "éé"),
        ("/%00", "\0"),
        ("/%25", "%"),
        ("/%252A", "%2A"),
    ],
)
def test_percent_escapes_are_bytes_of_utf_8(text: str, name: str) -> None:
    assert parse_path(text) == (name,)


@pytest.mark.parametrize(("text", "name"), [("/%zz", "%zz"), ("/%2", "%2"), ("/%", "%")])
def test_a_percent_sign_without_two_digits_stands_for_itself(text: str, name: str) -> None:
    assert parse_path(text) == (name,)


def test_escapes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(InvalidPathError) as raised:
        parse_path("/a/%FF")
    assert raised.value.component == "%FF"


def test_an_escaped_star_is_a_literal_star() -> None:
    """BUG-22: upstream decodes before it looks for stars, so no text can name ``a*b``."""
    assert parse_path("/a%2Ab") == ("a*b",)
    assert parse_path("/a%2A*") == (IfNameLike(("a*", "")),)


def test_a_glob_escapes_all_other_characters() -> None:
    """BUG-22: upstream leaves ``.``, ``[`` and others their meaning in regular expressions."""
    (glob,) = parse_path("/a.b[c]+*")
    assert glob == IfNameLike(("a.b[c]+", ""))


# --- the unix form: components to text -----------------------------------------------------------


@pytest.mark.parametrize(
    ("components", "text"),
    [
        ([], "/"),
        (["a"], "/a"),
        (["a", "b"], "/a/b"),
        ([""], "//"),
        (["a", ""], "/a//"),
        (["", ""], "///"),
        (["."], "/%2E"),
        ([".."], "/%2E."),
        ([".a.b"], "/%2Ea.b"),
        (["a/b"], "/a%2Fb"),
        ([":a"], "/%3Aa"),
        (["a b"], "/a%20b"),
        (["%"], "/%25"),
        (["A*"], "/A%2A"),
        (["é"], "/%C3%A9"),
        (["a-b_c~d.e"], "/a-b_c~d.e"),
        ([THIS], "."),
        ([PARENT], ".."),
        ([THIS, "a"], "a"),
        ([PARENT, "a"], "../a"),
        ([THIS, ""], ".//"),
        (["a", PARENT], "/a/.."),
        ([STAR, STAR_STAR], "/*/**"),
        ([IfNameLike(("a.", "*"))], "/a.*%2A"),
    ],
)
def test_components_are_written_as_unix_text(components: list[Component], text: str) -> None:
    assert unix_form(components) == text


def test_a_condition_without_unix_form_cannot_be_written() -> None:
    pattern = PathPattern(["a", IfHasData()])
    with pytest.raises(InvalidPathError) as raised:
        unix_form(pattern)
    assert raised.value.component == IfHasData()
    assert str(pattern) == repr(pattern)


@given(st.lists(any_name | odd_name, max_size=6))
@example([""])
@example(["a", ""])
def test_every_path_survives_its_unix_form(names: list[str]) -> None:
    path = Path(names)
    assert path == tuple(names)
    assert Path(str(path)) == path


unix_components = st.one_of(
    any_name,
    odd_name,
    st.sampled_from([STAR, STAR_STAR, THIS, PARENT]),
    st.lists(st.text(max_size=3), min_size=2, max_size=4).filter(any).map(tuple).map(IfNameLike),
)


@given(st.lists(unix_components, max_size=6))
def test_every_pattern_with_a_unix_form_survives_it(components: list[Component]) -> None:
    pattern = parse_path(components)
    assert parse_path(unix_form(pattern)) == pattern


@given(st.text(st.characters(), max_size=30) | st.text("/.*%2aA:é\ud800", max_size=30))
def test_any_text_is_a_path_or_an_invalid_path_error(text: str) -> None:
    try:
        pattern = parse_path(text)
    except InvalidPathError:
        return
    assert parse_path(pattern) == pattern
