"""A place for nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.cli_site import Site

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    """A place for nodes."""
    with Site(tmp_path) as made:
        yield made
