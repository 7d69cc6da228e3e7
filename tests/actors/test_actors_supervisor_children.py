"""Children that come and go while the supervisor runs."""

from __future__ import annotations

import pytest

from khepri.actors.actor_errors import (
    ChildExistsError,
    ChildIsRunningError,
    NoSuchChildError,
)
from khepri.actors.child_spec import (
    ChildKind,
    ChildSpec,
    Restart,
    Strategy,
    SupervisorFlags,
)
from khepri.actors.supervision import (
    count_children,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from khepri.errors import ServerStoppedError
from tests.actors.actors_helpers import WAIT_SECONDS, Gate, Journal, worker
from tests.actors.supervisor_house import (
    RUNNING,
    STOPPED,
    House,
    fails_to_start,
    started_house,
    strategy,
    tower,
)

# --- children that come and go


def test_a_child_can_be_added_and_its_starter_waits_until_it_is_ready() -> None:
    house = started_house()
    gate = Gate()
    spec = ChildSpec("d", worker("d", house.journal, on_start=gate.pass_through))
    starting = start_child(house.supervisor, spec)
    gate.await_reached()
    assert not starting.done()
    gate.open()
    assert starting.get(timeout=WAIT_SECONDS) is house.child("d")
    house.crash("d")
    house.journal.await_entries("d starts", "d ends: crashed", "d starts")


def test_a_child_that_cannot_be_added_is_forgotten_and_its_starter_told() -> None:
    house = started_house(SupervisorFlags(intensity=0))
    spec = ChildSpec("d", worker("d", house.journal, on_start=fails_to_start))
    with pytest.raises(OSError, match="no such device"):
        start_child(house.supervisor, spec).get(timeout=WAIT_SECONDS)
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)


def test_two_children_of_one_id_are_refused() -> None:
    house = started_house()
    with pytest.raises(ChildExistsError) as caught:
        start_child(house.supervisor, house.spec("a")).get(timeout=WAIT_SECONDS)
    assert caught.value.facts["reference"] is house.child("a")


def test_a_terminated_child_stays_down_whatever_its_siblings_do() -> None:
    house = started_house(strategy(Strategy.ONE_FOR_ALL))
    terminate_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    assert house.journal.entries() == ["b ends: shutdown"]
    house.crash("a")
    house.await_statuses(a=RUNNING, b=STOPPED, c=RUNNING)
    terminate_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)


def test_a_terminated_child_can_be_restarted_or_deleted() -> None:
    house = started_house()
    for operation in (restart_child, delete_child):
        with pytest.raises(ChildIsRunningError):
            operation(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    terminate_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    restarted = restart_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    assert house.child("b") is restarted
    terminate_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    delete_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    house.await_statuses(a=RUNNING, c=RUNNING)
    start_child(house.supervisor, house.spec("b")).get(timeout=WAIT_SECONDS)


def test_a_terminated_temporary_child_is_forgotten() -> None:
    house = started_house(restart=Restart.TEMPORARY)
    terminate_child(house.supervisor, "b").get(timeout=WAIT_SECONDS)
    house.await_statuses(a=RUNNING, c=RUNNING)


def test_a_failing_restart_by_hand_leaves_the_child_stopped() -> None:
    journal = Journal()
    starts = iter(range(100))

    def only_the_first_works() -> None:
        if next(starts) > 0:
            raise OSError("no such device")

    spec = ChildSpec("a", worker("a", journal, on_start=only_the_first_works))
    house = House(SupervisorFlags(intensity=0), spec)
    house.await_started()
    terminate_child(house.supervisor, "a").get(timeout=WAIT_SECONDS)
    with pytest.raises(OSError, match="no such device"):
        restart_child(house.supervisor, "a").get(timeout=WAIT_SECONDS)
    assert house.statuses() == {"a": STOPPED}


def test_a_child_terminated_while_it_starts_tells_its_starter() -> None:
    house = started_house()
    gate = Gate()
    spec = ChildSpec("d", worker("d", house.journal, on_start=gate.pass_through))
    starting = start_child(house.supervisor, spec)
    gate.await_reached()
    terminating = terminate_child(house.supervisor, "d")
    gate.open()
    terminating.get(timeout=WAIT_SECONDS)
    with pytest.raises(ServerStoppedError):
        starting.get(timeout=WAIT_SECONDS)


def test_an_unknown_child_is_an_error() -> None:
    house = started_house()
    for operation in (terminate_child, restart_child, delete_child):
        with pytest.raises(NoSuchChildError):
            operation(house.supervisor, "nobody").get(timeout=WAIT_SECONDS)


def test_children_are_listed_and_counted() -> None:
    house, _ = tower(Restart.PERMANENT)
    start_child(house.supervisor, house.spec("a")).get(timeout=WAIT_SECONDS)
    terminate_child(house.supervisor, "a").get(timeout=WAIT_SECONDS)
    inner, a = which_children(house.supervisor).get(timeout=WAIT_SECONDS)
    assert (inner.id, inner.status, inner.kind) == ("inner", RUNNING, ChildKind.SUPERVISOR)
    assert (a.id, a.status, a.reference) == ("a", STOPPED, None)
    counts = count_children(house.supervisor).get(timeout=WAIT_SECONDS)
    assert (counts.specs, counts.active) == (2, 1)
    assert (counts.supervisors, counts.workers) == (1, 1)


def test_whoever_waits_for_a_child_is_told_when_the_supervisor_ends() -> None:
    house = started_house()
    gate = Gate()
    spec = ChildSpec("d", worker("d", house.journal, on_start=gate.pass_through))
    starting = start_child(house.supervisor, spec)
    gate.await_reached()
    stopped = house.supervisor.stop(block=False)
    gate.open()
    stopped.get(timeout=WAIT_SECONDS)
    with pytest.raises(ServerStoppedError):
        starting.get(timeout=WAIT_SECONDS)


def test_one_slow_start_does_not_hold_up_the_others() -> None:
    house = started_house()
    gate = Gate()
    slow = ChildSpec("slow", worker("slow", house.journal, on_start=gate.pass_through))
    starting = start_child(house.supervisor, slow)
    gate.await_reached()
    house.crash("a")
    house.journal.await_entries("slow starts", "a ends: crashed", "a starts")
    start_child(house.supervisor, house.spec("d")).get(timeout=WAIT_SECONDS)
    gate.open()
    starting.get(timeout=WAIT_SECONDS)
