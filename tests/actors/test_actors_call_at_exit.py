"""What is called when the interpreter exits."""

from __future__ import annotations

import gc

import pytest

from khepri.actors import node_supervision
from khepri.actors.node_supervision import call_at_exit


class Stoppable:
    """Something that notes when it is stopped."""

    def __init__(self, stopped: list[str], name: str) -> None:
        self._stopped = stopped
        self._name = name

    def stop(self) -> None:
        self._stopped.append(self._name)


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the nodes of other tests out of it."""
    monkeypatch.setattr(node_supervision, "_called_at_exit", {})


def test_what_lives_is_stopped_and_the_newest_first() -> None:
    stopped: list[str] = []
    first, second = Stoppable(stopped, "first"), Stoppable(stopped, "second")
    call_at_exit(first.stop)
    call_at_exit(second.stop)
    node_supervision._call_all()
    assert stopped == ["second", "first"]


def test_nothing_is_left_of_what_has_gone() -> None:
    stopped: list[str] = []
    gone = Stoppable(stopped, "gone")
    call_at_exit(gone.stop)
    assert len(node_supervision._called_at_exit) == 1
    del gone
    gc.collect()
    assert not node_supervision._called_at_exit
    node_supervision._call_all()
    assert stopped == []
