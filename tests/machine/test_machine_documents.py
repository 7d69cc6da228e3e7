"""The examples on the pages about paths, conditions and data patterns run as written."""

from __future__ import annotations

import doctest
import pathlib
from typing import Any

import pytest

from khepri.machine import comparisons, conditions, data_patterns, names, paths, unix_paths

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference"


def public_names() -> dict[str, Any]:
    """The names the pages use, as `khepri` exports them."""
    modules = (comparisons, conditions, data_patterns, names, paths, unix_paths)
    return {name: value for module in modules for name, value in vars(module).items()}


@pytest.mark.parametrize("page", ["paths-and-conditions.md", "data-patterns.md"])
def test_the_examples_of_a_page_run(page: str) -> None:
    results = doctest.testfile(str(DOCS / page), module_relative=False, globs=public_names())
    assert results.attempted > 3
    assert results.failed == 0
