"""A local ``get`` four levels deep, as a multiple of what cannot be left out.

The yardstick is four dict look-ups and ``msgpack.unpackb`` of the same value, in a loop of the
same shape, with the same number of threads, under the same writes, moments before and after.
Threads share one interpreter, so a figure of several threads is what all of them do together.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from .callers import blocking_calls_per_second
from .child import in_child
from .harness import Plan, Sample, Samples, in_rounds
from .tables import Table, rate, ratio, verdict
from .workloads import value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from khepri.store import Store

PLACE = ("services", "database", "primary", "address")
SMALL_VALUE: dict[str, Any] = {"host": "db1.example.org", "port": 5432, "weight": 0.5}
NEIGHBOURS = 100
TARGET = 6.0
_CALLS_PER_LOOK_AT_THE_CLOCK = 100


class Circumstances(NamedTuple):
    """How many threads read, and what else goes on."""

    readers: int
    writers: int


_SUBJECTS = {
    "1 thread": Circumstances(1, 0),
    "4 threads": Circumstances(4, 0),
    "1 thread, 1 thread writing": Circumstances(1, 1),
    "4 threads, 4 threads writing": Circumstances(4, 4),
}


def measure(plan: Plan) -> Table:
    """Measure reads from one and several threads, with and without writes."""

    def sample(subject: str) -> Sample:
        return in_child(
            get_for_a_while,
            directory=str(plan.directory),
            readers=_SUBJECTS[subject].readers,
            writers=_SUBJECTS[subject].writers,
            seconds=plan.seconds,
        )

    collected = in_rounds(plan, _SUBJECTS, sample)
    return Table(
        title="Local get of a small value four levels deep",
        columns=("readers", "gets per second", "cost / yardstick", "lowest to highest", "target"),
        rows=tuple(_row(subject, samples) for subject, samples in collected.items()),
        notes=("The yardstick: four dict look-ups and `msgpack.unpackb` of the same value.",),
    )


def get_for_a_while(*, directory: str, readers: int, writers: int, seconds: float) -> Sample:
    """Be the process that takes one sample: ``gets`` and the ``look_ups`` beside them."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="get-") as temporary,
        khepri.open(Path(temporary), "bench") as store,
    ):
        path = "/" + "/".join(PLACE)
        _fill(store)
        look_up = _yardstick()
        with _writing(store, writers):
            before = _calls_per_second(look_up, readers, seconds / 2)
            gets = _calls_per_second(lambda: store.get(path), readers, seconds)
            after = _calls_per_second(look_up, readers, seconds / 2)
    return {"gets": gets, "look_ups": (before + after) / 2}


def _fill(store: Store) -> None:
    """Put the value among neighbours on every level."""
    with store.batch() as batch:
        for depth in range(len(PLACE)):
            for number in range(NEIGHBOURS):
                batch.put([*PLACE[:depth], f"neighbour-{number}"], number)
        batch.put(PLACE, SMALL_VALUE)


def _yardstick() -> Callable[[], object]:
    """Make the same tree of plain dicts with the value encoded, and a look-up in it."""
    tree: dict[str, Any] = {}
    level = tree
    for name in PLACE[:-1]:
        level.update({f"neighbour-{number}": b"" for number in range(NEIGHBOURS)})
        level = level.setdefault(name, {})
    level[PLACE[-1]] = msgpack.packb(SMALL_VALUE)
    first, second, third, fourth = PLACE
    return lambda: msgpack.unpackb(tree[first][second][third][fourth])


def _calls_per_second(call: Callable[[], object], threads: int, seconds: float) -> float:
    def many_calls(_thread: int, _number: int) -> None:
        for _ in range(_CALLS_PER_LOOK_AT_THE_CLOCK):
            call()

    blocks = blocking_calls_per_second(many_calls, threads=threads, seconds=seconds)
    return blocks * _CALLS_PER_LOOK_AT_THE_CLOCK


@contextmanager
def _writing(store: Store, threads: int) -> Generator[None]:
    """Keep threads writing beside the value that is read."""
    stop = threading.Event()

    def write(thread: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            store.put([*PLACE[:-1], f"written-{thread}"], value(number))

    writers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def _row(subject: str, samples: Samples) -> tuple[str, ...]:
    multiple = samples.median_ratio("look_ups", "gets")
    return (
        subject,
        rate(samples.median("gets")),
        ratio(multiple),
        samples.spread("look_ups", "gets"),
        verdict(multiple, TARGET, at_least=False),
    )
