"""Paths: what they are made of, their resolution, what they name (spec §2.1)."""

from __future__ import annotations

import copy
import enum
import pickle
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import InvalidPathError, ManyNodesDeniedError
from khepri.machine.conditions import (
    Component,
    IfAll,
    IfAny,
    IfHasData,
    IfHasPayload,
    IfNameLike,
    IfNameMatches,
    IfNodeExists,
    IfNot,
)
from khepri.machine.names import MAX_NAME_BYTES, MAX_PATH_COMPONENTS, PARENT, ROOT, THIS
from khepri.machine.paths import (
    Path,
    PathLike,
    PathPattern,
    abspath,
    combine_with_conditions,
    ensure_specific,
    includes_root,
    parse_path,
    realpath,
    resolve_path,
    targets_specific_node,
)
from khepri.machine.unix_paths import STAR, STAR_STAR
from tests.machine.pattern_helpers import conditions, patterns

# --- sequences -----------------------------------------------------------------------------------


def test_a_text_in_a_sequence_is_one_name_whatever_it_holds() -> None:
    assert parse_path(["*", "..", "a/b", "%41", ""]) == ("*", "..", "a/b", "%41", "")


def test_a_path_of_names_is_a_path_and_with_a_condition_a_pattern() -> None:
    assert type(parse_path(["a"])) is Path
    assert type(parse_path(["a", IfHasData()])) is PathPattern
    assert type(parse_path("/a/*")) is PathPattern


def test_a_leading_root_and_all_before_a_later_one_is_dropped() -> None:
    assert parse_path([ROOT, "a"]) == ("a",)
    assert parse_path(["x", ROOT, "a"]) == ("a",)
    assert parse_path(["x", ROOT]) == ()


class Colour(enum.StrEnum):
    RED = "red"


def test_a_subclass_of_text_becomes_plain_text() -> None:
    (name,) = Path([Colour.RED])
    assert type(name) is str
    assert type(PathPattern([STAR, Colour.RED])[1]) is str


class Contrary:
    """Something whose comparisons fail, as those of arrays do."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("not comparable")


def test_what_cannot_be_compared_is_still_named_in_the_error() -> None:
    component: Any = Contrary()
    with pytest.raises(InvalidPathError) as raised:
        parse_path(["a", component])
    assert raised.value.component is component


def test_a_path_is_given_back_as_it_is() -> None:
    path, pattern = Path("/a"), PathPattern([STAR])
    assert parse_path(path) is path
    assert parse_path(pattern) is pattern


@pytest.mark.parametrize("component", [1, 47, 1.5, b"a", None, ["a"], {"a": 1}, object])
def test_an_error_names_the_component_that_is_none(component: object) -> None:
    given_path: Any = ["a", component]
    with pytest.raises(InvalidPathError) as raised:
        parse_path(given_path)
    assert raised.value.component is component
    assert raised.value.path is given_path


@pytest.mark.parametrize("path", [None, 1, b"/a", bytearray(b"/a"), {"a"}, {"a": 1}, STAR, THIS])
def test_what_is_neither_text_nor_sequence_is_no_path(path: object) -> None:
    with pytest.raises(InvalidPathError):
        parse_path(cast("PathLike", path))


def test_a_path_that_is_nested_beyond_the_stack_is_refused() -> None:
    nested: Any = ["a"]
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidPathError):
        parse_path(nested)


def test_a_lone_surrogate_is_refused() -> None:
    for path in ("/a\ud800", ["a\ud800"]):
        with pytest.raises(InvalidPathError) as raised:
            parse_path(path)
        assert raised.value.component == "a\ud800"


def test_names_are_limited_in_bytes() -> None:
    longest = "é" * (MAX_NAME_BYTES // 2)
    assert Path([longest]) == (longest,)
    assert Path("/" + longest) == (longest,)
    for path in ([longest + "a"], f"/{longest}a"):
        with pytest.raises(InvalidPathError):
            parse_path(path)


def test_paths_are_limited_in_components() -> None:
    assert len(Path("/a" * MAX_PATH_COMPONENTS)) == MAX_PATH_COMPONENTS
    assert len(Path("/a" * MAX_PATH_COMPONENTS + "/")) == MAX_PATH_COMPONENTS
    for path in ("/a" * (MAX_PATH_COMPONENTS + 1), ["a"] * (MAX_PATH_COMPONENTS + 1), "/" * 10**6):
        with pytest.raises(InvalidPathError):
            parse_path(path)


junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(junk)
def test_anything_is_a_path_or_an_invalid_path_error(given_path: object) -> None:
    with suppress(InvalidPathError):
        resolve_path(cast("PathLike", given_path))


# --- Path ----------------------------------------------------------------------------------------


def test_a_path_equals_the_tuple_of_its_names() -> None:
    path = Path("/a/b")
    assert path == ("a", "b")
    assert hash(path) == hash(("a", "b"))


def test_a_slash_operator_adds_one_name_and_parses_nothing() -> None:
    assert Path("/a") / "b/../*" == ("a", "b/../*")
    assert Path("/a") / IfHasData() == ("a", IfHasData())
    assert PathPattern(["a", STAR]) / "b" == ("a", STAR, "b")


def test_a_slash_operator_refuses_what_is_no_component() -> None:
    component: Any = 1
    with pytest.raises(InvalidPathError):
        _ = Path("/a") / component
    with pytest.raises(InvalidPathError):
        _ = PathPattern([STAR]) / component


def test_a_path_knows_its_name_and_its_parent() -> None:
    assert Path("/a/b").name == "b"
    assert Path("/a/b").parent == Path("/a")
    assert type(Path("/a/b").parent) is Path
    assert Path().name == ""
    assert Path().parent == Path()


def test_a_path_is_shown_as_it_is_written() -> None:
    assert repr(Path(["a b", "c"])) == "Path('/a%20b/c')"
    assert repr(PathPattern(["a", IfHasData()])) == "PathPattern(('a', IfHasData(has_data=True)))"


def test_a_path_is_not_made_from_a_pattern() -> None:
    with pytest.raises(InvalidPathError) as raised:
        Path("/a/*")
    assert raised.value.component == STAR


def test_a_relative_path_is_made_from_the_root() -> None:
    assert Path("a/../b") == ("b",)


def test_paths_sort_parents_first_and_siblings_by_name() -> None:
    paths = [Path(text) for text in ("/b", "/a/c", "/a", "/", "/a/b/c", "/a/b")]
    assert list(map(str, sorted(paths))) == ["/", "/a", "/a/b", "/a/b/c", "/a/c", "/b"]


@pytest.mark.parametrize("path", [Path(), Path(["a", "*"]), PathPattern(["a", IfHasData()])])
def test_paths_survive_copying(path: Path | PathPattern) -> None:
    for copied in (copy.copy(path), copy.deepcopy(path), pickle.loads(pickle.dumps(path))):  # noqa: S301 - our own bytes
        assert copied == path
        assert type(copied) is type(path)


# --- resolving -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        (["a", PARENT, "b"], ["b"]),
        ([PARENT, "b"], ["b"]),
        (["a", ROOT, "b"], ["b"]),
        (["a", THIS, "b", THIS], ["a", "b"]),
        ([PARENT, PARENT], []),
        (["a", PARENT, PARENT, "b"], ["b"]),
        ("/a/b/../../c", ["c"]),
        ("a/./b", ["a", "b"]),
    ],
)
def test_specials_are_resolved(path: PathLike, resolved: list[str]) -> None:
    assert resolve_path(path) == tuple(resolved)
    assert type(resolve_path(path)) is Path


def test_a_step_up_after_a_condition_stays_for_the_walk() -> None:
    assert resolve_path("/a/**/..") == ("a", STAR_STAR, PARENT)
    assert resolve_path("/a/*/../b/../..") == ("a", STAR, PARENT, PARENT)
    assert resolve_path("**/.") == (STAR_STAR,)


def test_a_condition_that_names_the_root_discards_what_is_before_it() -> None:
    here = IfAll(ROOT, IfHasData())
    assert resolve_path(["a", STAR, here]) == (here,)


def test_conditions_are_normalised_when_a_path_is_resolved() -> None:
    assert resolve_path(["a", IfAll(IfHasData(), "b")]) == ("a", IfAll("b", IfHasData()))
    assert resolve_path(["a", IfAll("b"), IfAny(PathPattern(["c"])[0])]) == ("a", "b", "c")
    assert type(resolve_path([IfAll("b")])) is Path


@given(patterns)
def test_resolving_twice_is_resolving_once(components: list[Component]) -> None:
    resolved = resolve_path(components)
    assert resolve_path(resolved) == resolved
    assert THIS not in resolved
    assert ROOT not in resolved


@pytest.mark.parametrize(
    ("path", "base", "absolute"),
    [
        ([PARENT, "b"], "/x/y", "/x/b"),
        ([THIS, "b"], "/x/y", "/x/y/b"),
        ("b", "/x/y", "/x/y/b"),
        (".", "/x", "/x"),
        ("../..", "/x", "/"),
        (["a"], "/x", "/a"),
        ("/a", "/x", "/a"),
        ("", "/x", "/"),
        ("../b", "/e", "/b"),
    ],
)
def test_a_relative_path_is_resolved_against_a_base(
    path: PathLike, base: str, absolute: str
) -> None:
    assert abspath(path, Path(base)) == Path(absolute)


def test_a_relative_pattern_that_begins_with_a_wildcard_is_taken_from_the_root() -> None:
    assert abspath("*", Path("/x")) == (STAR,)
    assert abspath("./*", Path("/x")) == ("x", STAR)


# --- what a path names ---------------------------------------------------------------------------


def test_conditions_join_the_last_component() -> None:
    combined = combine_with_conditions(Path("/a/b"), IfHasData(), IfNodeExists())
    assert combined == ("a", IfAll("b", IfHasData(), IfNodeExists()))
    assert combine_with_conditions(PathPattern([STAR]), IfHasData()) == (IfAll(STAR, IfHasData()),)


def test_without_conditions_a_path_is_given_back() -> None:
    path = Path("/a")
    assert combine_with_conditions(path) is path


def test_conditions_can_be_asked_of_the_root() -> None:
    """BUG-8: upstream crashes."""
    combined = combine_with_conditions(Path(), IfHasData())
    assert targets_specific_node(combined) == ()
    assert combined == (IfAll(ROOT, IfHasData()),)


def test_conditions_can_be_asked_of_the_parent_a_pattern_leads_to() -> None:
    combined = combine_with_conditions(PathPattern([STAR, PARENT]), IfHasData())
    assert combined == (STAR, PARENT, IfAll(THIS, IfHasData()))


@pytest.mark.parametrize(
    ("component", "named"),
    [
        ("a", "a"),
        (IfAll("a", IfHasData()), "a"),
        (IfAll("a", "a"), "a"),
        (IfAll(IfAll("a"), IfHasData()), "a"),
        (IfAny("a", IfAll("a", IfHasData())), "a"),
        (IfAll("a", IfAny("b", "c")), "a"),
        (IfAll("a", "b"), None),
        (IfAll(), None),
        (IfAny(), None),
        (IfAny("a", "b"), None),
        (IfAny("a", IfHasData()), None),
        (IfNot("a"), None),
        (IfHasData(), None),
        (STAR, None),
        (IfNameMatches("^a$"), None),
        (IfNameLike(("a", "")), None),
    ],
)
def test_a_component_names_one_node_or_not(component: Component, named: str | None) -> None:
    expected = None if named is None else ("x", named)
    assert targets_specific_node(PathPattern(["x", component])) == expected


def test_a_step_up_leads_back_from_a_named_condition() -> None:
    pattern = resolve_path(["a", IfAll("b", IfHasData()), PARENT, "c"])
    assert targets_specific_node(pattern) == ("a", "c")


def test_one_node_is_demanded_of_the_pattern_alone() -> None:
    """The check is eager; upstream's waits until the walk arrives at the component."""
    assert ensure_specific(resolve_path(["a", IfAll("b", IfHasData())])) == ("a", "b")
    with pytest.raises(ManyNodesDeniedError) as raised:
        ensure_specific(resolve_path("/zzz/*"))
    assert raised.value.path == ("zzz", STAR)


def test_who_put_a_condition_behind_a_name_is_told_where_it_belongs() -> None:
    with pytest.raises(ManyNodesDeniedError, match=r"of 'b' stands with it: IfAll\('b', \.\.\.\)"):
        ensure_specific(resolve_path(["a", "b", IfHasData()]))
    patterns_of_many: list[PathLike] = ["/a/*", "/a/b*", "/a/**", ["a", IfNameMatches("b")]]
    for many in [*patterns_of_many, [IfHasData()]]:
        with pytest.raises(ManyNodesDeniedError, match="such as get_many"):
            ensure_specific(resolve_path(many))


def test_a_pattern_includes_the_root_if_it_resolves_to_it() -> None:
    assert includes_root(resolve_path("/a/.."))
    assert includes_root(resolve_path([IfAll(THIS, IfHasPayload())]))
    assert not includes_root(resolve_path("/*/.."))
    assert not includes_root(resolve_path("**"))


@given(st.lists(conditions, max_size=3))
def test_every_sequence_of_conditions_is_a_pattern(components: list[Component]) -> None:
    realpath(parse_path(components))


# --- cost ----------------------------------------------------------------------------------------


def test_a_path_that_comes_again_is_kept_and_a_huge_one_is_not() -> None:
    text = "/comes/again"
    resolve_path(text)
    assert resolve_path(text) is resolve_path(text)
    huge = "/" + "long" * 100
    resolve_path(huge)
    assert resolve_path(huge) is not resolve_path(huge)


@given(st.text(alphabet=st.sampled_from("ab./*%41é\ud800"), max_size=12))
def test_the_short_cut_for_plain_text_gives_what_the_long_way_gives(text: str) -> None:
    try:
        expected: object = realpath(parse_path(text))
    except InvalidPathError:
        with pytest.raises(InvalidPathError):
            resolve_path(text)
    else:
        assert resolve_path(text) == expected
        assert type(resolve_path(text)) is type(expected)
