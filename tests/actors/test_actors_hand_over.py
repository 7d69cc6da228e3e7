"""What a leader that stops says about whether another one took over."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from khepri.actors.future import KhepriFuture
from khepri.actors.hand_over import hand_over
from khepri.actors.refusals import value_or_error
from khepri.actors.server_messages import Refusal
from khepri.raft.effects import RejectReason
from khepri.raft.types import ServerId

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.access import StoreAccess

_LEADER = ServerId("s", "alice@127.0.0.1:1")
_OTHER = ServerId("s", "bob@127.0.0.1:2")


def _leading(answer: object) -> StoreAccess:
    """Give a store that leads, and whose server answers so to being asked to hand over."""

    def request(_message: object, then: Callable[[object], object]) -> KhepriFuture[Any]:
        future: KhepriFuture[Any] = KhepriFuture(then)
        future.resolve(answer)
        return future

    access = SimpleNamespace(
        server_id=_LEADER,
        store_id="s",
        membership=SimpleNamespace(leader=_LEADER, members=(_LEADER, _OTHER)),
        server=SimpleNamespace(request=request),
    )
    return cast("StoreAccess", access)


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        (RejectReason.LEADERSHIP_LOST, logging.INFO),
        (RejectReason.TRANSFER_TIMED_OUT, logging.WARNING),
        (RejectReason.NOT_MEMBER, logging.WARNING),
    ],
)
def test_who_leads_no_more_when_it_stops_has_nothing_to_warn_of(
    reason: RejectReason, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "khepri.actors.hand_over")
    hand_over([_leading(Refusal(reason, None, ""))])
    (record,) = caplog.records
    assert record.levelno == level
    assert reason.value not in record.getMessage(), "a person reads it"


def test_it_says_that_it_has_handed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "khepri.actors.hand_over")
    hand_over([_leading(None)])
    assert "has handed over" in caplog.text
    with pytest.raises(Exception, match="leads no more"):
        value_or_error(Refusal(RejectReason.LEADERSHIP_LOST, None, ""))
