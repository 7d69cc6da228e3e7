"""Hostile bytes: a named error or a value, never anything else, and never much memory."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgpack import ExtType

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import (
    CommandFailedError,
    DataCorruptionError,
    InvalidPathError,
    UnknownFormatError,
)
from khepri.machine import commands
from khepri.machine.condition_codec import component_from_plain
from khepri.machine.conditions import IfNodeExists
from khepri.machine.entries import Group, decode_entry
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, resolve_path
from khepri.machine.replies import is_error
from khepri.machine.values import DEPTH_LIMIT, TUPLE_CODE, decode_value, encode_value
from tests.machine.machine_helpers import Origin, error_of, nodes, path, value
from tests.machine.test_machine_snapshots import random_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMES = 400
"""So many bytes of memory per byte of input are a small multiple: an empty list of one byte, or a
name of one letter with its node, takes that."""

_FLOOR_BYTES = 300_000
"""What caches, compiled expressions and errors with their tracebacks take whatever the input."""


@pytest.fixture(scope="module", autouse=True)
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def within_bounds(run: Callable[[], object], size_bytes: int) -> None:
    """Run something and see that its peak is a small multiple of its input."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    run()
    grown = tracemalloc.get_traced_memory()[1] - before
    assert grown <= _FLOOR_BYTES + _TIMES * size_bytes, f"{grown} bytes for {size_bytes}"


def mutated(original: bytes, chance: random.Random) -> bytes:
    """Change, insert, remove or repeat a few bytes."""
    damaged = bytearray(original)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(damaged) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(damaged):
            damaged[at] = chance.randrange(256)
        elif kind == 1:
            damaged[at:at] = chance.randbytes(chance.randint(1, 4))
        elif kind == 2:
            del damaged[at : at + chance.randint(1, 8)]
        else:
            damaged[at:at] = damaged[max(0, at - 20) : at]
    return bytes(damaged)


@given(st.text(max_size=200) | st.text(alphabet="/*.%a:", max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_as_path_is_a_path_or_an_invalid_path_error_and_costs_little(text: str) -> None:
    def read() -> None:
        with contextlib.suppress(InvalidPathError):
            resolve_path(text)

    within_bounds(read, len(text))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_condition_are_a_condition_or_an_encoding_error(garbage: bytes) -> None:
    def read() -> None:
        with contextlib.suppress(EncodingError):
            component_from_plain(unpack(garbage))

    within_bounds(read, len(garbage))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million parts
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 5_000,
        b"\x81\x01" * 5_000,
        b"\xdc\xff\xff" + b"\x90" * 60_000,
    ],
)
def test_bytes_that_promise_more_than_they_hold_cost_nothing(bomb: bytes) -> None:
    origin = Origin()

    def apply() -> None:
        applied = origin.append(Group(origin.session_id, 1, 1, [bomb]))
        assert len(applied.groups[0].replies) == 1
        assert origin.machine.apply(99, 1, bomb).garbled

    within_bounds(apply, len(bomb))
    with pytest.raises(DataCorruptionError):
        Machine.restore([zlib.crc32(bomb).to_bytes(4, "big") + bomb])


def test_mutated_commands_of_every_kind_get_one_answer() -> None:
    chance = random.Random(5)
    origin = Origin()
    for at in ("/a/b", "/b/c", "/c/d/e"):
        origin.put(at, 1)
    for number in range(1_500):
        command = mutated(commands.encode(random_operation(chance)), chance)
        sequence = origin.next_sequence
        origin.next_sequence += 1

        def apply(command: bytes = command, sequence: int = sequence) -> None:
            group = Group(origin.session_id, sequence, sequence, [command])
            assert len(origin.append(group).groups[0].replies) == 1

        within_bounds(apply, len(command) + 100 * origin.machine.view.root.size)
        if number % 100 == 0:
            nodes(origin.machine.view.root)
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert [*restored.snapshot_chunks()] == [*origin.machine.snapshot_chunks()]


def test_mutated_entries_are_entries_or_garbled() -> None:
    chance = random.Random(6)
    origin = Origin()
    origin.put("/a", 1)
    for _ in range(500):
        data = mutated(origin.log[-1], chance)

        def read(data: bytes = data) -> None:
            with contextlib.suppress(EncodingError):
                decode_entry(data)

        within_bounds(read, len(data))


def test_mutated_snapshots_with_right_checksums_are_refused_or_restored() -> None:
    chance = random.Random(7)
    origin = Origin()
    origin.put("/a/b", {"k": [1, 2]})
    origin.put("/w", 1, keep_while={"/a/*": IfNodeExists()})
    origin.run(commands.put(path("/a/t"), value(1), ttl_milliseconds=5_000))
    origin.run(commands.touch(Path("/a"), 9_000))
    bodies = [chunk[4:] for chunk in origin.machine.snapshot_chunks()]
    refused = 0
    for _ in range(1_500):
        damaged = list(bodies)
        at = chance.randrange(len(damaged))
        damaged[at] = mutated(damaged[at], chance)
        checksum = 0
        chunks: list[bytes] = []
        for body in damaged:
            checksum = zlib.crc32(body, checksum)
            chunks.append(checksum.to_bytes(4, "big") + body)

        def restore(chunks: list[bytes] = chunks) -> None:
            nonlocal refused
            try:
                Machine.restore(chunks)
            except (DataCorruptionError, UnknownFormatError):
                refused += 1

        within_bounds(restore, sum(map(len, chunks)))
    assert 300 < refused < 1_500


def test_the_bound_notices_what_takes_too_much() -> None:
    with pytest.raises(AssertionError, match="bytes for"):
        within_bounds(lambda: bytes(1_000_000), 10)


def test_a_large_honest_command_is_no_trouble() -> None:
    origin = Origin()
    operations = [commands.put(Path(["f", str(number)]), pack(number)) for number in range(3_000)]
    encoded = commands.encode(commands.batch(operations))
    within_bounds(lambda: origin.run(list(unpack(encoded))), len(encoded))
    assert origin.machine.view.root.size == 3_002


def test_what_is_nested_too_deep_or_too_long_is_answered_and_has_no_effect() -> None:
    """Either could once end a member, and again at each restart: the log holds it."""
    tuples = pack([])
    for _ in range(5_000):
        tuples = pack(ExtType(TUPLE_CODE, tuples))
    origin = Origin()
    origin.put("/a", 1)
    before = origin.tree()
    for operation in (
        [commands.INCREMENT, ["deep"], 1],
        [commands.PUT, [""] * 20_000, b"\x01"],
        [commands.BATCH, [[commands.PUT, [""] * 20_000, b"\x01"]]],
        [commands.COPY, ["a"], ["b"] * 2_000],
    ):
        if operation[0] == commands.INCREMENT:
            origin.replies([commands.PUT, ["deep"], tuples])
            assert is_error(origin.replies(operation)[0])
            origin.delete("/deep")
        else:
            assert type(error_of(origin.replies(operation)[0])) is CommandFailedError
    with pytest.raises(EncodingError):
        decode_value(tuples)
    assert origin.tree() == before


def test_all_tuples_that_may_be_stored_come_back() -> None:
    value: object = ()
    for _ in range(DEPTH_LIMIT - 1):
        value = (value,)
    assert decode_value(encode_value(value)) == value
