"""Who is restarted with whom, when, and how often, as in OTP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from khepri.actors.actor_errors import (
    RestartIntensityExceededError,
)
from khepri.actors.child_spec import (
    AutoShutdown,
    ChildSpec,
    Restart,
    Siblings,
    Strategy,
    SupervisorFlags,
)
from khepri.actors.exit_reason import ExitKind
from tests.actors.actors_helpers import WAIT_SECONDS, Gate, Journal, Worker, worker
from tests.actors.supervisor_house import (
    RUNNING,
    STOPPED,
    House,
    crash_leaf,
    started_house,
    strategy,
    tower,
)

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference


# --- strategies


def test_one_for_one_restarts_the_one_that_ended() -> None:
    house = started_house(strategy(Strategy.ONE_FOR_ONE))
    before = {name: house.child(name) for name in "abc"}
    house.crash("b")
    house.journal.await_entries("b ends: crashed", "b starts")
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
    assert house.child("b") is not before["b"]
    assert house.child("a") is before["a"]
    assert house.child("c") is before["c"]


def test_one_for_all_stops_all_in_reverse_order_and_starts_all_in_order() -> None:
    house = started_house(strategy(Strategy.ONE_FOR_ALL))
    house.crash("b")
    house.journal.await_entries(
        "b ends: crashed",
        "c ends: shutdown",
        "a ends: shutdown",
        "a starts",
        "b starts",
        "c starts",
    )
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)


def test_rest_for_one_restarts_the_one_that_ended_and_those_after_it() -> None:
    house = started_house(strategy(Strategy.REST_FOR_ONE))
    a = house.child("a")
    house.crash("b")
    house.journal.await_entries("b ends: crashed", "c ends: shutdown", "b starts", "c starts")
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
    assert house.child("a") is a


def test_a_crash_during_a_group_restart_widens_it() -> None:
    """While c is being stopped because of b, a crashes: everything starts again from a."""
    gate = Gate()
    journal = Journal()
    house = House(
        strategy(Strategy.REST_FOR_ONE),
        ChildSpec("a", worker("a", journal)),
        ChildSpec("b", worker("b", journal)),
        ChildSpec("c", worker("c", journal, on_stop=gate.pass_through), shutdown_seconds=math.inf),
    )
    house.await_started()
    journal.clear()
    house.crash("b")
    gate.await_reached()
    house.crash("a")
    gate.open()
    journal.await_entries(
        "b ends: crashed",
        "a ends: crashed",
        "c ends: shutdown",
        "a starts",
        "b starts",
        "c starts",
    )
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)


# --- restart types


def test_a_permanent_child_is_restarted_even_if_it_ended_normally() -> None:
    house = started_house()
    house.end_normally("a")
    house.journal.await_entries("a ends: normal", "a starts")


def test_a_transient_child_is_restarted_after_a_crash_only() -> None:
    house = started_house(restart=Restart.TRANSIENT)
    house.end_normally("a")
    house.crash("b")
    house.journal.await_entries("a ends: normal", "b ends: crashed", "b starts")
    house.await_statuses(a=STOPPED, b=RUNNING, c=RUNNING)


def test_a_temporary_child_is_never_restarted_but_forgotten() -> None:
    house = started_house(strategy(Strategy.ONE_FOR_ALL), restart=Restart.TEMPORARY)
    house.crash("a")
    house.await_statuses(b=RUNNING, c=RUNNING)
    assert house.journal.entries() == ["a ends: crashed"]


def test_a_temporary_sibling_goes_down_with_the_group_and_does_not_come_back() -> None:
    journal = Journal()
    house = House(
        strategy(Strategy.ONE_FOR_ALL),
        ChildSpec("a", worker("a", journal)),
        ChildSpec("b", worker("b", journal), Restart.TEMPORARY),
    )
    house.await_started()
    house.crash("a")
    house.await_statuses(a=RUNNING)
    assert journal.entries() == [
        "a starts",
        "b starts",
        "a ends: crashed",
        "b ends: shutdown",
        "a starts",
    ]


def test_a_significant_child_that_ends_takes_its_supervisor_along() -> None:
    journal = Journal()
    house = House(
        SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT),
        ChildSpec("a", worker("a", journal)),
        ChildSpec("b", worker("b", journal), Restart.TRANSIENT, significant=True),
    )
    house.await_started()
    house.child("b").cast("stop")
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.SHUTDOWN
    assert journal.entries()[-2:] == ["b ends: normal", "a ends: shutdown"]


# --- intensity


def test_restarts_up_to_the_intensity_are_made_and_one_more_is_the_end() -> None:
    house = started_house(SupervisorFlags(intensity=2, period_seconds=5.0))
    house.crash("a")
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
    house.crash("a")
    house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
    house.crash("a")
    reason = house.supervisor.down.get(timeout=WAIT_SECONDS)
    assert reason.kind is ExitKind.GAVE_UP
    assert isinstance(reason.error, RestartIntensityExceededError)
    assert reason.error.facts["child_id"] == "a"
    assert house.journal.entries()[-3:] == [
        "a ends: crashed",
        "c ends: shutdown",
        "b ends: shutdown",
    ]


def test_restarts_longer_ago_than_the_period_do_not_count() -> None:
    house = started_house(SupervisorFlags(intensity=1, period_seconds=5.0))
    for _ in range(4):
        house.crash("a")
        house.await_statuses(a=RUNNING, b=RUNNING, c=RUNNING)
        house.clock.now += 5.1
    assert house.supervisor.is_alive()


def test_restarts_that_fail_count_too() -> None:
    journal = Journal()
    starts = iter(range(100))

    def only_the_first_works() -> None:
        if next(starts) > 0:
            raise OSError("no such device")

    house = House(
        SupervisorFlags(intensity=3),
        ChildSpec("a", worker("a", journal, on_start=only_the_first_works)),
    )
    house.await_started()
    house.crash("a")
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.GAVE_UP
    assert journal.entries() == ["a starts", "a ends: crashed"] + ["a starts"] * 3


def test_a_start_function_that_fails_at_a_restart_counts_too() -> None:
    journal = Journal()
    starts = iter(range(100))

    def start(_siblings: Siblings) -> ActorReference:
        if next(starts) > 0:
            raise OSError("no such device")
        return Worker.start("a", journal)

    house = House(SupervisorFlags(intensity=3), ChildSpec("a", start))
    house.await_started()
    house.crash("a")
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.GAVE_UP
    assert next(starts) == 1 + 3  # the first start and three restarts


def test_giving_up_escalates_to_the_supervisor_above() -> None:
    house, journal = tower(Restart.PERMANENT)
    crash_leaf(house)
    house.await_statuses(inner=RUNNING)
    assert journal.entries() == ["leaf starts", "leaf ends: crashed", "leaf starts"]
    crash_leaf(house)
    assert house.supervisor.down.get(timeout=WAIT_SECONDS).kind is ExitKind.GAVE_UP


def test_a_transient_supervisor_that_gave_up_stays_down_as_in_otp() -> None:
    """So one store that crashes again and again does not take the others along."""
    house, _ = tower(Restart.TRANSIENT)
    crash_leaf(house)
    house.await_statuses(inner=STOPPED)
