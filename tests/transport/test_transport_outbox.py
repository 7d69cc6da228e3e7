"""The queue to one peer: bounded, woken once, shut and opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from khepri.transport.counters import Drop
from khepri.transport.outbox import Outbox, queued_size
from tests.transport.transport_helpers import text

if TYPE_CHECKING:
    from khepri.transport.interface import Message


def nothing() -> None:
    """Do nothing."""


def test_an_outbox_wakes_its_reader_once_until_it_is_emptied() -> None:
    wakes: list[int] = []
    outbox = Outbox(100_000, lambda: wakes.append(1))
    for _ in range(5):
        assert outbox.put([text(b"x")]) is None
    assert len(wakes) == 1

    outbox.take(100_000, 100)
    assert outbox.put([text(b"x")]) is None
    assert len(wakes) == 2
    assert outbox.put([]) is None
    assert len(wakes) == 2


def test_an_outbox_keeps_to_its_budget_until_messages_have_left() -> None:
    message = text(bytes(100))
    outbox = Outbox(2 * queued_size(message), nothing)
    assert outbox.put([message, message]) is None
    assert outbox.put([message]) is Drop.QUEUE_FULL

    assert outbox.take(10_000, 100) == [message, message]
    assert outbox.put([message]) is Drop.QUEUE_FULL, "taken is not sent"
    outbox.leaving_bytes = 0
    assert outbox.put([message]) is None


def test_a_shut_outbox_drops_and_refuses_until_it_is_opened() -> None:
    outbox = Outbox(100_000, nothing)
    outbox.put([text(b"1"), text(b"2")])
    assert outbox.shut() == 2
    assert outbox.put([text(b"3")]) is Drop.PEER_DOWN
    assert outbox.queued_bytes == 0
    outbox.open()
    assert outbox.put([text(b"4")]) is None


@given(
    sizes=st.lists(st.integers(0, 500), max_size=30),
    batch_bytes=st.integers(1, 3000),
    batch_messages=st.integers(1, 10),
)
def test_batches_keep_order_and_limits(
    sizes: list[int], batch_bytes: int, batch_messages: int
) -> None:
    outbox = Outbox(1_000_000, nothing)
    messages = [text(b"%d" % number + bytes(size)) for number, size in enumerate(sizes)]
    outbox.put(messages)
    taken: list[Message] = []
    while True:
        batch = outbox.take(batch_bytes, batch_messages)
        if not batch:
            break
        assert len(batch) <= batch_messages
        assert outbox.leaving_bytes == sum(map(queued_size, batch))
        assert outbox.leaving_bytes <= batch_bytes or len(batch) == 1
        taken += batch
    assert taken == messages
    assert outbox.queued_bytes == 0
