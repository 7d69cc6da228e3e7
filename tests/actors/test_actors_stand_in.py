"""The StandIn: whose turns it takes, and for how long it looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from khepri.actors.envelope import Envelope
from khepri.actors.label import ActorLabel
from khepri.actors.stand_in import LOOK_SECONDS, STAND_BY_SECONDS, StandBy, StandIn
from tests.actors.actors_helpers import SetClock


class Server:
    """Is away or not, and counts the looks."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.looks = 0

    def stand_in(self) -> bool:
        self.looks += 1
        return self.is_away


def stand_in_with(*servers: Any) -> tuple[StandIn, SetClock]:
    clock = SetClock()
    stand_in = StandIn(ActorLabel("stand-in", None, "alice"))
    stand_in.clock = clock
    stand_in.on_batch([Envelope(StandBy(server)) for server in servers])
    return stand_in, clock


def look(stand_in: StandIn, clock: SetClock) -> None:
    deadline = stand_in.next_deadline()
    assert deadline is not None
    clock.now = max(clock.now, deadline)
    stand_in.on_deadline()


def test_it_looks_while_it_stands_by_and_then_sleeps() -> None:
    server = Server()
    stand_in, clock = stand_in_with(server)
    began = clock.now
    while stand_in.next_deadline() is not None:
        look(stand_in, clock)
    assert STAND_BY_SECONDS <= clock.now - began < STAND_BY_SECONDS + 2 * LOOK_SECONDS
    assert server.looks == pytest.approx(STAND_BY_SECONDS / LOOK_SECONDS, abs=2)


def test_it_goes_on_looking_at_who_is_still_away() -> None:
    server = Server(is_away=True)
    stand_in, clock = stand_in_with(server)
    clock.now += 100 * STAND_BY_SECONDS
    look(stand_in, clock)
    assert stand_in.next_deadline() is not None
    server.is_away = False
    look(stand_in, clock)
    assert stand_in.next_deadline() is None


def test_it_looks_at_each_of_several() -> None:
    servers = [Server(), Server()]
    stand_in, clock = stand_in_with(*servers)
    look(stand_in, clock)
    assert [server.looks for server in servers] == [1, 1]


def test_what_it_does_not_understand_is_a_bug() -> None:
    stand_in, _ = stand_in_with()
    with pytest.raises(TypeError, match="not a message"):
        stand_in.on_batch([Envelope(SimpleNamespace())])
