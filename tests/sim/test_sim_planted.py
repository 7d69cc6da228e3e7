"""The net holds: each checker sees its invariant broken, and planted bugs are found.

Here are the bugs that take few seeds; `python -m tests.sim --planted` looks for all of them, and
docs/explanation/simulation.md has the table.
"""

from __future__ import annotations

import pytest

from khepri.testing.simulation_faults import plan_lease_attacks
from khepri.testing.simulation_settings import SimulationSettings
from tests.sim.checkers import run_checked
from tests.sim.planted import ALL_BUGS, find
from tests.sim.planted_for_checkers import CRUDE_BUGS

BY_NAME = {bug.name: bug for bug in (*ALL_BUGS, *CRUDE_BUGS)}

INVARIANTS = {
    "I1": "half of the voters are a majority",
    "I2": "a vote is not persisted",
    "I3": "a new term is not persisted",
    "I4": "a leader cuts its own log",
    "I5": "entries change on their way",
    "I6": "the log of a candidate is not looked at",
    "I7": "a create overwrites what is there",
    "I8": "the commit index goes where it is told",
    "I9": "entries are confirmed before they are written",
    "I10": "groups with a gap are applied",
    "I11": "reads do not wait for what they must see",
    "I12": "members are changed while a change is under way",
    "I13": "match index goes up with what was sent",
    "I14": "sessions have a local time",
    "I15": "lost appends are never noticed",
    "I16": "nothing is ever dropped from memory",
    "I17": "calls are made newest first",
    "I18": "the machine version is raised without asking anybody",
}

FOUND_SOON = (
    "what is held back waits for the next race",
    "the best minority counts as the majority",
    "an installed snapshot leaves the commit index",
    "commands are numbered anew when sent again",
    "the log is not synced",
    "a new log file has no durable name",
    "term and vote are not synced",
    "a snapshot or segment gets its name before it is synced",
    "the session table is lost in a snapshot",
    "a snapshot forgets how far a session came",
    "session ids begin anew with every machine",
    "nobody keeps a promise",
    "an election by command breaks the promise",
    "a transfer keeps the lease",
    "a leader reads by its lease before it has committed",
    "a lease counts from the arrival of the answer",
    "a lease leaves no margin for wrong clocks",
    "a reader does not wait for the tree",
    "the commit index is published after the messages",
    "the clock stands still while the machine is suspended",
    "what is owed is lost in a snapshot",
    "a snapshot begins the numbers of calls anew",
    "a trigger leaves behind what is owed on its account",
    "the priority of a trigger is not looked at",
    "conditions are not asked",
    "what expires asks for no calls",
    "calls are said to be made before they are",
    "a lost note is never said again",
    "calls of a trigger that is gone are made",
    "what was passed over is not looked at again",
    "the machine checks no reads",
    "a transaction notes no reads",
    "a transaction notes only its first read",
    "nothing expires",
    "a time to live does not begin anew",
    "what was prepared lists no changes",
    "a tree node that expires is told to be deleted by somebody",
)


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_a_checker_sees_its_invariant_broken(invariant: str) -> None:
    found = find(BY_NAME[INVARIANTS[invariant]], most_seeds=20)
    assert found is not None
    assert found[1].startswith(f"{invariant}:"), found


@pytest.mark.parametrize("name", FOUND_SOON)
def test_a_planted_bug_is_found_within_a_few_seeds(name: str) -> None:
    assert find(BY_NAME[name], most_seeds=20) is not None


def test_without_planted_bugs_the_same_seeds_hold() -> None:
    for seed in range(1, 9):
        run_checked(seed, SimulationSettings.draw(seed, fault_seconds=10.0))


def test_without_planted_bugs_triggers_transactions_and_times_to_live_hold() -> None:
    for seed in range(1, 7):
        settings = SimulationSettings.draw(seed, fault_seconds=10.0).with_all_kinds()
        run_checked(seed, settings)


def test_without_planted_bugs_attacks_on_leases_find_nothing() -> None:
    for seed in range(1, 4):
        settings = SimulationSettings.under_lease_attack(seed)
        run_checked(seed, settings, plan_lease_attacks(seed, settings))


def test_at_least_twenty_five_bugs_are_planted() -> None:
    assert len(ALL_BUGS) >= 25
    assert len(BY_NAME) == len(ALL_BUGS) + len(CRUDE_BUGS), "names are unique"
