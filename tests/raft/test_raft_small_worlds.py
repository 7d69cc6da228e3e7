"""Every run of a few small worlds is safe; and the search for one that is not finds them.

With one message more on its way a world is too large to be looked at to its end here;
`KHEPRI_SMALL_WORLDS=states` looks at so many states of each.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from khepri.raft.effects import ReadReady, Send
from khepri.raft.messages import AppendEntriesResponse, RequestVoteRequest, RequestVoteResponse
from khepri.raft.types import Configuration, HardState, Index, Role, Term
from tests.raft import small_world_bugs as bugs
from tests.raft.raft_notation import log, sid, voters
from tests.raft.small_world import UNTIMED, Budget, Violation, World
from tests.raft.small_world_checks import Facts, Ghost, check, check_logs, facts_of, remember
from tests.raft.small_world_essence import copy_of, essence
from tests.raft.small_world_list import WORLDS
from tests.raft.small_world_member import SmallMember
from tests.raft.small_worlds import Explorer

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = int(os.environ.get("KHEPRI_SMALL_WORLDS", "1500"))
FIGURE_8 = "an entry of an old term reaches a majority (Raft figure 8)"
LEASE = "a leader has a lease while another campaigns"
VOTES = "three members vote and crash"
GIVES_UP = "a leader gives up and candidates of its term are left"
NEEDED_STATES = {VOTES: 12_000, GIVES_UP: 3_000, FIGURE_8: 12_000}
"""Among so many are those where mistakes show that need one message more."""


@pytest.mark.parametrize("name", WORLDS)
def test_no_run_of_a_small_world_is_unsafe(name: str) -> None:
    world = WORLDS[name]
    report = Explorer(world).search(100_000)
    assert not report.violation, str(report)
    assert report.is_complete


@pytest.mark.parametrize("name", WORLDS)
def test_with_one_more_message_on_its_way_the_nearest_states_are_safe(name: str) -> None:
    world = replace(WORLDS[name], letters=WORLDS[name].letters + 1)
    report = Explorer(world).search(max(STATES, NEEDED_STATES.get(name, 0)))
    assert not report.violation, str(report)


# --- the search finds what is wrong ----------------------------------------------------------

SLOW_DISKS = "two members write and crash, with slow disks"
LOSES = "a leader loses what it has not written"
DEPOSED = "a deposed leader has what was never committed"
NEW_LEADER = "somebody reads from a new leader"
MISTAKES = [
    (bugs.votes_are_counted, "votes of four arrive twice", 2, "election safety"),
    (bugs.votes_are_forgotten, VOTES, 2, "election safety"),
    (bugs.votes_end_with_a_role, GIVES_UP, 2, "a vote is taken back"),
    (bugs.logs_are_not_compared, NEW_LEADER, 1, "leader completeness"),
    (bugs.older_terms_are_counted, FIGURE_8, 2, "leader completeness"),
    (bugs.leader_counts_itself_early, LOSES, 1, "durability"),
    (bugs.follower_confirms_early, SLOW_DISKS, 2, "confirmed before they are durable"),
    (bugs.follower_confirms_what_is_not_proven, DEPOSED, 1, "match index"),
    (bugs.old_answers_count, "a confirmation outlives its term", 1, "match index"),
    (bugs.late_entries_cut_the_log, SLOW_DISKS, 2, "match index"),
    (bugs.late_notices_confirm, LOSES, 1, "confirmed before they are durable"),
    (bugs.heartbeats_commit_anything, DEPOSED, 1, "state machine safety"),
    (bugs.reads_ask_nobody, "somebody reads while another campaigns", 1, "stale read"),
    (bugs.reads_do_not_wait_for_the_first_entry, NEW_LEADER, 1, "stale read"),
    (bugs.changes_overlap, "three members become one", 1, "leader completeness"),
    (
        bugs.changes_wait_for_no_own_entry,
        "two leaders of four change the members",
        1,
        "leader completeness",
    ),
    (bugs.changes_are_not_undone, "a change of members is undone", 1, "not what the log says"),
    (bugs.newcomers_do_not_count, "one member becomes two", 2, "durability"),
    (
        bugs.removed_leader_counts_itself,
        "three members become two, the leader may be the one that leaves",
        1,
        "durability",
    ),
    (bugs.snapshots_cut_what_follows, "a snapshot comes late", 2, "match index"),
    (
        bugs.snapshots_have_the_newest_members,
        "a new member needs a snapshot",
        1,
        "not what the log says",
    ),
    (bugs.clocks_are_trusted, LEASE, 1, "lease"),
    (bugs.restarts_forget_promises, LEASE, 1, "lease"),
    (bugs.leases_begin_with_the_answer, LEASE, 1, "lease"),
    (bugs.leases_outlive_a_transfer, "a leader has a lease and hands over", 1, "lease"),
]


@pytest.mark.parametrize(("mistake", "name", "letters", "found"), MISTAKES)
def test_a_mistake_in_the_core_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None],
    name: str,
    letters: int,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mistake(monkeypatch)
    report = Explorer(replace(WORLDS[name], letters=letters)).search(80_000)
    assert found in report.violation


@pytest.mark.parametrize("name", [FIGURE_8, NEW_LEADER])
def test_a_leader_without_a_first_entry_is_only_slow(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bugs.leaders_append_no_first_entry(monkeypatch)
    report = Explorer(WORLDS[name]).search(80_000)
    assert report.is_complete


def test_the_path_to_a_mistake_can_be_followed_line_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bugs.reads_ask_nobody(monkeypatch)
    world = WORLDS["somebody reads while another campaigns"]
    report = Explorer(world).search(10_000)
    assert str(report).endswith("A is asked for a read")

    explorer = Explorer(replace(world, history=()))
    start = explorer.begin()._replace(budget=Budget(*[9] * len(Budget._fields)))
    just_before = explorer.follow(start, report.path[:-1])
    with pytest.raises(Violation, match="stale read"):
        explorer.follow(just_before, report.path[-1:])


def test_a_search_is_the_same_every_time() -> None:
    world = WORLDS["one member becomes two"]
    assert Explorer(world).search(10_000) == Explorer(world).search(10_000)


# --- what is compared and copied -------------------------------------------------------------


def test_a_copy_lives_a_life_of_its_own() -> None:
    member = SmallMember("A", voters("AB"), UNTIMED)
    member.step()
    before = essence(member, timed=True)
    copied = copy_of(member)
    assert essence(copied, timed=True) == before

    copied.run_out_of_patience(timed=False)

    assert copied.core.role is Role.PRE_CANDIDATE
    assert member.core.role is Role.FOLLOWER
    assert essence(member, timed=True) == before
    assert essence(copied, timed=True) != before


class Doubting(Explorer):
    """Repeats known steps with another member of the same essence than the one it knows."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.repeated = 0
        self._repeats = False

    def _number(self, member: SmallMember) -> int:
        number = super()._number(member)
        known = self._members[number]
        if known is member or self._repeats:
            return number
        assert facts_of(member) == self._facts[number]
        self._repeats, self._members[number] = True, member
        for step, result in list(self._steps.items()):
            if step[0] == number:
                assert self._new_step(*step) == result
                self.repeated += 1
        self._repeats, self._members[number] = False, known
        return number


@pytest.mark.parametrize("name", ["one member becomes two", "two members take snapshots", LEASE])
def test_members_with_the_same_essence_take_the_same_steps(name: str) -> None:
    explorer = Doubting(WORLDS[name])
    explorer.search(500)
    assert explorer.repeated > 50


# --- each check fails when it must -----------------------------------------------------------


def facts(name: str, entries: str = "", committed: int = 0, **others: object) -> Facts:
    """A follower of term 1 that has these entries, all durable."""
    whole = tuple(log(entries))
    plain = Facts(
        name,
        Role.FOLLOWER,
        1,
        whole,
        committed,
        whole[:committed],
        whole,
        frozenset("ABC"),
        False,
        (),
    )
    return plain._replace(**others)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def committed(entries: str, term: int = 1) -> Ghost:
    whole = tuple(log(entries))
    return Ghost(whole, (term,) * len(whole), frozenset({frozenset("ABC")}))


def test_two_leaders_of_a_term_are_seen() -> None:
    first, second = facts("A", role=Role.LEADER), facts("B", role=Role.LEADER)
    ghost = remember(Ghost(), first, first)
    assert remember(ghost, first, first) == ghost
    with pytest.raises(AssertionError, match="election safety"):
        remember(ghost, second, second)


def test_two_entries_committed_at_one_index_are_seen() -> None:
    one, other = facts("A", "1:1 2:1", committed=2), facts("B", "1:1 2:2", committed=2)
    ghost = remember(Ghost(), one, one)
    with pytest.raises(AssertionError, match="state machine safety"):
        remember(ghost, other, other)


def test_a_leader_without_a_committed_entry_is_seen() -> None:
    holders = [facts("B", "1:1 2:1"), facts("C", "1:1 2:1")]
    leader = facts("A", "1:1", role=Role.LEADER, term=1)
    check(committed("1:1 2:1"), [leader, *holders])  # it may have been committed after its time
    with pytest.raises(AssertionError, match="leader completeness"):
        check(committed("1:1 2:1"), [leader._replace(term=2), *holders])


def test_a_committed_entry_on_too_few_disks_is_seen() -> None:
    check(committed("1:1"), [facts("A", "1:1"), facts("B", "1:1"), facts("C")])
    with pytest.raises(AssertionError, match="durability"):
        check(committed("1:1"), [facts("A", "1:1"), facts("B", "1:1", durable=()), facts("C")])


def test_a_match_index_beyond_what_is_on_disk_is_seen() -> None:
    leader = facts("A", "1:1 2:1", role=Role.LEADER, matches=(("B", 2),))
    check(Ghost(), [leader, facts("B", "1:1 2:1")])
    check(Ghost(), [leader, facts("B", "1:1", term=2)])  # no business of this leader any more
    with pytest.raises(AssertionError, match="match index"):
        check(Ghost(), [leader, facts("B", "1:1")])


def test_a_lease_beside_another_leader_is_seen() -> None:
    leader = facts("A", role=Role.LEADER, has_lease=True)
    check(Ghost(), [leader, facts("B", term=2)])
    with pytest.raises(AssertionError, match="lease"):
        check(Ghost(), [leader, facts("B", role=Role.LEADER, term=2)])


def test_logs_that_differ_below_an_equal_term_are_seen() -> None:
    check_logs(tuple(log("1:1 2:1 3:2")), tuple(log("1:1 2:1 3:3")))
    with pytest.raises(AssertionError, match="log matching"):
        check_logs(tuple(log("1:1 2:1 3:3")), tuple(log("1:1 2:2 3:3")))


def member() -> SmallMember:
    made = SmallMember("A", voters("ABC"), UNTIMED)
    made.disk.hard_state = HardState(Term(2), sid("B"))
    return made


def test_what_is_said_before_it_is_durable_is_seen() -> None:
    to, unwritten = sid("C"), AppendEntriesResponse(Term(2), True, Index(0), Index(1), Term(1))
    for message, complaint in (
        (RequestVoteResponse(Term(3), False), "a term is told"),
        (RequestVoteResponse(Term(2), True), "a vote is told"),
        (RequestVoteRequest(Term(2), Index(0), Term(0), False), "before the own one"),
        (unwritten, "entries are confirmed"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            member()._execute(Send(to, message))
    member()._execute(Send(sid("B"), RequestVoteResponse(Term(2), True)))


def test_a_vote_taken_back_a_stale_read_and_a_commit_index_that_goes_down_are_seen() -> None:
    with pytest.raises(AssertionError, match="a vote is taken back"):
        member()._look_at_vote(HardState(Term(2), None))
    with pytest.raises(AssertionError, match="stale read"):
        member()._execute(ReadReady(2, Index(1)))
    lowered = SmallMember("A", Configuration(), UNTIMED)
    lowered.core._server.commit_index = Index(1)
    lowered.core._server.last_applied = Index(1)
    original = lowered.core.step

    def step(*given: object) -> object:
        lowered.core._server.commit_index = Index(0)
        return original(*given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    lowered.core.step = step  # type: ignore[method-assign, assignment]
    with pytest.raises(AssertionError, match="commit index goes down"):
        lowered.step()
