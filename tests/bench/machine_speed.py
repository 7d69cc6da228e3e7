"""What the pure machine costs, without disk, network or threads.

Run ``python -m tests.bench.machine_speed``. Times are CPU time of this process, the best of
several rounds, with the garbage collector as the store runs it: heap frozen, thresholds raised.
The first line is a yardstick: compare ratios with it, absolute figures move with the computer.
"""

from __future__ import annotations

import gc
import random
import time
import timeit
import tracemalloc
from typing import TYPE_CHECKING

from msgpack import unpackb

from khepri.encoding import pack, unpack
from khepri.machine import commands, queries
from khepri.machine.entries import Group, encode_entry
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, resolve_path
from khepri.machine.properties import DEFAULT_PROPERTIES
from khepri.machine.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_ROUNDS = 7
_PAYLOAD = "x" * 97  # 100 bytes encoded with its length, more or less


class Driver:
    """One session in front of one machine; entries are made before the clock starts."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.machine.apply(1, 1, encode_entry(1, [Group(0, 0, 0, [_OPEN])]))
        self._session_id = 1 << 16
        self._sequence = 1
        self._index = 1

    def resumed(self) -> Driver:
        """Go on, in a session of its own, with the machine that this driver was given."""
        self._index = self.machine.view.index + 1
        self.machine.apply(self._index, 1, encode_entry(1, [Group(0, 0, 0, [_OPEN])]))
        self._session_id = self._index << 16
        return self

    def entry(self, encoded: Sequence[bytes]) -> bytes:
        first = self._sequence
        self._sequence += len(encoded)
        return encode_entry(1, [Group(self._session_id, first, first, encoded)])

    def apply(self, entries: Iterable[bytes]) -> None:
        apply = self.machine.apply
        for data in entries:
            self._index += 1
            apply(self._index, 1, data)


_OPEN = commands.encode(commands.open_session(b""))


def _paths(count: int) -> list[Path]:
    """Give paths four levels deep, twenty to a family."""
    return [
        Path(["stock", f"warehouse-{number // 1000}", f"shelf-{number // 20}", f"item-{number}"])
        for number in range(count)
    ]


def _best(run: Callable[[], object], count: int) -> float:
    """Give microseconds of CPU time per operation, best of several rounds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best / count * 1e6


def _line(what: str, microseconds: float) -> None:
    print(f"{what:58} {microseconds:8.2f} microseconds")


def _applies(driver: Driver, paths: list[Path]) -> None:
    chance = random.Random(1)
    fresh = iter(range(10**9))

    def puts(count: int) -> list[bytes]:
        return [
            commands.encode_put(chance.choice(paths), encode_value(f"{next(fresh)} {_PAYLOAD}"))
            for _ in range(count)
        ]

    rounds = [[driver.entry(puts(1)) for _ in range(2_000)] for _ in range(_ROUNDS)]
    _line("apply: put, existing node, one per entry", _each(driver, rounds, 2_000))
    rounds = [[driver.entry(puts(100)) for _ in range(20)] for _ in range(_ROUNDS)]
    _line("apply: put, existing node, 100 per entry", _each(driver, rounds, 2_000))
    batches = [
        commands.encode(commands.batch([list(unpack(put)) for put in puts(100)]))
        for _ in range(20 * _ROUNDS)
    ]
    rounds = [
        [driver.entry([batch]) for batch in batches[start : start + 20]]
        for start in range(0, len(batches), 20)
    ]
    _line("apply: put, existing node, batch of 100", _each(driver, rounds, 2_000))
    created = [
        driver.entry(
            [
                commands.encode_put(Path(["new", f"{entry}", f"{number}"]), b"\x01")
                for number in range(100)
            ]
        )
        for entry in range(20 * _ROUNDS)
    ]
    rounds = [created[start : start + 20] for start in range(0, len(created), 20)]
    _line("apply: put, new node, 100 per entry", _each(driver, rounds, 2_000))
    for what, make in _kinds(fresh):
        rounds = [
            [driver.entry([commands.encode(make(path))]) for path in paths[at : at + 300]]
            for at in range(0, 300 * _ROUNDS, 300)
        ]
        _line(f"apply: {what}, one per entry", _each(driver, rounds, 300))


def _kinds(fresh: Iterator[int]) -> list[tuple[str, Callable[[Path], commands.Operation]]]:
    def update(path: Path) -> commands.Operation:
        return commands.update(path, encode_value(next(fresh)))

    def put_and_tell(path: Path) -> commands.Operation:
        return commands.put(path, b"\x01", returning=DEFAULT_PROPERTIES)

    def swap(path: Path) -> commands.Operation:
        return commands.compare_and_swap(path, "no", encode_value(next(fresh)))

    return [
        ("update", update),
        ("put that tells properties", put_and_tell),
        ("compare and swap that fails", swap),
        ("delete", commands.delete),
    ]


def _each(driver: Driver, rounds: list[list[bytes]], count: int) -> float:
    ready = iter(rounds)
    return _best(lambda: driver.apply(next(ready)), count)


def _calls(driver: Driver, path: Path) -> None:
    payload = encode_value(_PAYLOAD)
    unix = str(path)
    root = driver.machine.view.root
    small = encode_value({"a": 1})
    packed = pack({"a": 1})
    levels = {"stock": {"b": {"c": {"d": packed}}}}

    def floor() -> object:
        return unpackb(levels["stock"]["b"]["c"]["d"])

    for what, run in (
        ("floor of a get: unpackb and four dict look-ups", floor),
        ("get from unix text, four levels deep", lambda: queries.get(root, resolve_path(unix))),
        ("encode a small dict", lambda: encode_value({"a": 1})),
        ("decode a small dict", lambda: decode_value(small)),
        ("encode a put", lambda: commands.encode_put(path, payload)),
        (
            "encode a put from unix text and value",
            lambda: commands.encode(commands.put(resolve_path(unix), encode_value(_PAYLOAD))),
        ),
    ):
        _line(what, min(timeit.repeat(run, number=20_000, repeat=_ROUNDS)) / 20_000 * 1e6)


def _memory_and_restart(paths: list[Path]) -> None:
    gc.unfreeze()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    driver = Driver()
    payload = encode_value(_PAYLOAD)
    for start in range(0, len(paths), 1_000):
        some = paths[start : start + 1_000]
        driver.apply([driver.entry([commands.encode_put(path, payload) for path in some])])
    gc.collect()
    count = driver.machine.view.root.size
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"{'memory per tree node, 100 bytes of payload':58} {used / count:8.0f} bytes")
    started = time.process_time()
    chunks: list[bytes] = []
    slowest = 0.0
    iterator = driver.machine.snapshot_chunks()
    while True:
        at = time.process_time()
        chunk = next(iterator, None)
        slowest = max(slowest, time.process_time() - at)
        if chunk is None:
            break
        chunks.append(chunk)
    _line("snapshot: per tree node", (time.process_time() - started) / count * 1e6)
    _line(f"snapshot: slowest of {len(chunks)} chunks", slowest * 1e6)
    del driver, iterator
    gc.collect()
    gc.freeze()
    gc.disable()
    _line("restart: read and unpack the chunks", _best(lambda: _unpack(chunks), count))
    _line("restart: restore the machine", _best(lambda: Machine.restore(chunks), count))
    _line("restart: restore and look at every node", _best(lambda: _look(chunks), count))
    gc.enable()


def _unpack(chunks: list[bytes]) -> None:
    for chunk in chunks:
        unpack(memoryview(chunk)[4:])


def _look(chunks: list[bytes]) -> None:
    stack = [Machine.restore(chunks).view.root]
    while stack:
        node = stack.pop()
        if node.size > 1:
            stack.extend(node.children.values())


def main() -> None:
    """Print all figures."""
    gc.set_threshold(100_000, 50, 1_000)
    _line(
        "yardstick: copy a dict of 64",
        min(timeit.repeat(dict.fromkeys(range(64)).copy, number=20_000, repeat=_ROUNDS))
        / 20_000
        * 1e6,
    )
    paths = _paths(20_000)
    driver = Driver()
    payload = encode_value(_PAYLOAD)
    driver.apply([driver.entry([commands.encode_put(path, payload) for path in paths])])
    gc.collect()
    gc.freeze()
    _calls(driver, paths[777])
    _applies(driver, paths)
    _memory_and_restart(_paths(200_000))


if __name__ == "__main__":
    main()
