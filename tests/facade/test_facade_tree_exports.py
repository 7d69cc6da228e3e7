"""Everything the reference speaks of is imported from `khepri` itself."""

from __future__ import annotations

import khepri

NAMES = [
    "Eq",
    "Ne",
    "Lt",
    "Le",
    "Gt",
    "Ge",
    "Var",
    "ANY",
    "DictWith",
    "Guard",
    "ROOT",
    "THIS",
    "PARENT",
    "STAR",
    "STAR_STAR",
    "Path",
    "PathPattern",
    "abspath",
    "realpath",
    "combine_with_conditions",
    "IfNameMatches",
    "IfNameLike",
    "IfPathMatches",
    "IfHasPayload",
    "IfHasData",
    "IfHasSproc",
    "IfDataMatches",
    "IfPayloadVersion",
    "IfChildListVersion",
    "IfChildListLength",
    "IfNodeExists",
    "IfNot",
    "IfAll",
    "IfAny",
]


def test_what_paths_and_conditions_are_made_of_is_exported() -> None:
    assert [name for name in NAMES if name not in khepri.__all__] == []
    assert [name for name in khepri.__all__ if not hasattr(khepri, name)] == []


def test_the_wildcards_are_conditions_that_can_stand_in_a_sequence() -> None:
    assert khepri.realpath(["a", khepri.STAR_STAR, khepri.STAR]) == khepri.realpath("/a/**/*")
    assert khepri.realpath(["a", khepri.PARENT, "b"]) == khepri.Path("/b")
    assert khepri.abspath([khepri.PARENT, "b"], khepri.Path("/x/y")) == khepri.Path("/x/b")


def test_conditions_join_the_last_component_of_any_path() -> None:
    joined = khepri.combine_with_conditions("/a/b", khepri.IfHasData())
    assert joined == khepri.realpath(["a", khepri.IfAll("b", khepri.IfHasData())])
