"""The log in memory, compared with a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from khepri.raft.log_view import LogView
from khepri.raft.types import Entry, Index, Term
from khepri.raft.written import Written
from tests.raft.raft_notation import entry, log

terms = st.lists(st.integers(1, 6), max_size=30).map(sorted)


def entries_of(term_list: list[int], base: int = 0) -> list[Entry]:
    return [entry(base + i + 1, term) for i, term in enumerate(term_list)]


class LogAgainstList(RuleBasedStateMachine):
    """Append, cut and compact; the log must always be what the list says."""

    def __init__(self) -> None:
        super().__init__()
        self.view = LogView(Index(0), Term(0), [])
        self.all: list[Entry] = []  # from index 1, whatever was compacted
        self.base = 0

    @rule(steps=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def append(self, steps: list[int]) -> None:
        added: list[Entry] = []
        term = self.all[-1].term if self.all else 1
        for step in steps:
            term = Term(term + step)
            added.append(entry(len(self.all) + len(added) + 1, term, b"x" * (term % 4)))
        self.view.append(added)
        self.all += added

    @precondition(lambda self: len(self.all) > self.base)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(self.base + 1, len(self.all)))
        self.view.truncate_from(Index(index))
        del self.all[index - 1 :]

    @precondition(lambda self: len(self.all) > self.base)
    @rule(
        data=st.data(),
        trailing=st.integers(0, 5),
        trailing_bytes=st.integers(0, 9),
        needed_bytes=st.integers(0, 9),
    )
    def compact(
        self, data: st.DataObject, trailing: int, trailing_bytes: int, needed_bytes: int
    ) -> None:
        index = data.draw(st.integers(self.base + 1, len(self.all)))
        needed = data.draw(st.integers(1, len(self.all) + 1))
        before = self.base
        self.view.compact(
            Index(index),
            trailing,
            trailing_bytes,
            first_needed=needed,
            max_needed_bytes=needed_bytes,
        )
        kept = list(self.all[self.view.base_index : index])
        kept_bytes = sum(len(e.data) for e in kept)
        is_trail = len(kept) <= trailing and kept_bytes <= trailing_bytes
        is_needed = bool(kept) and kept[0].index >= needed and kept_bytes <= needed_bytes
        assert is_trail or is_needed
        if self.view.base_index > before:  # one more would have been too many, and not needed
            one_more = kept_bytes + len(self.all[self.view.base_index - 1].data)
            assert len(kept) >= trailing or one_more > trailing_bytes
            assert self.view.base_index < needed or one_more > needed_bytes
        assert self.base <= self.view.base_index <= index
        self.base = self.view.base_index

    @invariant()
    def terms_are_right(self) -> None:
        assert self.view.last_index == len(self.all)
        for index in range(len(self.all) + 2):
            expected = None
            if index == 0 == self.base:
                expected = 0
            elif self.base <= index <= len(self.all) and index > 0:
                expected = self.all[index - 1].term
            assert self.view.term_at(index) == expected

    @invariant()
    def slices_are_right(self) -> None:
        if len(self.all) > self.base:
            first = self.base + 1
            assert self.view.between(first, len(self.all)) == tuple(self.all[self.base :])
            batch, size = self.view.batch(first, 4, 3)
            assert 1 <= len(batch) <= 4
            assert size == sum(len(e.data) for e in batch)
            assert size <= 3 or len(batch) == 1

    @invariant()
    def searching_by_term_is_right(self) -> None:
        for term in range(7):
            index, found = self.view.last_with_term_at_most(len(self.all), term)
            below = [e.index for e in self.all[self.base :] if e.term <= term]
            assert index == max(below, default=self.base)
            assert found == self.view.term_at(index)


TestLogAgainstList = LogAgainstList.TestCase


@given(terms, terms)
def test_the_conflict_is_the_first_difference(ours: list[int], theirs: list[int]) -> None:
    view = LogView(Index(0), Term(0), entries_of(ours))
    expected = next(
        (i for i, term in enumerate(theirs) if i >= len(ours) or ours[i] != term), len(theirs)
    )
    assert view.find_conflict(entries_of(theirs)) == expected


@given(terms, terms)
def test_two_logs_find_their_common_place_in_as_many_hints_as_terms(
    ours: list[int], theirs: list[int]
) -> None:
    """What leader and follower do with refusals, without anything between them."""
    leader = LogView(Index(0), Term(0), entries_of(ours))
    follower = LogView(Index(0), Term(0), entries_of(theirs))
    previous, rounds = len(ours), 0
    while follower.term_at(previous) != leader.term_at(previous):
        previous_term = leader.term_at(previous)
        assert previous_term is not None
        hint, hint_term = follower.last_with_term_at_most(previous, previous_term)
        agreed, _ = leader.last_with_term_at_most(hint, hint_term)
        previous = min(agreed, previous - 1)
        rounds += 1
    assert rounds <= len(set(ours)) + len(set(theirs)) + 1


def test_one_entry_larger_than_the_limit_still_goes() -> None:
    view = LogView(Index(0), Term(0), [entry(1, 1, b"x" * 100), entry(2, 1, b"y")])
    batch, size = view.batch(1, 10, 5)
    assert [e.index for e in batch] == [1]
    assert size == 100


def test_a_write_that_was_overwritten_confirms_only_what_is_left() -> None:
    written = Written(Index(0))
    first = written.submit(Index(5))
    written.cut_from(Index(3))
    second = written.submit(Index(4))
    assert written.confirm(first, Index(5), None, Term(1))
    assert written.last_index == 2
    assert written.confirm(second, Index(4), Term(2), Term(2))
    assert written.last_index == 4


def test_one_notice_confirms_all_writes_up_to_its_own() -> None:
    written = Written(Index(0))
    written.submit(Index(1))
    written.submit(Index(2))
    third = written.submit(Index(3))
    assert written.confirm(third, Index(3), Term(1), Term(1))
    assert written.last_index == 3
    assert not written.confirm(third, Index(3), Term(1), Term(1))


def test_a_cut_below_what_is_written_lowers_it_at_once() -> None:
    written = Written(Index(10))
    written.cut_from(Index(7))
    assert (written.last_index, written.first_unsubmitted) == (6, 7)


def test_a_reset_log_starts_behind_its_base() -> None:
    view = LogView(Index(0), Term(0), log("1:1 2:1"))
    view.reset(Index(9), Term(3))
    view.append([entry(10, 3)])
    assert (view.term_at(9), view.term_at(10), view.term_at(8)) == (3, 3, None)
