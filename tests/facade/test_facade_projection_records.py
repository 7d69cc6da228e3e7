"""The table that the function of an extended projection is given is a mapping like any other."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.machine.tree import NO_CHILDREN, TreeNode
from khepri.machine.values import encode_value
from khepri.projection_content import Simple
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


class Counted(str):
    """A name that counts how often names are compared."""

    __slots__ = ()
    compared: ClassVar[int] = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_that_many_paths_have_one_key_makes_none_of_them_slow() -> None:
    content, many = Simple(lambda path, data: ("all", (path.name, data))), 1000
    one, other = (TreeNode(encode_value(data), 1, 1, NO_CHILDREN) for data in (1, 2))
    paths = [(Counted(f"{number:04}"),) for number in range(many)]
    for path in paths:
        content.change(path, None, one)
    for path in paths:
        content.change(path, one, other)
    assert dict(content.records()) == {"all": ("0999", 2)}
    for path in paths[1:]:
        content.change(path, other, None)
    assert dict(content.records()) == {"all": ("0000", 2)}
    assert Counted.compared < 3 * many * (log2(many) + 10)
