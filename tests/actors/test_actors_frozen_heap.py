"""A large tree is frozen as it grows, so that the garbage collector does not walk it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from khepri.actors.frozen_heap import (
    LARGE_TREE_NODES,
    UNFROZEN_BYTES,
    UNFROZEN_TREE_NODES,
    FrozenHeap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

A_FEW = 10


@pytest.fixture(autouse=True)
def nothing_frozen() -> Generator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def freezes(what: Callable[[], object]) -> bool:
    gc.unfreeze()
    what()
    return gc.get_freeze_count() > 0


def test_a_small_tree_is_left_to_the_collector() -> None:
    heap = FrozenHeap(0)
    assert not freezes(lambda: heap.consider(LARGE_TREE_NODES - 1, 100 * UNFROZEN_BYTES))


def test_a_large_tree_is_frozen_once_and_again_when_it_has_grown() -> None:
    heap = FrozenHeap(0)
    nodes = LARGE_TREE_NODES
    assert freezes(lambda: heap.consider(nodes, 0))
    assert not freezes(lambda: heap.consider(nodes, 0))
    assert not freezes(lambda: heap.consider(nodes + A_FEW, 0))
    assert freezes(lambda: heap.consider(nodes + UNFROZEN_TREE_NODES, 0))


def test_a_restored_tree_is_frozen_already() -> None:
    heap = FrozenHeap(10 * LARGE_TREE_NODES)
    assert not freezes(lambda: heap.consider(10 * LARGE_TREE_NODES + A_FEW, 0))


def test_tree_nodes_that_replace_others_count_by_their_commands() -> None:
    heap = FrozenHeap(LARGE_TREE_NODES)
    assert not freezes(lambda: heap.consider(LARGE_TREE_NODES, UNFROZEN_BYTES - 1))
    assert freezes(lambda: heap.consider(LARGE_TREE_NODES, UNFROZEN_BYTES))
    assert not freezes(lambda: heap.consider(LARGE_TREE_NODES, UNFROZEN_BYTES + A_FEW))


def test_a_tree_that_shrank_and_grows_again_is_new() -> None:
    heap = FrozenHeap(2 * LARGE_TREE_NODES)
    assert not freezes(lambda: heap.consider(LARGE_TREE_NODES, 0))
    assert freezes(lambda: heap.consider(2 * LARGE_TREE_NODES, 0))


def test_a_host_that_has_switched_the_collector_off_is_left_alone() -> None:
    heap = FrozenHeap(0)
    gc.disable()
    try:
        assert not freezes(lambda: heap.consider(LARGE_TREE_NODES, 0))
    finally:
        gc.enable()


def test_young_cycles_of_the_host_are_collected_before() -> None:
    heap = FrozenHeap(0)
    died: list[bool] = []

    class Host:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            died.append(True)

    gc.disable()  # or a collection by chance takes it
    Host()
    gc.enable()
    heap.consider(LARGE_TREE_NODES, 0)
    assert died
