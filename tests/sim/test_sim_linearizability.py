"""The search for an order: histories that have one, and histories that must fail."""

from __future__ import annotations

import math
import random
import time

from tests.sim.linearizability import Event, Verdict, search


def put(began: float, ended: float, value: object) -> Event:
    return Event(began, ended, "put", value, None, succeeded=True)


def read(began: float, ended: float, value: object) -> Event:
    return Event(began, ended, "read", value, None, succeeded=True)


def cas(began: float, ended: float, expected: object, value: object, succeeded: bool) -> Event:
    return Event(began, ended, "cas", value, expected, succeeded)


def test_a_history_in_order_has_an_order() -> None:
    assert (
        search([put(0, 1, 1), read(2, 3, 1), put(4, 5, 2), read(6, 7, 2)]) is Verdict.LINEARIZABLE
    )


def test_a_stale_read_has_none() -> None:
    assert search([put(0, 1, 1), put(2, 3, 2), read(4, 5, 1)]) is Verdict.VIOLATION


def test_a_read_of_what_was_never_written_has_none() -> None:
    assert search([put(0, 1, 1), read(0, 1, 2)]) is Verdict.VIOLATION


def test_reads_that_go_back_have_none() -> None:
    assert search([put(0, 10, 1), read(1, 2, 1), read(3, 4, None)]) is Verdict.VIOLATION


def test_reads_beside_a_write_may_see_either_value() -> None:
    assert search([put(0, 10, 1), read(1, 2, None), read(3, 4, 1)]) is Verdict.LINEARIZABLE


def test_an_unknown_write_may_take_effect_late() -> None:
    unknown = Event(0, math.inf, "put", 1, None, None)
    assert search([unknown, read(1, 2, None), read(50, 51, 1)]) is Verdict.LINEARIZABLE


def test_an_unknown_write_may_never_take_effect() -> None:
    unknown = Event(0, math.inf, "put", 1, None, None)
    assert search([unknown, read(1, 2, None), read(50, 51, None)]) is Verdict.LINEARIZABLE


def test_an_unknown_write_does_not_come_and_go() -> None:
    unknown = Event(0, math.inf, "put", 1, None, None)
    assert search([unknown, read(1, 2, 1), read(3, 4, None)]) is Verdict.VIOLATION


def test_two_swaps_of_one_value_cannot_both_succeed() -> None:
    history = [put(0, 1, 1), cas(2, 5, 1, 2, True), cas(2, 5, 1, 3, True)]
    assert search(history) is Verdict.VIOLATION


def swap(began: float, ended: float, expected: object, value: object, succeeded: bool) -> Event:
    return Event(began, ended, "swap", value, expected, succeeded)


def test_transactions_that_read_and_write_one_key_have_an_order() -> None:
    history = [swap(0, 5, None, 1, True), swap(0, 5, 1, 2, True), swap(3, 5, None, 3, False)]
    assert search([*history, read(6, 7, 2)]) is Verdict.LINEARIZABLE


def test_two_transactions_cannot_both_write_upon_what_they_found_missing() -> None:
    history = [swap(0, 5, None, 1, True), swap(0, 5, None, 2, True)]
    assert search(history) is Verdict.VIOLATION


def test_a_transaction_that_failed_needs_a_reason() -> None:
    assert search([put(0, 1, 1), swap(2, 3, 1, 2, False)]) is Verdict.VIOLATION


def test_a_swap_that_failed_needs_a_reason() -> None:
    assert search([put(0, 1, 1), cas(2, 3, 1, 2, False)]) is Verdict.VIOLATION


def test_two_creations_cannot_both_succeed() -> None:
    first = Event(0, 1, "create", 1, None, succeeded=True)
    second = Event(2, 3, "create", 2, None, succeeded=True)
    gone = Event(1.2, 1.5, "delete", None, None, succeeded=True)
    assert search([first, second]) is Verdict.VIOLATION
    assert search([first, gone, second]) is Verdict.LINEARIZABLE


def test_a_search_that_takes_too_long_is_no_verdict() -> None:
    history = [Event(0, 100, "put", value, None, succeeded=True) for value in range(16)]
    assert search([*history, read(101, 102, 99)], most_states=1000) is Verdict.UNDECIDED


def test_a_long_history_of_few_clients_is_searched_fast() -> None:
    one = random.Random(1)
    value: object = None
    history: list[Event] = []
    for position in range(300):
        began = position + one.random() * 0.5
        ended = began + one.random() * 2
        moment = position + 0.5
        del moment
        if one.random() < 0.5:
            value = position
            history.append(put(began, max(ended, position + 0.9), value))
        else:
            history.append(read(min(began, position + 0.9), position + 1.0, value))
    before = time.process_time()
    search(history)
    assert time.process_time() - before < 5.0
