"""Random writes: whatever a projection went through, it is as one computed from scratch."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

import khepri
from khepri import messages
from khepri.actors import change_outlet
from khepri.errors import KhepriError
from khepri.projection_records import Draft
from khepri.projections import Projection
from khepri.testing import memory_store
from tests.facade.facade_helpers import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from khepri import Path
    from khepri.machine.paths import PathLike
    from khepri.types import NodeProperties

    Records = Mapping[Any, Any]

NAMES: Final = ("a", "b", "c")


def by_data(path: Path, data: Any) -> Any:
    """Many paths have one key; some have several records, some none, some fail."""
    if data == 3:
        return None
    if data == 4:
        return [(0, path), (path.name, path), (path.name, path.parent)]
    return (data % 3, str(path))


def same_in_an_extended_one(
    table: MutableMapping[Any, Any],
    path: Path,
    old: NodeProperties | None,
    new: NodeProperties | None,
) -> None:
    assert (path in table) == (old is not None)
    assert table.get(path) == old
    if new is None:
        del table[path]
    else:
        table[path] = new


def filled_in_path_order(data: Mapping[Path, Any]) -> dict[Any, Any]:
    """What a dict is like that is filled in path order."""
    table: dict[Any, Any] = {}
    for path in sorted(data):
        made = by_data(path, data[path])
        table.update(dict(made if isinstance(made, list) else [made] if made else []))  # pyright: ignore[reportUnknownArgumentType]
    return table


def matching(store: khepri.Store, pattern: PathLike) -> dict[Path, Any]:
    """Give the data of the matches, the root's too."""
    nodes = store.adv.get_many(pattern, include_root_props=False)
    return {path: found["data"] for path, found in nodes.items() if "data" in found}


PATTERNS: Final[dict[str, PathLike]] = {
    "everything": "/**",
    "children": "/a/*",
    "one": "/a/b",
    "condition": ["a", khepri.IfDataMatches(khepri.Ge(2))],
    "above": [khepri.IfDataMatches(khepri.Ge(2)), khepri.STAR],
    "count": ["**", khepri.IfChildListLength(khepri.Ge(2))],
    "step up": ["a", khepri.IfHasData(), khepri.PARENT, "c"],
}


def random_path(chance: random.Random) -> list[str]:
    return chance.choices(NAMES, k=chance.randint(1, 3))


def write(store: khepri.Store, chance: random.Random) -> None:
    """Do something to the tree, or try to."""
    path, number = random_path(chance), chance.randrange(6)
    writes: list[Callable[[], object]] = [
        lambda: store.put(path, number),
        lambda: store.put(path, number),
        lambda: store.put(path, number, keep_while={"/a": khepri.IfNodeExists()}),
        lambda: store.delete(path),
        lambda: store.clear_payload(path),
        lambda: store.put_many([*path[:-1], khepri.STAR], number),
        lambda: store.move(path, random_path(chance)),
        lambda: store.copy(path, random_path(chance)),
        lambda: store.delete_many([khepri.STAR, path[0]]),
        lambda: several(store, chance),
    ]
    with suppress(KhepriError):
        chance.choice(writes)()


def several(store: khepri.Store, chance: random.Random) -> None:
    with store.batch() as batch:
        for _ in range(chance.randrange(5)):
            batch.put(random_path(chance), chance.randrange(6))
        batch.delete(random_path(chance))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [1, 8, 10_000])
def test_every_projection_is_as_if_computed_from_scratch(
    seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small limit what changed is often found by comparing trees."""
    monkeypatch.setattr(change_outlet, "MAX_WAITING_CHANGES", limit)
    chance = random.Random(seed)
    with memory_store() as store:
        for _ in range(chance.randrange(10)):
            write(store, chance)
        for name, pattern in PATTERNS.items():
            store.register_projection(pattern, Projection(f"copy {name}", "copy"))
            store.register_projection(pattern, Projection(f"by data {name}", by_data))
            extended = Projection(f"extended {name}", same_in_an_extended_one, extended=True)
            store.register_projection(pattern, extended)
        told: dict[Path, Any] = {}
        store.subscribe("/**", lambda event: follow(event, told), since=store.view())
        told.update(store.get_many("/**"))
        for _ in range(25):
            for _ in range(chance.randrange(12)):
                write(store, chance)
            check(store)
        view = store.view()
    assert told == {path: view.get_or(path, None) for path in view.get_many("/**")}


def check(store: khepri.Store) -> None:
    properties = [
        "payload",
        "payload_version",
        "child_list_version",
        "child_list_length",
        "child_names",
    ]
    for name, pattern in PATTERNS.items():
        copy = store.projection(f"copy {name}")
        copy.wait_for(timeout=PATIENCE_SECONDS)
        data = matching(store, pattern)
        assert dict(copy) == data, name
        table = store.projection(f"by data {name}")
        table.wait_for(timeout=PATIENCE_SECONDS)
        assert dict(table) == filled_in_path_order(data), name
        extended = store.projection(f"extended {name}")
        extended.wait_for(timeout=PATIENCE_SECONDS)
        found = store.adv.get_many(pattern, props_to_return=properties)
        assert dict(extended) == found, name


def follow(event: object, told: dict[Path, Any]) -> None:
    """Keep data by path from nothing but what is told."""
    if not isinstance(event, messages.TreeChanged):
        return
    for each in event.differences:
        if each.new is None:
            del told[each.path]
        else:
            assert (each.path in told) == (each.old is not None)
            told[each.path] = each.new.get("data")


def keep_what_is_there(_draft: Draft, _key: object, _default: object) -> None:
    """A bug."""


def test_the_check_finds_a_record_that_should_not_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with memory_store() as store:
        for name, pattern in PATTERNS.items():
            for kind in ("copy", "by data", "extended"):
                store.register_projection(
                    pattern,
                    Projection(f"{kind} {name}", same_in_an_extended_one, extended=True)
                    if kind == "extended"
                    else Projection(f"{kind} {name}", "copy" if kind == "copy" else by_data),
                )
        store.put("/a/b", 1)
        check(store)
        monkeypatch.setattr(Draft, "pop", keep_what_is_there)
        store.delete("/a/b")
        with pytest.raises(AssertionError):
            check(store)
