"""The conditions one by one: when they are met, whom they blame, what they refuse (spec §3.1).

Long, because there are fourteen of them.
"""

from __future__ import annotations

import copy
import enum
import pickle
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from khepri.errors import ConditionTargetsParentError, InvalidConditionError
from khepri.machine.comparisons import Comparison, Eq, Ge, Gt, Le, Lt, Ne, Var
from khepri.machine.condition_rules import (
    allows_creation,
    is_met_by_absence,
    may_match_name,
    named_siblings,
    normalise,
    reaches_deeper,
)
from khepri.machine.conditions import (
    MAX_CONDITION_DEPTH,
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
    ensure_is_condition,
    unmet,
)
from khepri.machine.data_patterns import ANY, DictWith, Guard
from khepri.machine.globs import glob_matches, merge_stars
from khepri.machine.names import MAX_NAME_BYTES, PARENT, ROOT, THIS
from tests.machine.pattern_helpers import conditions, few_names, leaf, procedure_node, tree, trees

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.tree import TreeNode

Kind: TypeAlias = "Callable[[object], Condition]"

NOBODY: set[str] = set()
EMPTY = leaf()
DATA = leaf(5)


def meets(component: Component, node: TreeNode = EMPTY, name: str = "n") -> bool:
    return unmet(component, name, node) is None


# --- one by one ----


def test_a_bare_name_is_met_by_exactly_that_name() -> None:
    assert meets("n")
    assert not meets("m")
    assert not meets("N")
    assert unmet("m", "n", EMPTY) == "m"


def test_the_empty_name_can_be_the_culprit() -> None:
    assert unmet("", "n", EMPTY) == ""


def test_this_and_root_are_always_met() -> None:
    assert meets(IfAll(THIS, ROOT))


def test_a_name_is_searched_with_an_unanchored_expression() -> None:
    assert meets(IfNameMatches("b"), name="abc")
    assert not meets(IfNameMatches("^b"), name="abc")
    assert meets(IfPathMatches("b"), name="abc")
    assert not meets(IfPathMatches("x"), name="abc")


def test_without_an_expression_every_name_matches() -> None:
    assert meets(IfNameMatches(), name="")
    assert meets(IfPathMatches(), name="anything")


@pytest.mark.parametrize(
    ("node", "payload", "data", "sproc"),
    [
        (EMPTY, False, False, False),
        (DATA, True, True, False),
        (procedure_node(), True, False, True),
    ],
)
def test_payload_conditions_compare_with_their_flag(
    node: TreeNode, payload: bool, data: bool, sproc: bool
) -> None:
    for flag in (True, False):
        assert meets(IfHasPayload(flag), node) is (payload is flag)
        assert meets(IfHasData(flag), node) is (data is flag)
        assert meets(IfHasSproc(flag), node) is (sproc is flag)


def test_an_existing_node_meets_existence_and_never_absence() -> None:
    assert meets(IfNodeExists())
    assert meets(IfNodeExists(exists=True))
    assert not meets(IfNodeExists(exists=False))


def test_versions_and_lengths_compare() -> None:
    node = tree({"a": {}, "b": {}})
    versions = leaf(payload_version=3, child_list_version=7)
    assert meets(IfPayloadVersion(3), versions)
    assert not meets(IfPayloadVersion(4), versions)
    assert meets(IfChildListVersion(Gt(6)), versions)
    assert not meets(IfChildListVersion(Gt(7)), versions)
    assert meets(IfChildListLength(2), node)
    assert meets(IfChildListLength(Lt(3)), node)
    assert meets(IfChildListLength(0), EMPTY)


@pytest.mark.parametrize(
    ("kind", "below", "same", "above"),
    [
        (Eq, False, True, False),
        (Ne, True, False, True),
        (Lt, True, False, False),
        (Le, True, True, False),
        (Gt, False, False, True),
        (Ge, False, True, True),
    ],
)
def test_comparisons_compare_the_node_with_the_operand(
    kind: type[Comparison], below: bool, same: bool, above: bool
) -> None:
    for version, met in ((4, below), (5, same), (6, above)):
        assert meets(IfPayloadVersion(kind(5)), leaf(payload_version=version)) is met


def test_data_match_only_where_there_are_data() -> None:
    assert meets(IfDataMatches(5), DATA)
    assert not meets(IfDataMatches(6), DATA)
    assert not meets(IfDataMatches(None), EMPTY)
    assert meets(IfDataMatches(None), leaf(None))
    assert not meets(IfDataMatches("do_it"), procedure_node())


def test_a_negation_is_met_if_the_inner_condition_is_not() -> None:
    assert meets(IfNot("m"))
    assert not meets(IfNot("n"))
    assert meets(IfNot(IfHasData()))


def test_all_must_be_met_and_nothing_is_always_met() -> None:
    assert meets(IfAll("n", IfHasData()), DATA)
    assert not meets(IfAll("n", IfHasData()), EMPTY)
    assert meets(IfAll())


def test_any_may_be_met_and_nothing_is_never_met() -> None:
    assert meets(IfAny("m", IfHasData()), DATA)
    assert not meets(IfAny("m", IfHasData()), EMPTY)
    assert not meets(IfAny())


# --- globs ----


@pytest.mark.parametrize(
    ("parts", "name", "fits"),
    [
        (("a", "b"), "ab", True),
        (("a", "b"), "axxb", True),
        (("a", "b"), "axxbc", False),
        (("ab", "ba"), "aba", False),
        (("ab", "ba"), "abba", True),
        (("", ""), "", True),
        (("", "x", ""), "axb", True),
        (("", "x", ""), "ab", False),
        (("a", "b", "c"), "a-c-b-c", True),
        (("a", "b", "c"), "a-cb", False),
        ((".", ""), "x", False),
        (("", "aa", "aa", ""), "aaa", False),
        (("", "aa", "aa", ""), "aaaa", True),
    ],
)
def test_a_glob_matches_the_whole_name(parts: tuple[str, ...], name: str, fits: bool) -> None:
    assert meets(IfNameLike(parts), name=name) is fits


def fits_by_trying(parts: tuple[str, ...], name: str) -> bool:
    """The meaning of a glob, by trying every length for the first star."""
    if not name.startswith(parts[0]):
        return False
    rest = name[len(parts[0]) :]
    if len(parts) == 1:
        return rest == ""
    return any(fits_by_trying(parts[1:], rest[skipped:]) for skipped in range(len(rest) + 1))


@given(st.lists(st.text("ab", max_size=2), min_size=2, max_size=4), st.text("ab", max_size=8))
def test_globs_match_what_trying_everything_matches(parts: list[str], name: str) -> None:
    assert glob_matches(merge_stars(parts), name) == fits_by_trying(tuple(parts), name)


def test_neighbouring_stars_are_one() -> None:
    assert IfNameLike(("a", "", "", "b")) == IfNameLike(("a", "b"))


# --- culprits ----


def test_the_culprit_of_all_is_the_failing_member_down_to_its_part() -> None:
    assert unmet(IfAll("n", IfHasData()), "n", EMPTY) == IfHasData()
    assert unmet(IfAll("n", IfAll(IfHasData(False), IfHasPayload())), "n", EMPTY) == IfHasPayload()


def test_the_culprit_of_any_and_not_is_the_whole() -> None:
    any_of, negation = IfAny("m", IfHasData()), IfNot("n")
    assert unmet(any_of, "n", EMPTY) is any_of
    assert unmet(negation, "n", EMPTY) is negation
    assert unmet(IfAll("n", any_of), "n", EMPTY) is any_of


@given(conditions, few_names, trees())
def test_there_is_a_culprit_exactly_if_a_condition_is_not_met(
    condition: Component, name: str, node: TreeNode
) -> None:
    culprit = unmet(condition, name, node)
    assert (unmet(IfNot(condition), name, node) is None) == (culprit is not None)


# --- validation (BUG-16: upstream checks little of this) ----


@pytest.mark.parametrize("flag", [None, 1, 0, "true"])
@pytest.mark.parametrize("kind", [IfNodeExists, IfHasPayload, IfHasData, IfHasSproc])
def test_a_flag_is_true_or_false(kind: Kind, flag: object) -> None:
    with pytest.raises(InvalidConditionError):
        kind(flag)


@pytest.mark.parametrize("number", [None, True, -1, 1.0, "1", 2**63, Eq(-1), Eq("1"), Lt(None)])
@pytest.mark.parametrize("kind", [IfPayloadVersion, IfChildListVersion, IfChildListLength])
def test_a_number_is_whole_and_not_negative(kind: Kind, number: object) -> None:
    with pytest.raises(InvalidConditionError):
        kind(number)


@pytest.mark.parametrize("regex", [1, b"a", ["a"], "["])
@pytest.mark.parametrize("kind", [IfNameMatches, IfPathMatches])
def test_an_expression_is_checked_when_the_condition_is_made(kind: Kind, regex: object) -> None:
    with pytest.raises(InvalidConditionError):
        kind(regex)


@pytest.mark.parametrize("parts", [(), ("a",), ["a", "b"], ("a", 1), ("\ud800", ""), "ab"])
def test_the_parts_of_a_glob_are_texts(parts: object) -> None:
    with pytest.raises(InvalidConditionError):
        IfNameLike(cast("tuple[str, ...]", parts))


@pytest.mark.parametrize("member", [1, None, b"a", ["a"], "\ud800", "a" * (MAX_NAME_BYTES + 1)])
def test_members_are_conditions_or_names(member: object) -> None:
    makers: Any = (IfNot, IfAll, IfAny, ensure_is_condition)
    for make in makers:
        with pytest.raises(InvalidConditionError):
            make(member)


class Colour(enum.StrEnum):
    RED = "red"


def test_a_subclass_of_text_becomes_plain_text() -> None:
    (name,) = IfAll(Colour.RED).conditions
    assert type(name) is str
    assert type(IfNot(Colour.RED).condition) is str


def test_no_condition_names_the_parent() -> None:
    for make in (IfNot, IfAll, IfAny, ensure_is_condition):
        with pytest.raises(ConditionTargetsParentError):
            make(PARENT)


def test_conditions_are_nested_to_a_limit() -> None:
    condition: Component = "n"
    for _ in range(MAX_CONDITION_DEPTH - 1):
        condition = IfNot(condition)
    assert meets(IfAll(condition)) is (MAX_CONDITION_DEPTH % 2 == 1)
    with pytest.raises(InvalidConditionError):
        IfNot(IfAll(condition))


def test_a_comparison_is_one_of_six_and_compares_with_data() -> None:
    with pytest.raises(TypeError):
        Comparison(1)
    operands: list[Any] = [[1], {}, object(), 2**64]
    for operand in operands:
        with pytest.raises(InvalidConditionError):
            Eq(operand)


def test_conditions_compare_by_what_they_ask() -> None:
    assert Eq(1) != Eq(True)
    assert Eq(1) != Eq(1.0)
    assert Eq(1) != Le(1)
    assert Eq(float("nan")) == Eq(float("nan"))
    assert IfDataMatches(1) != IfDataMatches(1.0)
    assert IfDataMatches([1]) == IfDataMatches([1])
    assert len({IfAll("a", IfHasData()), IfAll("a", IfHasData()), IfAll("a")}) == 2


@given(conditions)
@example(IfDataMatches([ANY, Var("x"), int, Gt(1), DictWith({"a": ANY})], [Guard("x", Lt(3))]))
@example(IfNameMatches("^a"))
def test_conditions_survive_copying(condition: Component) -> None:
    """Errors carry conditions, and programs send errors to other processes."""
    assert copy.deepcopy(condition) == condition
    assert pickle.loads(pickle.dumps(condition)) == condition  # noqa: S301 - our own bytes


def test_conditions_are_shown_as_they_are_written() -> None:
    assert repr(IfAll("a", IfNot(IfAny(THIS)))) == "IfAll('a', IfNot(condition=IfAny(THIS)))"


# --- normal form ----


@pytest.mark.parametrize(
    ("condition", "normal"),
    [
        (IfAll(IfHasData(), "a"), IfAll("a", IfHasData())),
        (IfAll("a"), "a"),
        (IfAny(IfHasData()), IfHasData()),
        (IfAll(), IfAll()),
        (IfAny(), IfAny()),
        (IfAny(IfHasData(), "a"), IfAny(IfHasData(), "a")),
        (IfNot(IfAll("a")), IfNot("a")),
        (IfAll(IfAll(IfAny("a")), IfHasData()), IfAll("a", IfHasData())),
        (IfAny(IfAll(IfHasData(), "a"), "b"), IfAny(IfAll("a", IfHasData()), "b")),
        (IfAll(IfHasData(), "a", IfHasPayload()), IfAll("a", IfHasData(), IfHasPayload())),
    ],
)
def test_conditions_have_a_normal_form(condition: Component, normal: Component) -> None:
    assert normalise(condition) == normal


@given(conditions, few_names, trees())
def test_the_normal_form_asks_the_same(condition: Component, name: str, node: TreeNode) -> None:
    normal = normalise(condition)
    assert normalise(normal) == normal
    assert (unmet(normal, name, node) is None) == (unmet(condition, name, node) is None)


# --- what a condition means for a walk ----


@pytest.mark.parametrize(
    ("component", "names"),
    [
        ("a", {"a"}),
        (IfAny("a", "b"), {"a", "b"}),
        (IfAny("a", IfAll("b", IfHasData())), {"a", "b"}),
        (IfAny("a", IfHasData()), None),
        (IfAny(), NOBODY),
        (IfAll("a", IfHasData()), {"a"}),
        (IfAll(IfAny("a", "b"), "b"), {"b"}),
        (IfAll(IfHasData()), None),
        (IfNot("a"), None),
        (IfNameMatches(), None),
    ],
)
def test_the_only_siblings_that_can_match_are_known(
    component: Component, names: set[str] | None
) -> None:
    assert named_siblings(component) == names


@given(conditions, few_names, trees())
def test_what_cannot_match_a_name_does_not(
    condition: Component, name: str, node: TreeNode
) -> None:
    if unmet(condition, name, node) is None:
        assert may_match_name(condition, name)
        siblings = named_siblings(condition)
        assert siblings is None or name in siblings


@pytest.mark.parametrize(
    ("component", "deeper"),
    [
        ("a", False),
        (IfNameMatches(), False),
        (IfPathMatches(), True),
        (IfAll("a", IfPathMatches()), True),
        (IfNot(IfAny(IfPathMatches("x"))), True),
        (IfAll(IfHasData()), False),
    ],
)
def test_a_path_condition_reaches_deeper_and_so_does_all_around_it(
    component: Component, deeper: bool
) -> None:
    assert reaches_deeper(component) is deeper


@pytest.mark.parametrize(
    ("component", "allowed"),
    [
        ("a", True),
        (IfNodeExists(exists=False), True),
        (IfNodeExists(exists=True), False),
        (IfAll("a", IfNodeExists(exists=False)), True),
        (IfAll("a", IfHasData()), False),
        (IfAll("a", IfAny(IfNodeExists(exists=False), IfDataMatches(9))), True),
        (IfAll("a", IfNot(IfNodeExists(exists=True))), False),
        (IfAny(IfHasData(), IfDataMatches(9)), False),
        (IfHasData(False), False),
        (IfPayloadVersion(1), False),
        (IfAll(), True),
        (IfAny(), False),
    ],
)
def test_names_and_demanded_absence_allow_creation_and_nothing_else(
    component: Component, allowed: bool
) -> None:
    assert allows_creation(component) is allowed


def test_only_demanded_absence_is_met_by_absence() -> None:
    assert is_met_by_absence(IfNodeExists(exists=False))
    assert is_met_by_absence(IfAll(IfNodeExists(exists=False)))
    assert not is_met_by_absence(IfNot(IfNodeExists()))
    assert not is_met_by_absence(IfAny(IfNodeExists(exists=False), IfHasData()))
