"""Payloads become text."""

import datetime as dt
import json
import uuid

import pytest

from khepri.cli.rendering import as_json, as_plain


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "text", "ünï ✓", [], {}, [1, [2]], {"a": {"b": [None]}}]
)
def test_what_json_has_comes_back_the_same(value: object) -> None:
    assert json.loads(as_json(value)) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x00\xff", '{"bytes": "AP8="}'),
        ((1, (2,)), "[1, [2]]"),
        (dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC), '"2024-05-01T12:00:00+00:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (float("inf"), '"inf"'),
        ({1: "a", (2, 3): "b"}, '{"1": "a", "[2, 3]": "b"}'),
    ],
)
def test_what_json_does_not_have_is_shown_all_the_same(value: object, shown: str) -> None:
    assert as_json(value) == shown


def test_plain_text_has_no_quotes() -> None:
    assert as_plain("a text") == "a text"
    assert as_plain(["a"]) == '["a"]'
