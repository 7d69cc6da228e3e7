"""Every test leaves no actor behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pykka
import pytest

from tests.actors.outlet_helpers import Served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_actor_is_left() -> Iterator[None]:
    yield
    pykka.ActorRegistry.stop_all(timeout=10.0)
    assert pykka.ActorRegistry.get_all() == []


@pytest.fixture
def served() -> Served:
    return Served()
