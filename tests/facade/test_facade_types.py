"""A user's annotated program finds every type it needs; mypy and pyright are the judges.

The functions here are such a program: `mypy --strict` reads this file with all others, and an
ignored error that is none fails too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import pytest

import khepri
from khepri import types
from khepri.testing import LocalCluster

if TYPE_CHECKING:
    from typing import Unpack

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "functions.md"


class Stock:
    """What a user may write around a store."""

    def __init__(self, store: khepri.Store, timeout: types.Timeout = 20) -> None:
        self.store = store
        self.timeout = timeout
        self.adv: types.AdvancedStore = store.adv
        self.favor: types.Favor = "consistency"
        self.priority: types.Priority = "low"

    def put(self, path: types.PathLike, data: object, **options: Unpack[types.PutOptions]) -> None:
        self.store.put(path, data, **options)

    def put_later(self, path: types.PathLike, data: object) -> types.KhepriFuture[None]:
        return self.store.put(path, data, async_=True, priority=self.priority)

    def keep(self, path: types.PathLike, while_: types.KeepWhileOption | None) -> None:
        self.put(path, 1, keep_while=while_, timeout=self.timeout)

    def get(self, path: types.PathLike, **options: Unpack[types.ReadOptions]) -> int:
        number = self.store.get(path, **options)
        assert isinstance(number, int)
        return number

    def properties(
        self, pattern: types.PathLike, **options: Unpack[types.AdvancedManyOptions]
    ) -> dict[khepri.Path, types.NodeProperties]:
        return self.adv.get_many(pattern, **options)

    def below(self, *steps: types.Component, condition: types.Condition) -> int:
        return self.store.count([*steps, condition], favor=self.favor)


def fill(batch: types.Batch, names: list[str]) -> None:
    """Add to a batch that somebody else commits."""
    for number, name in enumerate(names):
        batch.put([name], number)


def ask(ref: types.ServerRef, message: types.Message) -> object:
    """Ask a store as an actor does."""
    return ref.ask(message, timeout=20)


def test_an_annotated_program_runs_and_is_type_checked(store: khepri.Store) -> None:
    stock = Stock(store)
    stock.put("/a", 1, ttl=1000)
    assert stock.put_later(["b"], 2).get(timeout=20) is None
    stock.keep("/c", {"/a": khepri.IfNodeExists()})
    stock.keep("/d", None)
    view = store.view()
    place: types.AppliedAt = khepri.applied(view.index, view.term)
    assert stock.get("/b", condition=place) == 2
    assert stock.properties("/a", props_to_return=["has_payload"]) == {
        khepri.Path("/a"): {"has_data": True}
    }
    assert stock.below(khepri.ROOT, condition=khepri.IfHasData()) == 4
    with store.batch() as batch:
        fill(batch, ["x", "y"])
    assert ask(khepri.server_ref("orders"), khepri.messages.Get("/y")) == 1


def test_what_a_cluster_for_tests_gives_has_names() -> None:
    with LocalCluster(1) as cluster:
        node: types.Node = cluster.node(0)
        manager: types.ClusterManager = cluster.manager()
        assert manager.get_store_ids() == [cluster.store_id]
        assert khepri.Store(cluster.store_id, node).is_empty()


def test_the_checkers_refuse_what_has_another_type(store: khepri.Store) -> None:
    wrong: types.KhepriFuture[int] = store.put("/a", 1, async_=True)  # type: ignore[assignment]
    wrong.get(timeout=20)
    assert_type(store.increment("/a", async_=True), types.KhepriFuture[int]).get(timeout=20)


@pytest.mark.parametrize("flag", [False, True])
def test_whether_to_wait_may_be_a_plain_flag(store: khepri.Store, flag: bool) -> None:
    puts = [
        assert_type(
            store.put("/a", 1, async_=flag),
            types.KhepriFuture[None] | None,
        ),
        assert_type(
            khepri.put("/a", 2, store_id="orders", async_=flag),
            types.KhepriFuture[None] | None,
        ),
    ]
    assert [put is not None for put in puts] == [flag, flag]
    number = assert_type(
        khepri.increment("/a", store_id="orders", async_=flag), types.KhepriFuture[int] | int
    )
    assert (number if isinstance(number, int) else number.get(timeout=20)) == 3
    batch = store.batch()
    batch.delete("/a")
    results = batch.commit(async_=flag)
    assert (results if isinstance(results, list) else results.get(timeout=20)) == [None]


def test_every_type_can_be_imported_and_joined_with_none() -> None:
    for name in types.__all__:
        assert getattr(types, name) | None


def test_every_type_is_in_the_reference() -> None:
    text = REFERENCE.read_text("utf-8").partition("## Types for annotations")[2]
    assert sorted(set(re.findall(r"`(\w+)`", text)) & set(types.__all__)) == types.__all__
    assert types.__all__ == sorted(name for name in vars(types) if name[0].isupper())
    assert "types" in khepri.__all__
