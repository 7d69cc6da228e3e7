"""The page of statements about the tree names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "tree-statements.md"


def complaints(page: str, tests: set[str]) -> list[str]:
    """What is wrong with the page."""
    rows = re.findall(r"^\| (.*) \| (.*) \|$", page, flags=re.MULTILINE)
    wrong = [] if rows else ["no statements"]
    for statement, cell in rows:
        if set(statement) == {"-"} or cell == "tests":
            continue
        names = re.findall(r"`(test_\w+)`", cell)
        files = re.findall(r"`(tests/[\w/]+\.py)`", cell)
        wrong += [f"{statement}: there is no {name}" for name in names if name not in tests]
        wrong += [
            f"{statement}: there is no {file}" for file in files if not (ROOT / file).exists()
        ]
        if not names:
            wrong.append(f"{statement}: which test?")
    return wrong


def existing_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
    }


def test_every_statement_has_a_test_that_exists() -> None:
    assert complaints(PAGE.read_text("utf-8"), existing_tests()) == []


def test_a_wrong_page_is_noticed() -> None:
    page, tests = PAGE.read_text("utf-8"), existing_tests()
    name = "test_watchers_may_watch_each_other"
    assert complaints(page, tests - {name})[0].endswith(f"there is no {name}")
    assert complaints(page + "\n| a new one | nobody knows |\n", tests) == [
        "a new one: which test?"
    ]
    assert complaints("", tests) == ["no statements"]
