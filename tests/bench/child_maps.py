"""Which map should hold a tree node's children? Run ``python -m tests.bench.child_maps``.

Each candidate is asked for what the tree does with it: give a new version with one name set (the
old one stays valid for readers), the same inside a batch whose intermediate versions nobody sees,
look one name up, walk all, and how many bytes it takes. Times are nanoseconds per operation with
the garbage collector in the state the store runs in: frozen heap, raised thresholds.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, NamedTuple

import immutables
import rpds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Children = Any  # each candidate has its own type


class Candidate(NamedTuple):
    """One way to keep children."""

    name: str
    build: Callable[[Iterable[tuple[str, object]]], Children]
    set_one: Callable[[Children, str, object], Children]
    set_batch: Callable[[Children, list[str], object], Children]


def _dict_set(children: dict[str, object], name: str, value: object) -> dict[str, object]:
    copy = children.copy()
    copy[name] = value
    return copy


def _dict_batch(children: dict[str, object], names: list[str], value: object) -> dict[str, object]:
    copy = children.copy()
    for name in names:
        copy[name] = value
    return copy


def _map_set(
    children: immutables.Map[str, object], name: str, value: object
) -> immutables.Map[str, object]:
    return children.set(name, value)


def _map_batch(
    children: immutables.Map[str, object], names: list[str], value: object
) -> immutables.Map[str, object]:
    mutation = children.mutate()
    for name in names:
        mutation[name] = value
    return mutation.finish()


def _rpds_build(items: Iterable[tuple[str, object]]) -> Children:
    return rpds.HashTrieMap(dict(items))


def _rpds_set(children: Children, name: str, value: object) -> Children:
    return children.insert(name, value)


def _rpds_batch(children: Children, names: list[str], value: object) -> Children:
    for name in names:
        children = children.insert(name, value)
    return children


CANDIDATES = (
    Candidate("dict, copied", dict, _dict_set, _dict_batch),
    Candidate("immutables.Map", immutables.Map, _map_set, _map_batch),
    Candidate(
        "rpds.HashTrieMap",
        _rpds_build,
        _rpds_set,
        _rpds_batch,
    ),
)
SIZES = (4, 10, 32, 64, 128, 256, 512, 1_000, 100_000, 1_000_000)
_BATCH = 100
_ENOUGH_SECONDS = 0.25


def _nanoseconds(run: Callable[[int], object], at_most: int) -> float:
    """Repeat until it took long enough; give nanoseconds per call."""
    done = 0
    started = time.perf_counter()
    while done < at_most:
        run(done)
        done += 1
        if done % 16 == 0 and time.perf_counter() - started > _ENOUGH_SECONDS:
            break
    return (time.perf_counter() - started) / done * 1e9


def _measure(candidate: Candidate, size: int) -> tuple[float, float, float, float, float]:
    names = [f"name-{number:07}" for number in range(size)]
    value = object()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    children = candidate.build((name, value) for name in names)
    memory = (tracemalloc.get_traced_memory()[0] - before) / size
    tracemalloc.stop()
    gc.collect()
    gc.freeze()

    # Each new version replaces the one before, as in the tree: an old version is freed at once.
    current = children
    picks = [names[(number * 7919) % size] for number in range(100_000)]

    def set_one(number: int) -> None:
        nonlocal current
        # A new value each time: immutables gives the same map back for the same value.
        current = candidate.set_one(current, picks[number], object())

    def set_batch(number: int) -> None:
        nonlocal current
        start = number * _BATCH % (len(picks) - _BATCH)
        current = candidate.set_batch(current, picks[start : start + _BATCH], object())

    one = _nanoseconds(set_one, 100_000)
    batch = _nanoseconds(set_batch, 1_000) / _BATCH
    get = children.get
    started = time.perf_counter()
    for name in picks:
        get(name)
    looked_up = (time.perf_counter() - started) / len(picks) * 1e9
    started = time.perf_counter()
    for _ in range(rounds := max(1, 100_000 // size)):
        for _name, _child in children.items():
            pass
    walked = (time.perf_counter() - started) / rounds / size * 1e9
    gc.unfreeze()
    return one, batch, looked_up, walked, memory


def main() -> None:
    """Print the table."""
    gc.set_threshold(100_000, 50, 1_000)
    print(f"{'children':>9}  {'candidate':18} {'set':>11} {'set in batch':>12}", end=" ")
    print(f"{'get':>6} {'walk':>6} {'bytes':>6}")
    for size in SIZES:
        for candidate in CANDIDATES:
            one, batch, get, walk, memory = _measure(candidate, size)
            print(f"{size:>9,}  {candidate.name:18} {one:>11,.0f} {batch:>12,.0f}", end=" ")
            print(f"{get:>6.0f} {walk:>6.0f} {memory:>6.0f}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
