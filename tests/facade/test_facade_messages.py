"""What errors and objects say to a person."""

from __future__ import annotations

import pytest

import khepri
from khepri.testing import memory_store


def test_a_create_of_what_is_there_says_so() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        with pytest.raises(
            khepri.MismatchingNodeError, match=r"^there is a tree node /a already$"
        ):
            store.create("/a", 2)


def test_a_compare_and_swap_shows_the_value_that_was_expected() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        with pytest.raises(
            khepri.MismatchingNodeError, match=r"/a does not meet IfDataMatches\(5\)$"
        ):
            store.compare_and_swap("/a", 5, 6)


def test_a_pattern_where_one_tree_node_is_wanted_is_shown_as_it_was_written() -> None:
    with (
        memory_store() as store,
        pytest.raises(khepri.errors.ManyNodesDeniedError, match=r"^'/a/\*' may match many"),
    ):
        store.get("/a/*")


def test_conditions_are_shown_as_they_are_written() -> None:
    pattern = {
        "a": int,
        "b": [khepri.ANY, None, type(None)],
        "c": khepri.DictWith({"d": (1, "x")}),
    }
    shown = "{'a': int, 'b': [ANY, None, type(None)], 'c': DictWith({'d': (1, 'x')})}"
    assert repr(khepri.IfDataMatches(pattern)) == f"IfDataMatches({shown})"
    guarded = khepri.IfDataMatches(khepri.Var("n"), where=[khepri.Guard("n", khepri.Gt(3))])
    assert repr(guarded).startswith("IfDataMatches(Var(name='n'), where=[Guard(")
    assert len(repr(khepri.IfDataMatches("x" * 10_000))) < 300


def test_a_batch_shows_how_much_is_in_it() -> None:
    with memory_store() as store:
        batch = store.batch()
        batch.put("/a", 1)
        assert repr(batch) == "<batch of 1 operations>"
        batch.commit()
        assert repr(batch) == "<batch, committed>"
