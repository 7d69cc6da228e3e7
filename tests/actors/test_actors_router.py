"""The Router: whose answer is taken, and what is forgotten."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.label import ActorLabel
from khepri.actors.remote_calls import ANSWER, Answer, Call
from khepri.actors.router import RemoteCall, Router
from khepri.transport.interface import Envelope as Delivery
from khepri.transport.memory_network import MemoryNetwork
from khepri.transport.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from khepri.actors.reference import ActorReference
    from khepri.transport.interface import Message, Transport


class _Deaf(MemoryTransport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__(MemoryNetwork(), "here", b"life", lambda _envelopes: None)
        self.sent: list[tuple[str, Message]] = []

    def send(self, to_node: str, messages: Sequence[Message]) -> bool:
        self.sent += [(to_node, message) for message in messages]
        return True


@pytest.fixture
def transport() -> _Deaf:
    return _Deaf()


@pytest.fixture
def router(transport: _Deaf) -> Generator[ActorReference]:
    def make(_router: ActorReference) -> Transport:
        return transport

    router = Router.start(ActorLabel("router", None, "here"), make, {})
    yield router
    router.stop()


def call_id(transport: _Deaf, number: int) -> int:
    """Give the id of the call that was sent as that one."""
    return Call.decode(transport.sent[number][1].body).call_id


def answer(router: ActorReference, of_node: str, number: int, value: object) -> None:
    body = Answer(number, value, None).encode()
    router.cast(Delivery(of_node, b"x", "here", b"life", b"", "", ANSWER, body))


def test_an_answer_counts_only_if_it_comes_from_whom_was_asked(
    router: ActorReference, transport: _Deaf
) -> None:
    asked = router.request(RemoteCall("there", "ping", ()))
    ends: Any = router.request(RemoteCall("elsewhere", "ping", ()))
    deadline = time.monotonic() + 10
    while len(transport.sent) < 2:
        assert time.monotonic() < deadline
    answer(router, "elsewhere", call_id(transport, 0), "wrong")
    answer(router, "elsewhere", call_id(transport, 1), "mine")
    assert ends.get(timeout=10) == "mine"
    assert not asked.done()
    answer(router, "there", call_id(transport, 0), "right")
    assert asked.get(timeout=10) == "right"


def test_calls_of_two_lives_have_different_numbers() -> None:
    first, second = _Deaf(), _Deaf()
    for transport in (first, second):
        router = Router.start(ActorLabel("router", None, "here"), partial(_same, transport), {})
        router.request(RemoteCall("there", "ping", ()))
        router.stop(block=True, timeout=10)
    assert call_id(first, 0) != call_id(second, 0)


def _same(transport: Transport, _router: ActorReference) -> Transport:
    return transport
