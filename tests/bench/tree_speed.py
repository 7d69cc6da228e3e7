"""What a tree costs: by depth, by the number of children, by the number of matches.

The machine is measured alone, without disk, threads and network, so that growth can be seen: every
figure is a mean over many operations of one round. The yardsticks are the smallest tree for growth
and a plain recursive walk of nested dicts for wide reads.
"""

from __future__ import annotations

import gc
import random
import time
from typing import TYPE_CHECKING, Any

from khepri.encoding import pack, unpack
from khepri.machine import commands, queries
from khepri.machine.conditions import (
    IfAll,
    IfChildListLength,
    IfDataMatches,
    IfHasData,
    IfNameLike,
    IfNameMatches,
    IfNot,
    IfPayloadVersion,
)
from khepri.machine.data_patterns import ANY, DictWith
from khepri.machine.paths import Path, resolve_path
from khepri.machine.patterns import find_many
from khepri.machine.tree import NO_CHILDREN, TreeNode
from khepri.machine.values import encode_value

from . import chart
from .harness import Plan, Sample, in_rounds
from .machine_speed import Driver
from .tables import Table, ratio, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.machine.conditions import Component
    from khepri.machine.machine import Machine

    from .harness import Samples

DEPTHS = (2, 4, 8, 16, 32)
FAMILIES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
QUICK_FAMILIES = (1, 10, 100, 1_000, 10_000)
_OPERATIONS = 300
_DEPTH_OF_FAMILIES = 2
_SLACK = 2.0
"""A tree gets slower when it leaves the processor's caches; per decimal digit of children, as much
as this is not growth of the work."""


def measure(plan: Plan) -> Table:
    """Measure everything; draw the picture if the figures are the real ones."""
    families = QUICK_FAMILIES if plan.quick else FAMILIES
    machines: dict[str, Machine] = {}
    subjects = {f"depth {depth}": ("depth", depth) for depth in DEPTHS}
    subjects |= {f"{size:,} children": ("children", size) for size in families}

    def sample(subject: str) -> Sample:
        kind, number = subjects[subject]
        if subject not in machines:
            machines[subject] = _deep(number) if kind == "depth" else _wide(number)
        paths = _deep_paths(number) if kind == "depth" else _wide_paths(number)
        return _operations(machines[subject], paths)

    gc.collect()
    samples = in_rounds(plan, subjects, sample)
    machines.clear()
    reads = in_rounds(plan, ["wide"], lambda _subject: _wide_reads(plan))["wide"]
    if not plan.quick:
        chart.write(chart.PICTURE, _lines(samples, subjects))
    return _table(samples, families, reads)


# --- the trees


def _deep_paths(depth: int) -> list[Path]:
    return [Path([*(f"level{at}" for at in range(depth - 1)), f"n{it}"]) for it in range(16)]


def _wide_paths(size: int) -> list[Path]:
    chance = random.Random(size)
    return [Path(["family", f"n{chance.randrange(size)}"]) for _ in range(_OPERATIONS)]


def _deep(depth: int) -> Machine:
    return _filled(_deep_paths(depth))


def _wide(size: int) -> Machine:
    return _filled([Path(["family", f"n{number}"]) for number in range(size)])


def _filled(paths: Sequence[Path]) -> Machine:
    driver = Driver()
    payload = encode_value({"a": 1})
    for start in range(0, len(paths), 5_000):
        some = [commands.encode_put(path, payload) for path in paths[start : start + 5_000]]
        driver.apply([driver.entry(some)])
    gc.collect()
    gc.freeze()
    return driver.machine


# --- one operation at a time, one entry each, as a lonely client sends them


def _operations(machine: Machine, paths: Sequence[Path]) -> Sample:
    driver = _driver_of(machine)
    chance = random.Random(1)
    chosen = [chance.choice(paths) for _ in range(_OPERATIONS)]
    fresh = iter(range(10**9))
    payloads = [encode_value(next(fresh)) for _ in chosen]
    puts = [driver.entry([commands.encode_put(*it)]) for it in zip(chosen, payloads, strict=True)]
    swaps = [
        driver.entry([commands.encode(commands.compare_and_swap(path, ANY, encode_value(2)))])
        for path in chosen
    ]
    new = [path.parent / f"{path.name}-new{number}" for number, path in enumerate(chosen)]
    creates = [driver.entry([commands.encode_put(path, b"\x01")]) for path in new]
    deletes = [driver.entry([commands.encode(commands.delete(path))]) for path in new]
    return {
        "put": _per_operation(lambda: driver.apply(puts)),
        "get": _per_operation(lambda: _get_all(driver.machine.view.root, chosen)),
        "CAS": _per_operation(lambda: driver.apply(swaps)),
        "create": _per_operation(lambda: driver.apply(creates)),
        "delete": _per_operation(lambda: driver.apply(deletes)),
    }


def _driver_of(machine: Machine) -> Driver:
    """Give a driver that goes on with a machine from an earlier round."""
    driver = Driver()
    driver.machine = machine
    return driver.resumed()


def _get_all(root: TreeNode, paths: Sequence[Path]) -> None:
    for path in paths:
        queries.get(root, path)


def _per_operation(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return (time.process_time() - started) / _OPERATIONS * 1e6


# --- wide reads and conditions


_WIDE_PATTERNS: dict[str, Component] = {
    '`IfNameMatches("7$")`': IfNameMatches("7$"),
    "`IfNameLike` of `n*7`": IfNameLike(("n", "7")),
    "`IfHasData()`": IfHasData(),
    "`IfPayloadVersion(1)`": IfPayloadVersion(1),
    "`IfChildListLength(0)`": IfChildListLength(0),
    "`IfDataMatches({...})`": IfDataMatches({"a": 1, "b": "text"}),
    '`IfDataMatches(DictWith({"a": int}))`': IfDataMatches(DictWith({"a": int})),
    "`IfNot(IfHasData())`": IfNot(IfHasData()),
    "`IfAll` of three": IfAll(IfHasData(), IfPayloadVersion(1), IfChildListLength(0)),
}


def _wide_reads(plan: Plan) -> Sample:
    count = 10_000 if plan.quick else 100_000
    value = {"a": 1, "b": "text"}
    root, nested = _same_tree_twice(count, encode_value(value), pack(value))
    found: dict[tuple[str, ...], Any] = {}
    sample = {
        "yardstick": _seconds(lambda: _walk(nested["a"], ("a",), found)),
        "get_many": _seconds(lambda: queries.data_of(find_many(root, resolve_path("/a/**")))),
    }
    assert len(found) == queries.count(root, resolve_path("/a/**")) == count
    family = TreeNode(None, 1, 1, {"f": _family(count, encode_value(value))}, None, count + 2)
    base = _seconds(lambda: _count(family, IfNameMatches()))
    for name, condition in _WIDE_PATTERNS.items():
        seconds = _seconds(lambda: _count(family, condition))  # noqa: B023 - called at once
        sample[name] = max(0.0, seconds - base) / count * 1e6
    sample["walk per node"] = base / count * 1e6
    return sample


def _count(root: TreeNode, condition: Component) -> int:
    return sum(1 for _ in find_many(root, resolve_path(["f", condition])))


def _same_tree_twice(count: int, payload: bytes, packed: bytes) -> tuple[TreeNode, dict[str, Any]]:
    """Give a tree of so many nodes below /a, ten to a family, and the same as nested dicts."""
    family = count // 11
    names = [f"n{number}" for number in range(family)]
    leaf_names = [f"leaf{number}" for number in range(10)]
    rest = count - family * 11
    inner = {
        name: TreeNode(
            payload,
            1,
            1,
            {it: TreeNode(payload, 1, 1, NO_CHILDREN) for it in leaf_names},
            None,
            11,
        )
        for name in names
    }
    inner |= {f"x{number}": TreeNode(payload, 1, 1, NO_CHILDREN) for number in range(rest)}
    plain = {name: {"": packed} | {it: {"": packed} for it in leaf_names} for name in names}
    plain |= {f"x{number}": {"": packed} for number in range(rest)}
    top = TreeNode(None, 1, 1, inner, None, count + 1)
    return TreeNode(None, 1, 1, {"a": top}, None, count + 2), {"a": plain}


def _walk(level: dict[str, Any], path: tuple[str, ...], found: dict[Any, Any]) -> None:
    """Walk nested dicts in the order of the paths and unpack; the entry "" holds the value."""
    for name in sorted(level):
        if name:
            below = level[name]
            here = (*path, name)
            found[here] = unpack(below[""])
            _walk(below, here, found)


def _family(count: int, payload: bytes) -> TreeNode:
    children = {f"n{number}": TreeNode(payload, 1, 1, NO_CHILDREN) for number in range(count)}
    return TreeNode(None, 1, 1, children, None, count + 1)


def _seconds(run: Callable[[], object]) -> float:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        started = time.process_time()
        run()
        return time.process_time() - started
    finally:
        gc.enable()
        gc.unfreeze()


# --- the results

_NAMES = ("put", "get", "CAS", "create", "delete")


def _table(samples: dict[str, Samples], families: Sequence[int], reads: Samples) -> Table:
    rows = [
        (subject, *(f"{found.median(name):.1f}" for name in _NAMES))
        for subject, found in samples.items()
    ]
    deep = max(
        samples[f"depth {DEPTHS[-1]}"].median(name) / samples[f"depth {DEPTHS[0]}"].median(name)
        for name in _NAMES
    )
    linear = DEPTHS[-1] / DEPTHS[0]
    wide = max(
        samples[f"{families[-1]:,} children"].median(name)
        / samples[f"{families[1]:,} children"].median(name)
        for name in _NAMES
    )
    digits = len(str(families[-1])) - len(str(families[1])) + 1
    many = reads.median_ratio("get_many", "yardstick")
    look = f"{reads.median('walk per node'):.2f}"
    conditions = ", ".join(f"{name} {reads.median(name):.2f}" for name in _WIDE_PATTERNS)
    return Table(
        "Microseconds per operation in the machine, by depth and by children per node",
        ("tree", *_NAMES),
        tuple(rows),
        (
            _note("From a depth of", DEPTHS[0], DEPTHS[-1], deep, linear),
            _note(
                "From a number of children of", families[1], families[-1], wide, digits * _SLACK
            ),
            (
                f'`get_many("/a/**")` over 100,000 tree nodes takes {ratio(many)} times a '
                "plain walk of nested dicts with unpacking "
                f"({reads.spread('get_many', 'yardstick')} in the rounds): "
                f"{verdict(many, 3, at_least=False)}."
            ),
            (
                f"To look at one child takes {look} microseconds; to ask "
                f"it something more, in microseconds: {conditions}."
            ),
            "![The same figures as lines](performance-tree.svg)",
        ),
    )


def _note(what: str, first: int, last: int, growth: float, limit: float) -> str:
    return (
        f"{what} {first:,} to {last:,} the dearest growth is by {ratio(growth)}, "
        f"asked is no more than {limit:g}: {verdict(growth, limit, at_least=False)}."
    )


def _lines(samples: dict[str, Samples], subjects: dict[str, tuple[str, int]]) -> list[chart.Panel]:
    panels: list[chart.Panel] = []
    for kind, title in (("depth", "names in the path"), ("children", "children per node")):
        series = {
            name: [
                (float(number), samples[subject].median(name))
                for subject, (of_kind, number) in subjects.items()
                if of_kind == kind
            ]
            for name in _NAMES
        }
        panels.append(chart.Panel(title, series, logarithmic=kind == "children"))
    return panels
