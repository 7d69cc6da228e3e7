"""Times to live: expiry by log time, the same on all members; renewals; what follows from it.

Long, because a time to live meets every other operation.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.encoding import pack, unpack
from khepri.errors import (
    CommandFailedError,
    DataCorruptionError,
    InvalidOptionError,
    MismatchingNodeError,
    NodeNotFoundError,
)
from khepri.machine import commands, queries
from khepri.machine.conditions import IfDataMatches, IfNodeExists
from khepri.machine.edit import Edit
from khepri.machine.expiry import expire
from khepri.machine.expiry_index import ExpiryIndex
from khepri.machine.machine import Machine
from khepri.machine.paths import Path, combine_with_conditions
from khepri.machine.patterns import find_many
from khepri.machine.properties import EXPIRES_AT, decoded_properties
from tests.machine.machine_helpers import ALL, Origin, nodes, path, snapshot_bytes, value


@pytest.fixture
def origin() -> Origin:
    """Give an origin whose log stands at 1000 milliseconds."""
    return Origin()


def put_for(origin: Origin, unix: str, ttl_milliseconds: int, something: object = 1) -> None:
    origin.run(commands.put(path(unix), value(something), ttl_milliseconds=ttl_milliseconds))


def let_pass(origin: Origin, milliseconds: int) -> None:
    """Apply an entry without groups, as the leader proposes when something is due."""
    origin.time_milliseconds += milliseconds
    origin.append()


# --- expiry ---


def test_a_node_lives_until_the_first_entry_of_its_moment(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    assert origin.machine.next_expiry_milliseconds == 1500
    let_pass(origin, 499)
    assert origin.tree() == {"/a": 1}
    let_pass(origin, 1)
    assert origin.tree() == {}
    assert origin.machine.next_expiry_milliseconds is None


def test_an_entry_expires_nodes_before_its_own_commands(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    origin.time_milliseconds += 500
    with pytest.raises(NodeNotFoundError):
        origin.run(commands.update(Path("/a"), value(2)))


def test_time_that_goes_back_expires_nothing(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    let_pass(origin, -900)
    assert origin.tree() == {"/a": 1}
    assert origin.machine.next_expiry_milliseconds == 1500


def test_what_is_below_expires_with_the_node(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    origin.put("/a/b/c", 2)
    put_for(origin, "/a/b/d", 9_000)
    let_pass(origin, 500)
    assert origin.tree() == {}
    assert origin.machine.next_expiry_milliseconds is None


def test_implicit_parents_go_with_an_expired_last_child(origin: Origin) -> None:
    put_for(origin, "/a/b/c", 500)
    let_pass(origin, 500)
    assert origin.tree() == {}


def test_an_implicit_parent_can_be_given_a_time_to_live_and_stays_implicit(origin: Origin) -> None:
    origin.put("/a/b", 1)
    origin.run(commands.put(path("/a"), None, ttl_milliseconds=500))
    origin.delete("/a/b")
    assert origin.tree() == {}
    assert origin.machine.next_expiry_milliseconds is None


def test_watchers_of_an_expired_node_go_with_it(origin: Origin) -> None:
    put_for(origin, "/lease", 500)
    origin.put("/w", 1, keep_while={"/lease": IfNodeExists()})
    origin.put("/v/x", 1, keep_while={"/w": IfNodeExists()})
    let_pass(origin, 500)
    assert origin.tree() == {}


def test_expiry_can_be_what_a_watcher_waits_for(origin: Origin) -> None:
    """The watcher lives while the lease is absent, so it cannot be made before."""
    put_for(origin, "/lease", 500)
    let_pass(origin, 500)
    origin.put("/w", 1, keep_while={"/lease": IfNodeExists(exists=False)})
    assert origin.tree() == {"/w": 1}


def test_expiry_tells_changes_as_a_delete_does(origin: Origin) -> None:
    origin.machine.wants_changes = True
    put_for(origin, "/a/b", 500)
    origin.put("/a/b/c", 2)
    origin.put("/w", 1, keep_while={"/a/b": IfNodeExists()})
    origin.put("/x", 1)
    origin.time_milliseconds += 500
    origin.put("/z", 3)
    deleted = [("delete", at) for at in ("/a", "/a/b", "/a/b/c", "/w")]
    assert origin.changes() == [("update", "/"), *deleted, ("update", "/"), ("create", "/z")]


def test_a_change_says_that_a_node_expired_and_why_the_others_went(origin: Origin) -> None:
    origin.machine.wants_changes = True
    put_for(origin, "/a/b", 500)
    origin.put("/a/b/c", 2)
    origin.put("/w", 1, keep_while={"/a/b": IfNodeExists()})
    let_pass(origin, 500)
    assert origin.reasons() == {
        "/a": "keep_while",
        "/a/b": "expired",
        "/a/b/c": "expired",
        "/w": "keep_while",
    }


def test_expiry_raises_versions_as_a_delete_does(origin: Origin) -> None:
    origin.put_nothing("/a")
    put_for(origin, "/a/b", 500)
    put_for(origin, "/a/c", 400)
    assert origin.versions("/a") == (1, 3)
    let_pass(origin, 500)
    assert origin.versions("/a") == (1, 4)  # once: all that is due goes in one operation


def test_the_reason_of_a_removal_is_expired_and_that_of_its_consequences_keep_while(
    origin: Origin,
) -> None:
    put_for(origin, "/a/b", 500)
    origin.put("/w", 1, keep_while={"/a/b": IfNodeExists()})
    edit = Edit(origin.machine._working.seal(), 1500, lists_descendants=True)
    expire(edit)
    assert {at: gone.reason for at, gone in edit.deleted.items()} == {
        ("a", "b"): "expired",
        ("a",): "keep_while",
        ("w",): "keep_while",
    }


# --- what keeps and changes a time to live ---


def test_a_put_without_one_leaves_the_time_to_live(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    let_pass(origin, 300)
    origin.put("/a", 2)
    origin.run(commands.increment(Path("/a")))
    assert origin.machine.next_expiry_milliseconds == 1500


def test_a_put_with_one_begins_it_anew_and_forever_ends_it(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    let_pass(origin, 300)
    put_for(origin, "/a", 500)
    assert origin.machine.next_expiry_milliseconds == 1800
    assert origin.versions("/a") == (1, 1)
    put_for(origin, "/a", commands.FOREVER)
    assert origin.machine.next_expiry_milliseconds is None


def test_conditions_and_time_to_live_are_changed_apart(origin: Origin) -> None:
    origin.put("/k", 1)
    put_for(origin, "/a", 500)
    origin.put("/a", 1, keep_while={"/k": IfNodeExists()})
    assert origin.machine.next_expiry_milliseconds == 1500
    put_for(origin, "/a", 900)
    origin.delete("/k")
    assert origin.tree() == {}
    put_for(origin, "/b", 500)
    origin.put("/b", 1, keep_while={})
    assert origin.machine.next_expiry_milliseconds == 1500


def test_every_kind_of_put_can_give_one(origin: Origin) -> None:
    origin.run(commands.create(path("/a"), value(1), ttl_milliseconds=500))
    origin.run(commands.update(path("/a"), value(2), ttl_milliseconds=600))
    assert origin.machine.next_expiry_milliseconds == 1600
    origin.run(commands.compare_and_swap(path("/a"), 2, value(3), ttl_milliseconds=700))
    origin.put("/b", 1)
    origin.run(commands.put(path("/*"), value(5), many=True, ttl_milliseconds=800))
    let_pass(origin, 799)
    assert origin.tree() == {"/a": 5, "/b": 5}
    let_pass(origin, 1)
    assert origin.tree() == {}


def test_a_refused_put_gives_no_time_to_live(origin: Origin) -> None:
    origin.put("/a", 1)
    with pytest.raises(MismatchingNodeError):
        origin.run(commands.create(path("/a"), value(2), ttl_milliseconds=500))
    batch = commands.batch(
        [
            commands.put(path("/a"), value(1), ttl_milliseconds=500),
            commands.update(path("/no"), value(1)),
        ]
    )
    with pytest.raises(NodeNotFoundError):
        origin.run(batch)
    assert origin.machine.next_expiry_milliseconds is None


def test_a_deleted_node_forgets_its_time_to_live(origin: Origin) -> None:
    put_for(origin, "/a/b", 500)
    origin.delete("/a")
    origin.put("/a/b", 1)
    let_pass(origin, 500)
    assert origin.tree() == {"/a": None, "/a/b": 1}


def test_a_copy_expires_when_the_original_does_and_a_moved_node_too(origin: Origin) -> None:
    put_for(origin, "/a/b", 500)
    origin.run(commands.copy(Path("/a"), Path("/copy")))
    origin.run(commands.move(Path("/a"), Path("/moved")))
    assert origin.tree() == {"/copy": None, "/copy/b": 1, "/moved": None, "/moved/b": 1}
    let_pass(origin, 500)
    assert origin.tree() == {}


# --- touch ---


def test_touch_begins_the_time_to_live_anew_and_no_version_tells(origin: Origin) -> None:
    origin.machine.wants_changes = True
    put_for(origin, "/a", 500)
    let_pass(origin, 300)
    assert origin.run(commands.touch(Path("/a"))) is None
    assert origin.changes() == []
    assert origin.versions("/a") == (1, 1)
    let_pass(origin, 499)
    assert origin.tree() == {"/a": 1}
    let_pass(origin, 1)
    assert origin.tree() == {}


def test_touch_can_give_another_time_to_live_or_none(origin: Origin) -> None:
    origin.put("/a", 1)
    origin.run(commands.touch(Path("/a"), 700))
    assert origin.machine.next_expiry_milliseconds == 1700
    origin.run(commands.touch(Path("/a"), commands.FOREVER))
    assert origin.machine.next_expiry_milliseconds is None


def test_touch_may_depend_on_a_condition(origin: Origin) -> None:
    put_for(origin, "/lock", 500, "me")
    mine = path("/lock")

    origin.run(commands.touch(combine_with_conditions(mine, IfDataMatches("me"))))
    with pytest.raises(MismatchingNodeError) as error:
        origin.run(commands.touch(combine_with_conditions(mine, IfDataMatches("you"))))
    assert error.value.facts["condition"] == IfDataMatches("you")


def test_touch_of_what_is_not_there_or_does_not_expire_says_so(origin: Origin) -> None:
    with pytest.raises(NodeNotFoundError):
        origin.run(commands.touch(Path("/no")))
    origin.put("/a/b", 1)
    for unix in ("/a", "/a/b"):
        with pytest.raises(MismatchingNodeError, match="no time to live"):
            origin.run(commands.touch(Path(unix)))


def test_touch_can_tell_properties(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    assert origin.told(commands.touch(Path("/a"), returning=ALL | EXPIRES_AT)) == {
        "/a": {
            "data": 1,
            "payload_version": 1,
            "child_list_version": 1,
            "expires_at": datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC),
        }
    }


def test_the_moment_of_expiry_is_a_property(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    origin.put("/b", 1)
    root = origin.machine.view.root
    moment = datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    found = find_many(root, path("/*"))
    assert [queries.properties_of(node, EXPIRES_AT) for _, node in found] == [
        {"expires_at": moment},
        {},
    ]


def test_the_root_has_no_time_to_live(origin: Origin) -> None:
    with pytest.raises(InvalidOptionError):
        commands.put(path("/"), value(1), ttl_milliseconds=5)
    with pytest.raises(InvalidOptionError):
        commands.touch(Path("/"), 5)
    with pytest.raises(CommandFailedError):
        origin.run([commands.TOUCH, [], 5, {}])


@pytest.mark.parametrize("ttl", [-1, 1.5, "1", True, 1 << 62])
def test_a_garbled_time_to_live_fails_and_does_nothing(origin: Origin, ttl: object) -> None:
    with pytest.raises(CommandFailedError):
        origin.run([commands.PUT_MATCHING, ["a"], value(1), {commands.TTL: ttl}])
    assert origin.tree() == {}


# --- the same everywhere ---


def test_a_restored_machine_expires_the_same_nodes_at_the_same_entry(origin: Origin) -> None:
    for number in range(1200):
        put_for(origin, f"/f/n{number}", 100 + number % 50)
    origin.put("/k", 1)
    origin.run(
        commands.put(path("/w"), value(1), keep_while={"/k": IfNodeExists()}, ttl_milliseconds=120)
    )
    origin.put("/i/j", 1)
    origin.run(commands.touch(Path("/i"), 130))
    other = Machine.restore(origin.machine.snapshot_chunks())
    assert other._working.seal().watch_index == origin.machine._working.seal().watch_index
    for milliseconds in (100, 10, 10, 5, 5, 100):
        let_pass(origin, milliseconds)
        other.apply(len(origin.log), 1, origin.log[-1])
        assert snapshot_bytes(other) == snapshot_bytes(origin.machine)
        assert other.next_expiry_milliseconds == origin.machine.next_expiry_milliseconds
    assert origin.tree() == {"/k": 1}


def rechecked(bodies: list[bytes]) -> list[bytes]:
    checksum = 0
    chunks: list[bytes] = []
    for body in bodies:
        checksum = zlib.crc32(body, checksum)
        chunks.append(checksum.to_bytes(4, "big") + body)
    return chunks


def test_a_snapshot_of_format_1_is_read(origin: Origin) -> None:
    """It had no times to live: a watcher's record ends with its conditions."""
    origin.put("/k", 1)
    origin.put("/w", 1, keep_while={"/k": IfNodeExists()})
    bodies = [unpack(chunk[4:]) for chunk in origin.machine.snapshot_chunks()]
    bodies[0][0][1] = 1
    new_form = rechecked([pack(records) for records in bodies])
    with pytest.raises(DataCorruptionError):
        Machine.restore(new_form)
    old = [[it[:3] if it[0] == 3 else it for it in records] for records in bodies]
    restored = Machine.restore(rechecked([pack(records) for records in old]))
    assert snapshot_bytes(restored) == snapshot_bytes(origin.machine)


def test_a_mixed_up_expiry_in_a_snapshot_is_refused(origin: Origin) -> None:
    put_for(origin, "/a", 500)
    bodies = [unpack(chunk[4:]) for chunk in origin.machine.snapshot_chunks()]
    (record,) = [it for records in bodies for it in records if it[0] == 3]
    record[3] = "1500"
    with pytest.raises(DataCorruptionError):
        Machine.restore(rechecked([pack(records) for records in bodies]))


def test_a_hundred_thousand_leases_cost_no_more_each_than_a_thousand() -> None:
    """In references copied, which is what could grow: chunks stay short."""
    index = ExpiryIndex.of((number, (str(number),)) for number in range(100_000))
    assert max(len(chunk) for chunk in index._chunks) <= 512
    assert len(index._chunks) <= 100_000 // 64
    assert index.next_milliseconds == 0
    assert index.due(1) == [("0",), ("1",)]


moments = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdefgh")), max_size=60)


@given(moments)
def test_an_index_is_a_sorted_set_whatever_its_history(
    steps: list[tuple[int, str]],
) -> None:
    index = ExpiryIndex()
    known: set[tuple[int, tuple[str, ...]]] = set()
    for moment, name in steps:
        due = (moment, (name,))
        if due in known:
            known.remove(due)
            index = index.without_due(*due)
        else:
            known.add(due)
            index = index.with_due(*due)
        assert list(index) == sorted(known)
    assert index == ExpiryIndex.of(known)
    assert len(index) == len(known)
    assert bool(index) is bool(known)


def test_large_indexes_are_cut_and_joined() -> None:
    index = ExpiryIndex()
    dues = [(number * 7919 % 4001, (str(number),)) for number in range(4000)]
    for due in dues:
        index = index.with_due(*due)
    assert list(index) == sorted(dues)
    assert "4000" in repr(index)
    for due in dues[:3990]:
        index = index.without_due(*due)
    assert list(index) == sorted(dues[3990:])
    with pytest.raises(AssertionError):
        index.without_due(1, ("never",))


def test_sizes_hold_through_expiry(origin: Origin) -> None:
    for number in range(30):
        put_for(origin, f"/a/{number % 3}/{number}", 100 * (number % 5))
    for _ in range(6):
        let_pass(origin, 100)
        nodes(origin.machine.view.root)


def test_a_moment_beyond_the_calendar_is_the_last_there_is() -> None:
    known = decoded_properties({"expires_at": 1 << 60})
    assert known["expires_at"] == datetime.max.replace(tzinfo=UTC)
