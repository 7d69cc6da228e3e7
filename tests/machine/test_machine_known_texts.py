"""What comes once is not kept, what comes again is, and never too much of it."""

from __future__ import annotations

from khepri.machine.known_texts import _MOST_MARKED, KnownTexts


def test_a_text_comes_again_the_second_time() -> None:
    known: KnownTexts[int] = KnownTexts(10)
    assert [known.comes_again("/a") for _ in range(3)] == [False, True, True]


def test_of_texts_that_come_once_few_are_taken_for_others() -> None:
    known: KnownTexts[int] = KnownTexts(10)
    taken = sum(known.comes_again(f"/new/{number}") for number in range(100_000))
    assert taken < 100_000 / 8


def test_a_text_that_comes_often_is_known_among_any_number_of_new_ones() -> None:
    known: KnownTexts[int] = KnownTexts(10)
    often = 0
    for number in range(20 * _MOST_MARKED):
        known.comes_again(f"/new/{number}")
        if number % 100 == 0:
            often += known.comes_again("/often")
    # Not the first time, nor the first time after the marks began anew.
    assert often > 0.8 * 20 * _MOST_MARKED / 100


def test_no_more_is_kept_than_the_limit() -> None:
    known: KnownTexts[int] = KnownTexts(10)
    for number in range(25):
        known.keep(str(number), number)
        assert known.values[str(number)] == number
        assert len(known.values) <= 10
