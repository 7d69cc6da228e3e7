"""How `khepri load` cuts a document into batches, and what it says of a value it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.cli.load import put_all
from khepri.cli.progress import Progress
from khepri.errors import InvalidPathError, InvalidValueError, ValueTooLargeError
from khepri.testing import memory_store

if TYPE_CHECKING:
    from khepri.cli.json_document import Json, Names


def test_payloads_that_are_large_together_are_loaded() -> None:
    payloads: list[tuple[Names, Json]] = [((str(n),), "ü" * 20_000) for n in range(600)]
    with memory_store() as store:
        put_all(store, payloads, Progress("payloads"))
        assert store.count("/*") == len(payloads)


def test_a_refused_value_is_named_and_what_came_before_is_counted() -> None:
    payloads: list[tuple[Names, Json]] = [(("l", str(n)), n) for n in range(1500)]
    payloads.append((("l", "last"), 2**70))
    progress = Progress("payloads")
    with memory_store() as store, pytest.raises(InvalidValueError, match=r"^/l/last: "):
        put_all(store, payloads, progress)
    assert progress.done == 1500


@pytest.mark.parametrize("name", ["\ud800", "k" * 5000])
def test_what_came_before_a_refused_name_is_counted(name: str) -> None:
    payloads: list[tuple[Names, Json]] = [(("l", str(n)), n) for n in range(1000)]
    payloads.append((("l", name), 1))
    progress = Progress("payloads")
    with memory_store() as store, pytest.raises(InvalidPathError):
        put_all(store, payloads, progress)
    assert progress.done == 1000


def test_a_text_that_is_too_large_is_named_and_what_came_before_is_counted() -> None:
    payloads: list[tuple[Names, Json]] = [(("l", str(n)), n) for n in range(1200)]
    payloads.append((("l", "large"), "x" * 5_000_000))
    progress = Progress("payloads")
    with memory_store() as store, pytest.raises(ValueTooLargeError, match=r"^/l/large: "):
        put_all(store, payloads, progress)
    assert progress.done == 1200
