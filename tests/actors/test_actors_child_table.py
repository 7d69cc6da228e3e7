"""The order of starts and stops, under any sequence of events, without threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from khepri.actors.child_spec import ChildSpec, Restart, Siblings, Strategy
from khepri.actors.child_table import Child, ChildStatus, ChildTable

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference

STOPPED, STARTING, RUNNING, STOPPING = ChildStatus


def nobody(_siblings: Siblings) -> ActorReference:
    return cast("ActorReference", mock.sentinel.actor)


class ChildTableMachine(RuleBasedStateMachine):
    """Plays the supervisor: carries out what the table says, in any order things may happen."""

    @initialize(strategy=st.sampled_from(Strategy), size=st.integers(1, 5))
    def make(self, strategy: Strategy, size: int) -> None:
        self.strategy = strategy
        self.table = ChildTable(strategy)
        for number in range(size):
            self.table.add(Child(ChildSpec(str(number), nobody)))
        self.carry_out()

    def carry_out(self) -> None:
        for child in self.table.to_stop_now():
            assert child.status in (STARTING, RUNNING)
            if self.strategy is not Strategy.ONE_FOR_ONE:
                assert child is [child for child in self.table if child.doomed][-1], "in reverse"
            child.status = STOPPING
        while children := self.table.to_start_now():
            for child in children:
                assert child.status is STOPPED
                child.status = STARTING
        if self.table.all_wanted_are_running():
            self.table.is_initial = False

    def in_state(self, *statuses: ChildStatus) -> list[Child]:
        return [child for child in self.table if child.status in statuses]

    def gone(self, child: Child) -> None:
        child.status = STOPPED
        child.doomed = False

    @precondition(lambda self: self.in_state(STARTING))
    @rule(data=st.data())
    def a_start_succeeds(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.in_state(STARTING))).status = RUNNING
        self.carry_out()

    @precondition(lambda self: self.in_state(STOPPING))
    @rule(data=st.data())
    def a_stop_succeeds(self, data: st.DataObject) -> None:
        self.gone(data.draw(st.sampled_from(self.in_state(STOPPING))))
        self.carry_out()

    @precondition(lambda self: self.in_state(STARTING, RUNNING))
    @rule(data=st.data())
    def a_child_crashes(self, data: st.DataObject) -> None:
        child = data.draw(st.sampled_from(self.in_state(STARTING, RUNNING)))
        was_doomed = child.doomed
        self.gone(child)
        if not was_doomed:
            self.table.doom_tied(child, restart=True)
        self.carry_out()

    @rule(data=st.data())
    def a_child_is_terminated(self, data: st.DataObject) -> None:
        child = data.draw(st.sampled_from(list(self.table)))
        child.wanted = False
        child.doomed = child.status is not STOPPED
        self.carry_out()

    @rule(data=st.data())
    def a_child_is_started_by_hand(self, data: st.DataObject) -> None:
        child = data.draw(st.sampled_from(list(self.table)))
        child.wanted = child.wanted or child.status is STOPPED
        self.carry_out()

    @invariant()
    def children_start_one_after_the_other(self) -> None:
        if self.strategy is not Strategy.ONE_FOR_ONE or self.table.is_initial:
            assert len(self.in_state(STARTING)) <= 1

    @invariant()
    def a_stop_under_way_is_always_meant(self) -> None:
        assert all(child.doomed for child in self.in_state(STOPPING))
        assert not any(child.doomed for child in self.in_state(STOPPED))

    def teardown(self) -> None:
        """When nothing more happens, everything wanted runs and nothing else does."""
        if not hasattr(self, "table"):
            return
        while under_way := self.in_state(STARTING, STOPPING):
            for child in under_way:
                if child.status is STARTING:
                    child.status = RUNNING
                else:
                    self.gone(child)
            self.carry_out()
        for child in self.table:
            assert child.status is (RUNNING if child.wanted else STOPPED)


ChildTableMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestChildTable = ChildTableMachine.TestCase


def table_of(strategy: Strategy, *restarts: Restart) -> tuple[ChildTable, list[Child]]:
    table = ChildTable(strategy)
    for number, restart in enumerate(restarts):
        table.add(Child(ChildSpec(str(number), nobody, restart), RUNNING))
    table.is_initial = False
    return table, list(table)


def test_children_stop_in_reverse_order_under_a_group_strategy() -> None:
    table, (a, b, c) = table_of(Strategy.ONE_FOR_ALL, *[Restart.PERMANENT] * 3)
    b.status = STOPPED
    table.doom_tied(b, restart=True)
    assert table.to_stop_now() == [c]
    c.status = STOPPING
    assert table.to_stop_now() == []
    c.status, c.doomed = STOPPED, False
    assert table.to_stop_now() == [a]
    assert table.to_start_now() == []
    a.status, a.doomed = STOPPED, False
    assert table.to_start_now() == [a]


def test_a_temporary_child_goes_with_the_group_for_good() -> None:
    table, (a, b) = table_of(Strategy.REST_FOR_ONE, Restart.PERMANENT, Restart.TEMPORARY)
    a.status = STOPPED
    table.doom_tied(a, restart=True)
    assert (b.doomed, b.wanted) == (True, False)
