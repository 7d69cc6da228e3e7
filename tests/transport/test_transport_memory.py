"""The memory network's faults, and runs of it by hand."""

from __future__ import annotations

from typing import Any

import pytest

from khepri.errors import InvalidOptionError
from khepri.transport.counters import Drop
from khepri.transport.memory_faults import LinkFaults
from khepri.transport.memory_network import MemoryNetwork
from khepri.transport.memory_transport import MemoryTransport
from tests.transport.transport_helpers import (
    Mailbox,
    MemoryNodes,
    eventually,
    khepri_threads,
    text,
)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stepwise:
    """Three nodes on a network that is stepped by hand."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(seed=seed, clock=self.clock, is_stepwise=True)
        self.mailboxes = {name: Mailbox() for name in "abc"}
        self.transports = {name: self.start(name, b"life") for name in "abc"}

    def start(self, name: str, incarnation: bytes) -> MemoryTransport:
        transport = MemoryTransport(self.network, name, incarnation, self.mailboxes[name])
        transport.start()
        return transport

    def send(self, sender: str, receiver: str, *bodies: bytes) -> None:
        for body in bodies:
            assert self.transports[sender].send(receiver, [text(body)])

    def settle(self) -> None:
        """Let time pass until nothing is under way."""
        while (due := self.network.next_due()) is not None:
            self.clock.now = max(self.clock.now, due)
            self.network.deliver_due()


NUMBERS = [b"%d" % number for number in range(200)]


def test_nothing_moves_until_it_is_stepped_and_no_thread_runs() -> None:
    world = Stepwise()
    world.send("a", "b", b"1")
    assert world.mailboxes["b"].bodies() == []
    assert khepri_threads() == []

    assert world.network.deliver_due() == 1

    assert world.mailboxes["b"].bodies() == [b"1"]
    assert world.network.next_due() is None


def test_what_is_delayed_waits_for_the_clock_and_stays_in_order() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(delay_seconds=(1.0, 3.0)))
    world.send("a", "b", *NUMBERS)
    assert world.network.deliver_due() == 0
    due = world.network.next_due()
    assert due is not None
    assert 101.0 <= due <= 103.0

    world.settle()

    assert world.mailboxes["b"].bodies() == NUMBERS
    assert world.clock.now <= 103.0


def test_n01_what_is_duplicated_arrives_twice() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(duplication=1.0))
    world.send("a", "b", *NUMBERS)
    world.settle()
    assert sorted(world.mailboxes["b"].bodies()) == sorted(NUMBERS * 2)


def test_n02_what_is_reordered_arrives_once_and_in_another_order() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(reordering=0.5, hold_back_seconds=1.0))
    for body in NUMBERS:
        world.send("a", "b", body)
        world.clock.now += 0.01
        world.network.deliver_due()
    world.settle()
    assert world.mailboxes["b"].bodies() != NUMBERS
    assert sorted(world.mailboxes["b"].bodies()) == sorted(NUMBERS)


def test_n03_what_is_lost_is_counted_and_the_rest_arrives_in_order() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(loss=0.3))
    world.send("a", "b", *NUMBERS)
    world.settle()
    arrived = world.mailboxes["b"].bodies()
    lost = world.transports["a"].counters[Drop.LOST_ON_PURPOSE]
    assert len(arrived) + lost == len(NUMBERS)
    assert 30 < lost < 90
    assert arrived == [body for body in NUMBERS if body in set(arrived)]


def test_n04_a_link_is_cut_one_way_and_mended() -> None:
    world = Stepwise()
    world.network.cut("a", "b")
    world.send("a", "b", b"lost")
    world.send("b", "a", b"arrives")
    world.settle()
    world.network.mend("a", "b")
    world.send("a", "b", b"arrives too")
    world.settle()
    assert world.mailboxes["a"].bodies() == [b"arrives"]
    assert world.mailboxes["b"].bodies() == [b"arrives too"]


def test_a_cut_also_loses_what_is_under_way() -> None:
    world = Stepwise()
    world.send("a", "b", b"under way")
    world.network.cut("a", "b")
    world.settle()
    assert world.mailboxes["b"].bodies() == []
    assert world.transports["b"].counters[Drop.LOST_ON_PURPOSE] == 1


def test_n06_a_partition_keeps_groups_apart_until_it_is_mended() -> None:
    world = Stepwise()
    world.network.partition({"a", "b"}, {"c"})
    for sender in "abc":
        for receiver in "abc":
            if sender != receiver:
                world.send(sender, receiver, sender.encode())
    world.settle()
    assert [world.mailboxes[name].bodies() for name in "abc"] == [[b"b"], [b"a"], []]

    world.network.mend_all()
    world.send("c", "a", b"healed")
    world.settle()
    assert world.mailboxes["a"].bodies() == [b"b", b"healed"]


def test_the_most_specific_faults_hold() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(loss=1.0))
    world.network.set_faults(LinkFaults(), sender="a")
    world.network.set_faults(LinkFaults(loss=1.0), sender="a", receiver="c")
    world.network.set_faults(LinkFaults(duplication=1.0), receiver="c")
    world.send("a", "b", b"1")
    world.send("a", "c", b"2")
    world.send("b", "c", b"3")
    world.send("b", "a", b"4")
    world.settle()
    assert [world.mailboxes[name].bodies() for name in "abc"] == [[], [b"1"], [b"3", b"3"]]


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    def run(seed: int) -> list[bytes]:
        world = Stepwise(seed)
        faults = LinkFaults(loss=0.1, duplication=0.1, reordering=0.3, delay_seconds=(0.0, 0.1))
        world.network.set_faults(faults)
        world.send("a", "b", *NUMBERS)
        world.settle()
        return world.mailboxes["b"].bodies()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_n08_what_comes_from_or_for_a_past_life_is_dropped() -> None:
    world = Stepwise()
    world.network.set_faults(LinkFaults(delay_seconds=(1.0, 1.0)))
    world.send("a", "b", b"from a past life")
    world.send("c", "a", b"for a past life")
    world.transports["a"].stop()
    world.start("a", b"next life")

    world.settle()

    assert world.mailboxes["b"].bodies() == []
    assert world.mailboxes["a"].bodies() == []
    assert world.transports["b"].counters[Drop.STALE_SENDER] == 1


def test_what_waits_for_a_node_that_is_down_does_not_hold_the_run_up() -> None:
    world = Stepwise()
    world.send("a", "b", b"1")
    world.transports["b"].stop()
    assert world.network.next_due() is None
    assert not world.transports["a"].send("b", [text(b"2")])


def test_faults_work_with_threads_too() -> None:
    nodes = MemoryNodes(MemoryNetwork(seed=3))
    nodes.network.set_faults(
        LinkFaults(duplication=0.2, reordering=0.2, delay_seconds=(0.0, 0.01))
    )
    mailbox = Mailbox()
    sender, receiver = nodes.make("a", Mailbox()), nodes.make("b", mailbox)
    sender.start()
    receiver.start()
    for body in NUMBERS:
        assert sender.send("b", [text(body)])
    eventually(lambda: set(mailbox.bodies()) == set(NUMBERS))
    nodes.stop_all()
    assert khepri_threads() == []


@pytest.mark.parametrize("option", ["loss", "duplication", "reordering"])
@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan")])
def test_a_chance_is_between_0_and_1(option: str, chance: float) -> None:
    chances: dict[str, Any] = {option: chance}
    with pytest.raises(InvalidOptionError, match=option):
        LinkFaults(**chances)
