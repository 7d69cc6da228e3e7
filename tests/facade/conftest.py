"""Every test of the public face has a directory of its own and leaves nothing running."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri import config
from khepri.actors.default_node import default_node
from khepri.keeping import keeper
from tests.facade.facade_helpers import PATIENCE_SECONDS
from tests.facade.subscription_helpers import Host, Told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pykka


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("DEFAULT_TIMEOUT", "DEFAULT_STORE_ID", "DEFAULT_RA_SYSTEM", "MAX_COMMAND_BYTES"):
        monkeypatch.delenv(f"KHEPRI_{name}", raising=False)
    config.reload()
    yield tmp_path
    for kept in list(keeper._looks):  # a lock that a test has left would go on in the next one
        kept.end()
    default_node().stop()
    assert default_node().stores == {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[khepri.Store]:
    with khepri.open(tmp_path / "data", "orders") as opened:
        yield opened


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def host(told: Told) -> Iterator[pykka.ActorRef[Host]]:
    reference = Host.start(told)
    yield reference
    reference.stop(block=True, timeout=PATIENCE_SECONDS)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a script starts in its background ignores SIGINT from birth, and so do its tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
