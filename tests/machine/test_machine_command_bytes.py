"""Command bytes made the short way are those made the long way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khepri.machine import command_bytes, commands
from khepri.machine.command_codes import BATCH, PUT
from khepri.machine.paths import Path

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=120)
paths = st.lists(names, max_size=6).map(Path.of_valid)
payloads = st.binary(min_size=1, max_size=70_000)


@given(paths, st.lists(payloads, min_size=1, max_size=3))
def test_a_put_has_the_same_bytes_at_a_new_place_and_at_a_known_one(
    path: Path, some: list[bytes]
) -> None:
    for payload in some:
        assert commands.encode_put(path, payload) == commands.encode([PUT, path, payload])


@given(st.lists(st.tuples(paths, payloads), max_size=20))
def test_a_batch_of_encoded_operations_has_the_same_bytes(
    puts: list[tuple[Path, bytes]],
) -> None:
    encoded = [commands.encode_put(path, payload) for path, payload in puts]
    plain = [[PUT, path, payload] for path, payload in puts]
    assert commands.encode_batch(encoded) == commands.encode([BATCH, plain])


def test_a_batch_of_very_many_operations_has_the_same_bytes() -> None:
    encoded = [commands.encode_put(Path(["a"]), b"\x01")] * 70_000
    plain = [[PUT, ["a"], b"\x01"]] * 70_000
    assert commands.encode_batch(encoded) == commands.encode([BATCH, plain])


def test_what_is_kept_of_families_is_bounded_in_number_and_size() -> None:
    kept = command_bytes._beginnings
    kept.clear()
    commands.encode_put(Path(["long" * 100, "a"]), b"\x01")
    assert not kept
    most = 0
    for number in range(10_000):
        commands.encode_put(Path(["a", str(number), "b"]), b"\x01")
        most = max(most, len(kept))
    assert 0 < len(kept) <= most == 4_096
    kept.clear()
