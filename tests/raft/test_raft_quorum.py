"""Majorities, compared with counting."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from khepri.raft.quorum import VoteTally, quorum_size, quorum_value
from tests.raft.raft_notation import sid


@given(st.lists(st.integers(0, 20), max_size=9))
def test_the_quorum_value_is_the_highest_that_a_majority_has(values: list[int]) -> None:
    reached = [
        candidate
        for candidate in range(21)
        if 2 * sum(value >= candidate for value in values) > len(values)
    ]
    assert quorum_value(values) == max(reached, default=0)


@given(st.integers(1, 9))
def test_any_two_majorities_meet(count: int) -> None:
    majorities = list(combinations(range(count), quorum_size(count)))
    assert all(set(one) & set(other) for one in majorities for other in majorities)


@given(st.integers(1, 8))
def test_majorities_of_sets_that_differ_by_one_voter_meet(count: int) -> None:
    smaller = combinations(range(count), quorum_size(count))
    larger = list(combinations(range(count + 1), quorum_size(count + 1)))
    assert all(set(one) & set(other) for one in smaller for other in larger)


@given(st.sets(st.sampled_from("ABCDEFG")), st.lists(st.sampled_from("ABCDEFGXYZ")))
def test_a_tally_counts_voters_once_and_others_never(voting: set[str], said: list[str]) -> None:
    tally = VoteTally(frozenset(map(sid, voting)))
    for name in said:
        tally.grant(sid(name))
    assert tally.won == (2 * len(voting & set(said)) > len(voting))


def test_nobody_wins_without_voters() -> None:
    assert not VoteTally(frozenset()).won
    assert quorum_value([]) == 0
