"""Whether a node answers, when messages are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from khepri.asking import ping
from khepri.calls import Deadline
from khepri.errors import KhepriTimeoutError

if TYPE_CHECKING:
    from khepri.actors.node import Node


class _Lossy:
    """Answers the second question only."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, remote: str, function: str, arguments: tuple[()], seconds: float) -> str:
        assert (function, arguments) == ("ping", ())
        self.asked += 1
        if self.asked == 1:
            raise KhepriTimeoutError(
                "lost", operation=function, timeout_seconds=seconds, outcome="not_applied"
            )
        return remote


def test_a_ping_whose_answer_is_lost_is_sent_again() -> None:
    lossy = _Lossy()
    assert ping(cast("Node", lossy), "bob@127.0.0.1:5702", Deadline(5))
    assert lossy.asked == 2


def test_a_ping_with_no_time_left_asks_nobody() -> None:
    lossy = _Lossy()
    assert not ping(cast("Node", lossy), "bob@127.0.0.1:5702", Deadline(0))
    assert lossy.asked == 0
