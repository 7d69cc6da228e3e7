"""What is asked of another node, when messages are lost or threads are short."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest

from khepri.asking import cluster_of, ping
from khepri.calls import Deadline
from khepri.errors import KhepriTimeoutError
from khepri.request_threads import RequestThreads

if TYPE_CHECKING:
    from khepri.actors.node import Node


class _Lossy:
    """Answers the second question only."""

    def __init__(self) -> None:
        self.asked = 0

    def call(
        self, remote: str, function: str, arguments: tuple[str, ...], seconds: float
    ) -> object:
        self.asked += 1
        if self.asked == 1:
            raise KhepriTimeoutError(
                "lost", operation=function, timeout_seconds=seconds, outcome="not_applied"
            )
        if function == "cluster_of":
            assert arguments == ("orders",)
            return [b"its id", [remote]]
        assert (function, arguments) == ("ping", ())
        return remote


def test_a_ping_whose_answer_is_lost_is_sent_again() -> None:
    lossy = _Lossy()
    assert ping(cast("Node", lossy), "bob@127.0.0.1:5702", Deadline(5))
    assert lossy.asked == 2


def test_a_ping_with_no_time_left_asks_nobody() -> None:
    lossy = _Lossy()
    assert not ping(cast("Node", lossy), "bob@127.0.0.1:5702", Deadline(0))
    assert lossy.asked == 0


def test_the_cluster_of_a_store_is_asked_for_again_when_the_answer_is_lost() -> None:
    lossy = _Lossy()
    found = cluster_of(cast("Node", lossy), "orders", "bob@127.0.0.1:5702", Deadline(5))
    assert (found, lossy.asked) == ((b"its id", ["bob@127.0.0.1:5702"], 1), 2)
    with pytest.raises(KhepriTimeoutError, match="for its cluster"):
        cluster_of(cast("Node", _Lossy()), "orders", "bob@127.0.0.1:5702", Deadline(0))


def test_a_request_that_got_no_thread_takes_no_place_from_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = RequestThreads("alice", 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread_is_left)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                threads.run(lambda: 1)
    assert threads.run(lambda: 1).get(timeout=20) == 1


def _no_thread_is_left(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
