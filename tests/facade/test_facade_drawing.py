"""A tree is drawn from its lines in order."""

import pytest

from khepri.drawing import ASCII, UNICODE, Line, draw
from khepri.machine.paths import Path
from khepri.painting import (
    Paint,
    branches_for,
    name_text,
    natural_order,
    path_text,
    shortened,
    wants_colours,
)


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
    long = "one\ntwo\x1b[31m" + "x" * 30
    assert paint.tree_node("name", long) == "name: one two [31mxxxxxxx…"
    assert paint.tree_node("name", None) == "name"


def test_a_payload_deep_in_the_tree_has_what_the_branches_leave_of_the_line() -> None:
    paint = Paint(colours=False, width=60)
    for depth, width in ((0, 30), (5, 30), (7, 26), (8, 22), (9, 20), (99, 20)):
        text = paint.tree_node("name", "x" * 80, depth)
        assert len(text) == len("name: ") + width, depth


def test_a_shortened_text_says_so() -> None:
    assert shortened("12345", 5) == "12345"
    assert shortened("123456", 5) == "1234…"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("oak", "oak"),
        ("two words", "two words"),
        ("ünï", "ünï"),
        ("", '""'),
        ("a/b*", "a%2Fb%2A"),
        ("100%", "100%25"),
        ("..", "%2E."),
        (" x", "%20x"),
        ("a\x1b[31m\n", "a%1B%5B31m%0A"),
        ("\u202egnp", "%E2%80%AEgnp"),
    ],
)
def test_a_name_is_shown_as_it_can_be_written_in_a_path(name: str, shown: str) -> None:
    assert name_text(name) == shown
    assert path_text(("a", name)) == ("/a//" if not name else f"/a/{shown}")
    assert Path(path_text(("a", name))) == ("a", name)


def test_branches_are_of_signs_that_the_output_has() -> None:
    assert branches_for("ascii") == ASCII
    assert branches_for("utf-8") == branches_for(None) == UNICODE


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
