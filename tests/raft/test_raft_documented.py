"""The page of cases is complete and names tests that exist; every safe rule has a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "raft-cases.md"
HOW_MANY = {
    "E": 25,
    "P": 13,
    "R": 27,
    "C": 10,
    "Q": 14,
    "T": 9,
    "M": 25,
    "S": 27,
    "N": 14,
    "K": 7,
    "A": 19,
    "L": 13,
}
RULES = 24
STATES = {"covered", "part", "open", "does not apply"}


def rows(page: str) -> list[list[str]]:
    """The cells of each row that is about a case."""
    found = re.findall(r"^\| ([A-Z]\d\d) \| (.*) \| (.*) \| (.*) \|$", page, flags=re.MULTILINE)
    return [list(row) for row in found]


def complaints(page: str, tests: set[str]) -> list[str]:
    """What is wrong with the page."""
    listed = rows(page)
    expected = [
        f"{letter}{n:02}" for letter, count in HOW_MANY.items() for n in range(1, count + 1)
    ]
    wrong = [] if [row[0] for row in listed] == expected else ["cases missing or out of order"]
    for case, _, state, cell in listed:
        named = re.findall(r"`(test_\w+)`", cell)
        wrong += [f"{case}: there is no {name}" for name in named if name not in tests]
        if state not in STATES:
            wrong.append(f"{case}: {state} is no state")
        if state == "covered" and not named:
            wrong.append(f"{case}: covered by what?")
        if state != "covered" and not cell:
            wrong.append(f"{case}: why?")
    return wrong


def existing_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
    }


def rules_without_a_test(tests: set[str]) -> list[int]:
    """The rules of spec ra §9 that no test is named after."""
    named = {int(found[1]) for name in tests if (found := re.match(r"test_rule_(\d\d)_", name))}
    return [number for number in range(1, RULES + 1) if number not in named]


def test_every_safe_rule_has_a_test_named_after_it() -> None:
    assert rules_without_a_test(existing_tests()) == []


def test_a_rule_without_a_test_is_noticed() -> None:
    tests = {name for name in existing_tests() if not name.startswith("test_rule_17_")}
    assert rules_without_a_test(tests) == [17]


def test_every_case_has_its_row_and_every_named_test_exists() -> None:
    assert complaints(PAGE.read_text("utf-8"), existing_tests()) == []


def test_a_wrong_page_is_noticed() -> None:
    page = PAGE.read_text("utf-8")
    tests = existing_tests()
    name = "test_e05_one_vote_per_term"
    assert complaints(page, tests - {name}) == [f"E05: there is no {name}"]
    assert complaints(page.replace("| E05 |", "| E99 |"), tests)
    assert complaints(
        page.replace("| E05 | one vote per term | covered", "| E05 | x | fine"), tests
    )
