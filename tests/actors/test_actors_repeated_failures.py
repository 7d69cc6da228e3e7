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
    assert caplog.records[1].message == "the function failed (after 4 more like those before)"


def test_another_failure_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = RepeatedFailures(LOGGER)
    for kind in (ValueError, TypeError):
        failures.note("the function", raised(kind))
    assert len(caplog.records) == 2


def test_failures_that_take_turns_are_muted_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("khepri.actors.repeated_failures.time.monotonic", lambda: now)
    failures = RepeatedFailures(LOGGER)
    for _ in range(5):
        for kind in (ValueError, TypeError):
            failures.note("the function", raised(kind))
    assert len(caplog.records) == 2
    now += repeated_failures.MUTED_SECONDS
    failures.note("the function", raised(TypeError))
    assert caplog.records[2].message == "the function failed (after 8 more like those before)"


def test_not_every_kind_of_failure_there_ever_was_is_known() -> None:
    failures = RepeatedFailures(LOGGER)
    for number in range(2 * repeated_failures.MAX_KINDS):
        failures.note("the function", raised(type(f"Error{number}", (Exception,), {})))
    assert len(failures._known) == repeated_failures.MAX_KINDS
