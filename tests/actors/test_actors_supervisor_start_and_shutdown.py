"""How a supervisor starts its children, and how it ends them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pykka
import pytest

from khepri.actors.child_spec import (
    ChildSpec,
    Restart,
    Siblings,
    Strategy,
    SupervisorFlags,
)
from khepri.actors.child_table import ChildStatus
from khepri.actors.exit_reason import ExitKind
from khepri.actors.supervision import (
    count_children,
    start_child,
    terminate_child,
)
from khepri.actors.supervisor import Supervisor
from khepri.errors import CookieError, ServerStoppedError
from tests.actors.actors_helpers import WAIT_SECONDS, Gate, Journal, Worker, worker
from tests.actors.supervisor_house import (
    LABEL,
    RUNNING,
    STOPPED,
    House,
    fails,
    fails_to_start,
    started_house,
    strategy,
    tower,
)

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference


# --- start


def test_children_start_in_order_each_when_the_one_before_is_ready() -> None:
    gate = Gate()
    journal = Journal()
    supervisor = Supervisor.start(
        LABEL,
        SupervisorFlags(),
        [
            ChildSpec("a", worker("a", journal, on_start=gate.pass_through)),
            ChildSpec("b", worker("b", journal)),
        ],
    )
    gate.await_reached()
    assert journal.entries() == ["a starts"]
    assert not supervisor.started.done()
    # It does not wait for the child: it answers meanwhile.
    assert count_children(supervisor).get(timeout=WAIT_SECONDS).active == 1
    gate.open()
    supervisor.started.get(timeout=WAIT_SECONDS)
    assert journal.entries() == ["a starts", "b starts"]


def test_a_supervisor_without_children_is_ready_at_once() -> None:
    supervisor = Supervisor.start(LABEL, SupervisorFlags(), [])
    supervisor.started.get(timeout=WAIT_SECONDS)


def test_a_later_child_is_given_the_earlier_ones() -> None:
    journal = Journal()
    seen: list[Siblings] = []

    def start_b(siblings: Siblings) -> ActorReference:
        seen.append(siblings)
        return Worker.start("b", journal)

    house = House(None, ChildSpec("a", worker("a", journal)), ChildSpec("b", start_b))
    house.await_started()
    assert seen == [{"a": house.child("a")}]


@pytest.mark.parametrize("in_own_thread", [True, False])
def test_a_failing_start_stops_the_earlier_ones_and_is_told_to_the_starter(
    in_own_thread: bool,
) -> None:
    journal = Journal()
    bad = worker("bad", journal, on_start=fails_to_start) if in_own_thread else fails
    house = House(
        None,
        *(ChildSpec(name, worker(name, journal)) for name in "ab"),
        ChildSpec("bad", bad),
        ChildSpec("never", worker("never", journal)),
    )
    with pytest.raises(OSError, match="no such device"):
        house.await_started()
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.CRASHED
    entries = [entry for entry in journal.entries() if not entry.startswith("bad")]
    assert entries == ["a starts", "b starts", "b ends: shutdown", "a ends: shutdown"]


@pytest.mark.parametrize(
    ("error", "logged"), [(CookieError("no cookie"), 0), (OSError("no such device"), 1)]
)
def test_a_start_that_fails_for_a_reason_with_a_name_is_told_and_not_logged(
    error: Exception, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> NoReturn:
        raise error

    house = House(None, ChildSpec("bad", worker("bad", Journal(), on_start=fail)))
    with pytest.raises(type(error), match=str(error)):
        house.await_started()
    house.supervisor.down.get(timeout=WAIT_SECONDS)
    assert len([it for it in caplog.records if "failed to start" in it.message]) == logged


def test_a_supervisor_can_be_stopped_while_a_child_starts() -> None:
    gate = Gate()
    journal = Journal()
    supervisor = Supervisor.start(
        LABEL,
        SupervisorFlags(),
        [ChildSpec("a", worker("a", journal, on_start=gate.pass_through))],
    )
    gate.await_reached()
    stopped = supervisor.stop(block=False)
    gate.open()
    stopped.get(timeout=WAIT_SECONDS)
    with pytest.raises(ServerStoppedError):
        supervisor.started.get(timeout=WAIT_SECONDS)
    assert journal.entries() == ["a starts", "a ends: shutdown"]


# --- shutdown


def test_a_supervisor_stops_its_children_in_reverse_order() -> None:
    house = started_house()
    house.supervisor.stop()
    assert house.journal.entries() == [f"{name} ends: shutdown" for name in "cba"]


def test_a_child_that_does_not_stop_in_time_is_left_behind_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    journal = Journal()
    house = House(
        None,
        ChildSpec("a", worker("a", journal)),
        ChildSpec("b", worker("b", journal, on_stop=gate.pass_through), shutdown_seconds=0.01),
    )
    house.await_started()
    b = house.child("b")
    house.supervisor.stop()
    assert b.down.done()
    assert journal.entries() == ["a starts", "b starts", "a ends: shutdown"]
    assert "orders@alice-store-supervisor: child b did not stop in 0.01 s" in caplog.text
    gate.open()
    journal.await_entries("a starts", "b starts", "a ends: shutdown", "b ends: shutdown")


def test_a_group_restart_goes_on_when_a_child_does_not_stop_in_time() -> None:
    gate = Gate()
    journal = Journal()
    house = House(
        strategy(Strategy.ONE_FOR_ALL),
        ChildSpec("a", worker("a", journal)),
        ChildSpec("b", worker("b", journal, on_stop=gate.pass_through), shutdown_seconds=3.0),
    )
    house.await_started()
    house.crash("a")
    gate.await_reached()
    house.await_statuses(a=STOPPED, b=ChildStatus.STOPPING)
    house.clock.now += 3.0
    house.await_statuses(a=RUNNING, b=RUNNING)
    gate.open()


def test_a_child_that_ends_badly_when_stopped_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Journal()
    house = House(None, ChildSpec("a", worker("a", journal, on_stop=fails_to_start)))
    house.await_started()
    terminate_child(house.supervisor, "a").get(timeout=WAIT_SECONDS)
    assert "child a ended badly when it was stopped" in caplog.text


def test_the_host_may_stop_all_actors_and_nothing_comes_back() -> None:
    """In any order: here the children are stopped before their supervisors notice."""
    house, journal = tower(Restart.PERMANENT)
    pykka.ActorRegistry.stop_all(timeout=WAIT_SECONDS)
    assert house.supervisor.down.get(timeout=0).kind is ExitKind.SHUTDOWN
    assert journal.entries() == ["leaf starts", "leaf ends: shutdown"]
    assert pykka.ActorRegistry.get_all() == []


class NeverReady(Worker):
    started_by_itself = True


def never_ready(journal: Journal) -> ChildSpec:
    return ChildSpec("never", lambda _siblings: NeverReady.start("never", journal))


def test_a_first_child_that_the_host_stops_before_it_is_ready_ends_the_supervisor() -> None:
    house = House(strategy(Strategy.ONE_FOR_ONE), never_ready(Journal()))
    house.child("never").stop()
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.SHUTDOWN
    with pytest.raises(ServerStoppedError):
        house.supervisor.started.get(timeout=WAIT_SECONDS)


def test_an_added_child_that_the_host_stops_before_it_is_ready_is_forgotten() -> None:
    house = started_house()
    starting = start_child(house.supervisor, never_ready(house.journal))
    house.child("never").stop()
    with pytest.raises(ServerStoppedError):
        starting.get(timeout=WAIT_SECONDS)
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)


def test_who_waits_for_a_start_that_will_not_come_is_told() -> None:
    """While a is being stopped, d is added and must wait; then d is terminated."""
    gate = Gate()
    journal = Journal()
    house = House(
        strategy(Strategy.ONE_FOR_ALL),
        ChildSpec("a", worker("a", journal, on_stop=gate.pass_through)),
        ChildSpec("b", worker("b", journal)),
    )
    house.await_started()
    house.crash("b")
    gate.await_reached()
    starting = start_child(house.supervisor, house.spec("d"))
    terminate_child(house.supervisor, "d").get(timeout=WAIT_SECONDS)
    with pytest.raises(ServerStoppedError):
        starting.get(timeout=WAIT_SECONDS)
    gate.open()
    house.await_statuses(a=RUNNING, b=RUNNING)


def test_a_child_the_host_has_stopped_stays_down_with_what_is_tied_to_it() -> None:
    house = started_house(strategy(Strategy.REST_FOR_ONE))
    house.child("b").stop()
    house.await_statuses(a=RUNNING, b=STOPPED, c=STOPPED)
    assert house.journal.entries() == ["b ends: shutdown", "c ends: shutdown"]


# --- logs and misuse


def test_a_restart_is_logged_with_store_member_child_and_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = started_house()
    with caplog.at_level(logging.WARNING, "khepri.actors.supervisor"):
        house.crash("b")
        house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
    (record,) = [r for r in caplog.records if r.name == "khepri.actors.supervisor"]
    assert record.getMessage() == (
        "orders@alice-store-supervisor: child b has ended (crashed: ValueError('boom')); "
        "restart 1 of 5 in 5 s"
    )
    assert {record.__dict__[fact] for fact in ("store_id", "node", "child")} == {
        "orders",
        "alice",
        "b",
    }


def test_a_specification_that_cannot_be_meant_is_refused() -> None:
    spec = ChildSpec("a", fails)
    with pytest.raises(AssertionError):
        replace(spec, id="")
    with pytest.raises(AssertionError):
        replace(spec, shutdown_seconds=-1.0)
    with pytest.raises(AssertionError):
        replace(spec, significant=True)
    with pytest.raises(AssertionError):
        Supervisor.start(LABEL, SupervisorFlags(), [spec, spec])
