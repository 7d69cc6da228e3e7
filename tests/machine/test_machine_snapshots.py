"""Snapshots: equal states give equal bytes, any damage is noticed; replay is exact."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from khepri.encoding import pack
from khepri.errors import DataCorruptionError, UnknownFormatError
from khepri.machine import commands, snapshot_writer
from khepri.machine.command_codes import PUT_FAMILY
from khepri.machine.conditions import IfHasPayload, IfNodeExists
from khepri.machine.entries import Group, encode_entry
from khepri.machine.machine import Machine
from khepri.machine.paths import Path
from khepri.machine.tree import TreeNode
from khepri.machine.unread_family import Columns, UnreadNode, leave_unread
from tests.machine.machine_helpers import ALL, Origin, nodes, path, snapshot_bytes, value


def random_operation(chance: random.Random) -> commands.Operation:
    at = Path([chance.choice("abcd") for _ in range(chance.randint(1, 4))])
    elsewhere = Path([chance.choice("efg"), chance.choice("abcd")])
    payload = value(chance.choice([1, 2.5, "text", None, [1, (2,)], {"k": b"v"}]))
    watched = {Path([chance.choice("abcd")]): IfNodeExists(exists=chance.random() < 0.7)}
    patterns = {path("/*/b"): IfHasPayload(), path("/a/**"): IfNodeExists(exists=True)}
    return chance.choice(
        [
            commands.put(at, payload),
            commands.put(at, payload),
            commands.put(at, payload, returning=ALL),
            commands.put(at, payload, keep_while=watched),
            commands.put(at, payload, keep_while=patterns),
            commands.create(at, payload),
            commands.update(at, payload, returning=ALL),
            commands.delete(at),
            commands.clear_payload(at),
            commands.put(at, payload, ttl_milliseconds=chance.choice([0, 5, 60_000, 200_000])),
            commands.put(path("/*/b"), payload, many=True, ttl_milliseconds=61_000),
            commands.touch(at, chance.choice([None, 0, 70_000]), returning=ALL),
            commands.increment(at, chance.randint(-3, 3), returning=chance.choice([None, ALL])),
            commands.copy(at, elsewhere),
            commands.require(at),
            commands.move(at, elsewhere, returning=ALL),
            commands.put(path("/*/c"), payload, many=True, returning=ALL),
            commands.delete(path("/**/d"), many=True, returning=ALL),
            commands.batch([commands.put(at, payload), commands.update(at / "d", payload)]),
            [commands.BATCH, [[PUT_FAMILY, at, [*"abc"], [payload, payload, value(3)]]]],
        ]
    )


def random_log(seed: int, entries: int) -> list[bytes]:
    """Make a log with two origins, resent groups, gaps, expiry and times that jump."""
    chance = random.Random(seed)
    token = commands.encode(commands.open_session(b"t"))
    log = [encode_entry(1, [Group(0, 0, 0, [token, token])])]
    ids = [1 << 16, (1 << 16) + 1]
    following = [1, 1]
    time_milliseconds = 1
    sent: list[Group] = []
    for _ in range(entries):
        time_milliseconds += chance.choice([0, 5, -3, 60_000])
        groups: list[Group] = []
        for _ in range(chance.randint(0, 3)):
            who = chance.randrange(2)
            encoded = [
                commands.encode(random_operation(chance)) for _ in range(chance.randint(0, 5))
            ]
            first = following[who] + chance.choice([0, 0, 0, 0, 1])
            if first == following[who]:
                following[who] += len(encoded)
            acknowledged = max(1, following[who] - chance.randint(0, 8))
            sent.append(Group(ids[who], first, acknowledged, encoded))
            groups.append(chance.choice([sent[-1], sent[-1], chance.choice(sent)]))
        log.append(encode_entry(time_milliseconds, groups))
    return log


@pytest.mark.parametrize("seed", range(8))
def test_three_machines_with_one_log_are_equal_byte_for_byte(seed: int) -> None:
    """The third is restored from a snapshot in the middle; the second wants its changes."""
    log = random_log(seed, 120)
    first, second, third = Machine(), Machine(), Machine()
    second.wants_changes = True
    for index, data in enumerate(log, 1):
        replies = [group.replies for group in first.apply(index, 1, data).groups]
        assert [group.replies for group in second.apply(index, 1, data).groups] == replies
        if index == 61:
            third = Machine.restore([*third.snapshot_chunks()])
        assert [group.replies for group in third.apply(index, 1, data).groups] == replies
    assert len(nodes(first.view.root)) > 1
    assert snapshot_bytes(first) == snapshot_bytes(second) == snapshot_bytes(third)


def big_origin() -> Origin:
    origin = Origin()
    for family, size in (("small", 3), ("parts", 700), ("buckets", 1500)):
        origin.replies(
            *[
                commands.put(Path([family, f"n{number}"]), value("x" * (number % 50)))
                for number in range(size)
            ]
        )
    origin.put("/buckets/n7/deep/er", 1)
    origin.put("/w", 1, keep_while={"/small": IfNodeExists(), "/parts/*": IfHasPayload()})
    origin.put("/", "payload of the root")
    origin.put("/blob", b"b" * 200_000)
    return origin


def test_a_large_tree_comes_back_whole() -> None:
    origin = big_origin()
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)
    was = nodes(origin.machine.view.root)
    now = nodes(restored.view.root)
    assert was.keys() == now.keys()
    assert all(
        (node.payload, node.payload_version, node.child_list_version)
        == (now[at].payload, now[at].payload_version, now[at].child_list_version)
        for at, node in was.items()
    )
    assert restored._working.seal().watch_index == origin.machine._working.seal().watch_index


def test_a_restored_machine_goes_on_like_the_original() -> None:
    origin = big_origin()
    machine = Machine.restore(origin.machine.snapshot_chunks())
    origin.delete("/small")
    machine.apply(len(origin.log), 1, origin.log[-1])
    assert "/w" not in origin.tree()
    assert snapshot_bytes(machine) == snapshot_bytes(origin.machine)


def test_equal_trees_with_different_pasts_have_equal_families() -> None:
    """The order of insertion and removal leaves no trace."""
    forwards, backwards = Origin(), Origin()
    names = [f"n{number}" for number in range(600)]
    for name in names:
        forwards.put(f"/f/{name}", 1)
    for name in reversed(names):
        backwards.put(f"/f/{name}", 1)
    families = [
        [record for record, _ in snapshot_writer._family_records(it.machine.view.root, [])]
        for it in (forwards, backwards)
    ]
    assert families[0] == families[1]


def test_the_machine_goes_on_while_a_snapshot_is_taken() -> None:
    origin = big_origin()
    expected = snapshot_bytes(origin.machine)
    chunks = origin.machine.snapshot_chunks()
    taken = [next(chunks)]
    origin.delete("/buckets")
    origin.put("/small/n0", "later")
    taken.extend(chunks)
    assert b"".join(taken) == expected


def test_chunks_are_small_unless_a_payload_is_not() -> None:
    sizes = [len(chunk) for chunk in big_origin().machine.snapshot_chunks()]
    assert sorted(sizes)[-2] <= 2 * snapshot_writer.CHUNK_BYTES
    assert len(sizes) > 5


def test_a_deep_tree_is_no_trouble() -> None:
    origin = Origin()
    origin.put("/" + "/".join(["d"] * 1000), 1)
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert restored.view.root.size == 1001
    origin.delete("/")
    assert origin.machine.view.root.size == 1


@pytest.fixture(scope="module")
def chunks() -> list[bytes]:
    origin = Origin()
    origin.put("/a/b", 1)
    origin.put("/a/c", "text", keep_while={"/a/b": IfNodeExists()})
    return list(origin.machine.snapshot_chunks())


def test_a_snapshot_cut_short_is_refused(chunks: list[bytes]) -> None:
    for length in range(len(chunks)):
        with pytest.raises(DataCorruptionError):
            Machine.restore(chunks[:length])


def test_a_missing_repeated_or_misplaced_chunk_is_refused(chunks: list[bytes]) -> None:
    for position in range(len(chunks)):
        with pytest.raises(DataCorruptionError):
            Machine.restore([*chunks[:position], *chunks[position + 1 :]])
        with pytest.raises(DataCorruptionError):
            Machine.restore([*chunks[: position + 1], *chunks[position:]])
    with pytest.raises(DataCorruptionError):
        Machine.restore([chunks[1], chunks[0], *chunks[2:]])


def test_every_flipped_byte_is_noticed(chunks: list[bytes]) -> None:
    for number, chunk in enumerate(chunks):
        for position in range(len(chunk)):
            damaged = bytearray(chunk)
            damaged[position] ^= 0x41
            with pytest.raises(DataCorruptionError):
                Machine.restore([*chunks[:number], bytes(damaged), *chunks[number + 1 :]])


def sealed(records: object, checksum: int = 0) -> bytes:
    body = pack(records)
    return zlib.crc32(body, checksum).to_bytes(4, "big") + body


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(0, 6), st.text(max_size=2), st.binary(max_size=2)),
        lambda inner: st.lists(inner, max_size=8),
        max_leaves=30,
    )
)
@example([[3, [], None, None, None, None]])  # what nodes live under, before there is one
@example([[3, ["a"], None, None, None, None]])
@settings(max_examples=120, deadline=None)
def test_records_of_any_shape_are_refused_or_restored(records: object) -> None:
    """Even with a right checksum."""
    header = [[0, 2, 5, 1, 1000]]
    first = sealed(header)
    second = pack(records)
    checksum = zlib.crc32(second, int.from_bytes(first[:4], "big"))
    with pytest.raises((DataCorruptionError, UnknownFormatError)):
        Machine.restore([first, checksum.to_bytes(4, "big") + second])


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(UnknownFormatError) as error:
        Machine.restore([sealed([[0, 99, 5, 1, 1000]])])
    assert error.value.facts["version"] == 99


@given(st.binary(max_size=60))
@settings(max_examples=120, deadline=None)
def test_commands_of_any_bytes_get_one_answer(garbage: bytes) -> None:
    origin = Origin()
    origin.put("/a", 1)
    applied = origin.append(Group(origin.session_id, 2, 1, [garbage]))
    assert len(applied.groups[0].replies) == 1
    snapshot_bytes(origin.machine)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_commands_never_break_the_machine(data: st.DataObject) -> None:
    """One byte of a real command is changed: it is refused, or does something sound."""
    seed = data.draw(st.integers(0, 10_000))
    command = bytearray(commands.encode(random_operation(random.Random(seed))))
    position = data.draw(st.integers(0, len(command) - 1))
    command[position] = data.draw(st.integers(0, 255))
    origin = Origin()
    origin.put("/a/b", 1)
    origin.put("/b/c", 1)
    applied = origin.append(Group(origin.session_id, 3, 1, [bytes(command)]))
    assert len(applied.groups[0].replies) == 1
    nodes(origin.machine.view.root)
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)


def test_a_family_nobody_looked_at_is_made_at_the_first_look() -> None:
    origin = Origin()
    origin.put("/f/a", 1)
    origin.put("/f/b", 1)
    origin.put("/f/b", 2)
    origin.put("/f/c/d", 3)
    origin.put("/g/x", 4)
    root = Machine.restore(origin.machine.snapshot_chunks()).view.root
    family = root.children["g"]
    assert type(family) is UnreadNode
    assert family.size == 2
    assert family.children["x"].payload == value(4)
    assert type(family) is TreeNode
    assert family.children is family.children
    assert type(root.children["f"]) is TreeNode


def test_two_threads_may_look_first_at_the_same_family() -> None:
    """The slower one finds a plain family under its feet."""
    node = TreeNode(None, 1, 1, {}, None, 2)
    seen: list[int] = []

    class Slow(Columns):
        __slots__ = ()

        def family(self) -> dict[str, TreeNode]:
            made = super().family()
            if not seen:
                seen.append(0)
                seen[0] = len(node.children)  # the other thread, in the middle of this one
            return made

    leave_unread(node, Slow(["a"], [b"\x01"], [3], None))
    assert node.children["a"].payload_version == 3
    assert seen == [1]
    assert type(node) is TreeNode


@pytest.mark.parametrize(
    "columns",
    [
        (["a", 1], [b"", b""], None, None),
        (["a"], [b"", b""], None, None),
        (["a"], ["text"], None, None),
        (["a"], [b""], [1, 2], None),
        (["a"], [b""], None, ["1"]),
        ("a", [b""], None, None),
    ],
)
def test_columns_are_checked_when_they_come(columns: tuple[Any, Any, Any, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Columns(*columns)


def test_parts_of_a_family_join_whatever_they_hold() -> None:
    """Leaves first and inner nodes later, versions of one and of more."""
    origin = Origin()
    names = [f"n{number:04}" for number in range(500)]
    origin.replies(*[commands.put(Path(["f", name]), value(1)) for name in names])
    origin.put("/f/n0001", 2)
    for last in ("n0499", "n0100"):
        restored = Machine.restore(origin.machine.snapshot_chunks())
        assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)
        origin.put(f"/f/{last}/below", 1)
        origin.put(f"/f/{last}", 3)
    restored = Machine.restore(origin.machine.snapshot_chunks())
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)
    nodes(restored.view.root)


def test_a_snapshot_of_another_place_than_it_is_said_to_be_is_refused() -> None:
    origin = Origin()
    origin.put("/a", 1)
    chunks = [*origin.machine.snapshot_chunks()]
    index = origin.machine.view.index
    assert Machine.restore(chunks, index=index).view.index == index
    with pytest.raises(DataCorruptionError, match=f"said to be of {index + 3} and is of {index}"):
        Machine.restore(chunks, index=index + 3)
