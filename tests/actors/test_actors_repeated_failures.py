"""A failure that repeats is logged once, and again later with a count."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from khepri.actors import repeated_failures
from khepri.actors.repeated_failures import RepeatedFailures

if TYPE_CHECKING:
    import pytest

LOGGER = logging.getLogger("khepri.test")


def fail(kind: type[Exception]) -> None:
    raise kind("told to fail")


def raised(kind: type[Exception]) -> Exception:
    try:
        fail(kind)
    except Exception as error:  # noqa: BLE001 - it is what is wanted
        return error
    raise AssertionError


def test_the_same_failure_is_muted_for_a_while_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("khepri.actors.repeated_failures.time.monotonic", lambda: now)
    failures = RepeatedFailures(LOGGER)
    for _ in range(5):
        failures.note("the function", raised(ValueError))
    assert [record.message for record in caplog.records] == ["the function failed"]
    assert caplog.records[0].exc_info is not None
    now += repeated_failures.MUTED_SECONDS
    failures.note("the function", raised(ValueError))
    assert caplog.records[1].message == "the function failed (after 4 more of the same)"


def test_another_failure_is_told_at_once_and_each_is_muted_by_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("khepri.actors.repeated_failures.time.monotonic", lambda: now)
    failures = RepeatedFailures(LOGGER)
    for _ in range(5):
        for kind in (ValueError, TypeError):
            failures.note("the function", raised(kind))
    assert [record.message for record in caplog.records] == ["the function failed"] * 2
    now += repeated_failures.MUTED_SECONDS
    failures.note("the function", raised(TypeError))
    assert caplog.records[2].message == "the function failed (after 4 more of the same)"


def test_a_function_that_always_fails_otherwise_costs_no_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = RepeatedFailures(LOGGER)
    for number in range(3 * repeated_failures.KINDS):
        failures.note("the function", raised(type(f"Error{number}", (Exception,), {})))
        failures.note("the function", raised(type(f"Error{number}", (Exception,), {})))
    assert len(caplog.records) == 6 * repeated_failures.KINDS  # each is one of a kind
    assert len(failures._kinds) == repeated_failures.KINDS


def test_a_handler_of_logs_that_raises_is_not_the_end_of_who_tells() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            raise OSError("told to fail")

    handler = Broken()
    LOGGER.addHandler(handler)
    try:
        RepeatedFailures(LOGGER).note("the function", raised(ValueError))
    finally:
        LOGGER.removeHandler(handler)
