"""Peers that have lost what they had confirmed are told of, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from khepri.actors.server_status import ForgetfulPeers
from khepri.raft.progress import PeerState
from khepri.raft.types import Index, ServerId

if TYPE_CHECKING:
    import pytest

BOB = ServerId("orders", "bob")


def test_a_peer_that_stays_forgetful_is_told_once_each_time_it_becomes_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peers = ForgetfulPeers()
    told: list[int] = []
    for has_forgotten in (True, False, True, True, True, False, True, True):
        core: Any = SimpleNamespace(
            peers={BOB: PeerState(Index(7), "probe", True, has_forgotten, 1)}
        )
        peers.look(core)
        told.append(len(caplog.messages))
    assert told == [0, 0, 0, 1, 1, 1, 1, 2]
    assert "bob has less on its disk" in caplog.text
