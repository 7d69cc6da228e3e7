"""The table that the function of an extended projection is given is a mapping like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.projection_records import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

STEPS: dict[str, Callable[[MutableMapping[Any, Any], int], object]] = {
    "set": lambda table, key: table.__setitem__(key, -key),
    "pop": lambda table, key: table.pop(key, None),
    "default": lambda table, key: table.setdefault(key, key),
    "update": lambda table, key: table.update({key: 1, key + 1: 2}),
    "clear": lambda table, _key: table.clear(),
    "look": lambda table, key: (table.get(key), key in table, len(table), sorted(table)),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 5)), max_size=20))
def test_it_is_like_a_dict_and_what_it_has_given_never_changes(
    steps: list[tuple[str, int]],
) -> None:
    draft, expected = Draft(), dict[Any, Any]()
    given_before: list[tuple[Any, dict[Any, Any]]] = []
    for name, key in steps:
        step = STEPS[name]
        assert step(draft, key) == step(expected, key)
        assert dict(draft) == expected
        given_before.append((draft.finish(), dict(expected)))
    for records, then in given_before:
        assert dict(records) == then


def test_it_goes_back_to_what_it_has_given() -> None:
    draft = Draft()
    draft["a"] = 1
    before = draft.finish()
    draft["b"] = 2
    del draft["a"]
    draft.go_back(before)
    assert dict(draft) == {"a": 1}
    with pytest.raises(KeyError):
        del draft["b"]
    assert "b" not in draft
    assert len(draft) == 1
