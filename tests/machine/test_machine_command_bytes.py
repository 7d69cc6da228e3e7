"""Command bytes made the short way are those made the long way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khepri.machine import command_bytes, commands
from khepri.machine.command_codes import BATCH, PUT
from khepri.machine.paths import Path, PathLike, resolve_path

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=120)
paths = st.lists(names, max_size=6).map(Path.of_valid)
payloads = st.binary(min_size=1, max_size=70_000)

# Everything that means something in a path, and names of the same families again and again.
parts = st.sampled_from(["", ".", "..", "*", "**", "a", "b", "a*", "%41", "%", ".a", "é", "a.b"])
texts = st.builds(
    "{}{}".format, st.sampled_from(["", "/"]), st.lists(parts, max_size=4).map("/".join)
)


def the_long_way(path: PathLike, payload: bytes) -> bytes | None:
    where = resolve_path(path)
    return commands.encode([PUT, where, payload]) if isinstance(where, Path) else None


@given(paths, payloads)
def test_a_put_has_the_same_bytes_as_any_operation(path: Path, payload: bytes) -> None:
    assert commands.encode_put(path, payload) == commands.encode([PUT, path, payload])


@given(st.lists(texts, max_size=20), payloads)
def test_a_put_has_the_same_bytes_wherever_its_path_was_met_before(
    some: list[str], payload: bytes
) -> None:
    for path in some:
        for text in (path, f"{path}/b", f"{path}/c", path):
            assert commands.encode_put_at(text, payload) == the_long_way(text, payload)


@given(st.lists(payloads, min_size=4, max_size=8))
def test_a_put_to_a_known_place_has_the_same_bytes_whatever_its_payload(some: list[bytes]) -> None:
    for payload in some:
        assert commands.encode_put_at("/known/place", payload) == the_long_way(
            "/known/place", payload
        )


@given(paths, payloads)
def test_paths_of_any_kind_and_length_can_be_put_to(path: Path, payload: bytes) -> None:
    for one in (path, list(path), str(path), "/" + "long" * 60 + str(path)):
        assert commands.encode_put_at(one, payload) == the_long_way(one, payload)


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


def test_what_is_kept_of_places_and_families_is_bounded_in_number_and_size() -> None:
    places, families = command_bytes._places.values, command_bytes._families
    places.clear()
    families.clear()
    for _ in range(3):
        commands.encode_put_at("/" + "long" * 100 + "/a", b"\x01")
    assert not places
    assert not families
    most_places = most_families = 0
    for number in range(10_000):
        for _ in range(2):
            commands.encode_put_at(f"/a/{number}/b", b"\x01")
        most_places = max(most_places, len(places))
        most_families = max(most_families, len(families))
    assert 0 < len(places) <= most_places == 8_192
    assert 0 < len(families) <= most_families == 4_096
