"""A pattern is made of components; the letters of a text are none."""

from __future__ import annotations

import pytest

from khepri.errors import InvalidPathError
from khepri.machine.paths import PathPattern


def test_a_pattern_is_not_made_of_the_letters_of_a_text() -> None:
    with pytest.raises(InvalidPathError, match="not of the text"):
        PathPattern("/a/*")
