"""A tree is drawn from its lines in order."""

import pytest

from khepri.cli.drawing import ASCII, Line, draw
from khepri.cli.tree import Paint, natural_order, wants_colours
from khepri.machine.paths import Path


def drawn(*lines: tuple[int, str]) -> list[str]:
    return list(draw([Line(*line) for line in lines]))


def test_nothing_is_drawn_for_no_lines() -> None:
    assert drawn() == []


def test_branches_tell_who_is_below_whom() -> None:
    assert drawn((1, "a"), (2, "b"), (3, "c"), (2, "d"), (1, "e"), (2, "f")) == [
        "├── a",
        "│   ├── b",
        "│   │   └── c",
        "│   └── d",
        "└── e",
        "    └── f",
    ]


def test_a_jump_back_over_several_levels_ends_them_all() -> None:
    assert drawn((1, "a"), (2, "b"), (3, "c"), (4, "d"), (1, "e")) == [
        "├── a",
        "│   └── b",
        "│       └── c",
        "│           └── d",
        "└── e",
    ]


def test_terminals_without_unicode_get_ascii() -> None:
    lines = [Line(1, "a"), Line(2, "b"), Line(1, "c")]
    assert list(draw(lines, ASCII)) == ["|-- a", "|   `-- b", "`-- c"]


def test_list_indexes_come_in_the_order_of_the_list() -> None:
    paths = [Path(["list", name]) for name in ("10", "x", "9", "2", "٣", "9" * 4000)]
    ordered = [path.name for path in sorted(paths, key=natural_order)]
    assert ordered == ["2", "9", "10", "9" * 4000, "x", "٣"]


def test_a_payload_is_cut_and_kept_on_its_line() -> None:
    paint = Paint(colours=False, width=40)
    assert (
        paint.text("name", {"data": "one\ntwo\x1b[31m" + "x" * 30}) == "name: one two [31mxxxxxxx…"
    )
    assert paint.text("name", {}) == "name"


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_whose_user_has_nothing_against_them(
    *, is_terminal: bool, environment: dict[str, str], expected: bool
) -> None:
    assert wants_colours(environment, is_terminal=is_terminal) is expected
