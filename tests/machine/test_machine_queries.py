"""Reading one immutable root (§2.5, §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.errors import ManyNodesDeniedError, MismatchingNodeError, NodeNotFoundError
from khepri.machine import queries
from khepri.machine.conditions import IfAll, IfDataMatches, IfHasData
from khepri.machine.paths import Path, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.properties import DEFAULT_PROPERTIES, property_mask
from khepri.machine.values import ProcedureName
from tests.machine.machine_helpers import Origin, path

if TYPE_CHECKING:
    from khepri.machine.tree import TreeNode


@pytest.fixture(scope="module")
def root() -> TreeNode:
    origin = Origin()
    origin.put("/a/b/c", 1)
    origin.put("/a/d", [1, 2])
    origin.put("/p", ProcedureName("clean up"))
    origin.put("/none", None)
    origin.put_nothing("/empty")
    origin.put("/", "root")
    return origin.machine.view.root


def test_get_gives_the_payload(root: TreeNode) -> None:
    assert queries.get(root, path("/a/b/c")) == 1
    assert queries.get(root, path("/")) == "root"
    assert queries.get(root, path("/none")) is None
    assert queries.get(root, path("/empty")) is None
    assert queries.get(root, path("/p")) == ProcedureName("clean up")


def test_every_get_gives_a_value_of_its_own(root: TreeNode) -> None:
    queries.get(root, path("/a/d")).append(3)
    assert queries.get(root, path("/a/d")) == [1, 2]


def test_get_of_a_missing_node_says_what_is_missing(root: TreeNode) -> None:
    with pytest.raises(NodeNotFoundError) as error:
        queries.get(root, path("/a/x/y"))
    assert error.value.facts == {
        "node_name": "x",
        "node_path": Path("/a/x"),
        "node_is_target": False,
        "condition": None,
    }


def test_get_of_a_node_that_does_not_match_is_a_mismatch(root: TreeNode) -> None:
    """Upstream crashes here (BUG-9)."""
    pattern = resolve_path(["a", IfAll("d", IfDataMatches(7))])
    with pytest.raises(MismatchingNodeError) as error:
        queries.get(root, pattern)
    assert error.value.facts["node_props"] == {"data": [1, 2], "payload_version": 1}
    assert queries.get_or(root, pattern, "default") == "default"
    assert not queries.exists(root, pattern)
    assert not queries.has_data(root, pattern)
    with pytest.raises(MismatchingNodeError):
        queries.find_node(root, pattern)


def test_get_needs_one_node(root: TreeNode) -> None:
    with pytest.raises(ManyNodesDeniedError):
        queries.get(root, path("/a/*"))


def test_get_or_gives_the_default_where_there_is_no_payload(root: TreeNode) -> None:
    assert queries.get_or(root, path("/a/b/c"), 0) == 1
    assert queries.get_or(root, path("/none"), 0) is None
    assert queries.get_or(root, path("/empty"), 0) == 0
    assert queries.get_or(root, path("/no/where"), 0) == 0


def test_existence_data_and_procedures_are_told_apart(root: TreeNode) -> None:
    asked = ("/a", "/a/b/c", "/p", "/empty", "/no")
    assert [queries.exists(root, path(at)) for at in asked] == [True, True, True, True, False]
    assert [queries.has_data(root, path(at)) for at in asked] == [False, True, False, False, False]
    assert [queries.is_sproc(root, path(at)) for at in asked] == [False, False, True, False, False]


def test_properties_are_those_that_were_asked_for(root: TreeNode) -> None:
    names = ["payload", "payload_version", "child_list_version", "child_list_length"]
    node = queries.find_node(root, path("/a"))
    assert queries.properties_of(node, property_mask([*names, "child_names"])) == {
        "payload_version": 1,
        "child_list_version": 2,
        "child_list_length": 2,
        "child_names": ["b", "d"],
    }


def test_the_data_of_all_matches_come_in_path_order(root: TreeNode) -> None:
    found = queries.data_of(find_many(root, path("/**")))
    assert list(found) == [Path(at) for at in (
        "/a", "/a/b", "/a/b/c", "/a/d", "/empty", "/none", "/p",
    )]  # fmt: skip
    assert found[Path("/a/b/c")] == 1
    assert found[Path("/a")] is None
    assert all(type(at) is Path for at in found)


def test_data_can_have_a_default_and_the_root(root: TreeNode) -> None:
    found = queries.data_of(find_many(root, path("/*"), include_root=True), "?")
    assert found[Path("/")] == "root"
    assert (found[Path("/empty")], found[Path("/none")]) == ("?", None)
    assert queries.data_of(find_many(root, path("/no/*"))) == {}


def test_what_is_found_has_its_properties(root: TreeNode) -> None:
    ((found, node),) = find_many(root, resolve_path(["a", IfHasData()]))
    assert found == Path("/a/d")
    assert queries.properties_of(node, DEFAULT_PROPERTIES) == {
        "data": [1, 2],
        "payload_version": 1,
    }


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("/", 1), ("/a", 1), ("/no", 0), ("/*", 4), ("/**", 7), ("/a/**", 3), ("/no/**", 0),
     ("/**/c", 1), ("/*/**", 3)],
)  # fmt: skip
def test_count_counts_matches(root: TreeNode, pattern: str, count: int) -> None:
    assert queries.count(root, path(pattern)) == count
    assert len(list(find_many(root, path(pattern)))) == count


def test_counting_below_a_node_does_not_walk(
    root: TreeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "find_many", None)
    assert queries.count(root, path("/a/**")) == 3


def test_count_can_include_the_root(root: TreeNode) -> None:
    assert queries.count(root, path("/*"), include_root=True) == 5
    assert queries.count(root, path("/**"), include_root=True) == 8
