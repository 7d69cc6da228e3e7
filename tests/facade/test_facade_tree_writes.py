"""The writes beyond Khepri's, through a real store: counters, copies, moves, times to live."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors.low_priority import SHARE_COMMANDS
from khepri.actors.server_messages import AskCore
from khepri.errors import (
    CommandFailedError,
    InvalidOptionError,
    InvalidPathError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    NotAMemberError,
    WrongTypeError,
)
from khepri.raft.events import TimePassed
from khepri.raft.types import UNDISTRIBUTED
from khepri.testing.local_cluster import LocalCluster
from khepri.testing.memory_store import memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[khepri.Store]:
    with memory_store("orders") as store:
        yield store


@pytest.fixture
def tree(shared: khepri.Store) -> khepri.Store:
    """Give an empty store."""
    shared.delete("/")
    return shared


# --- increment


def test_increment_gives_the_new_number(tree: khepri.Store) -> None:
    assert tree.increment("/c/hits") == 1
    assert tree.increment("/c/hits", 41) == 42
    assert tree.increment("/c/hits", -2) == 40
    assert tree.increment("/c/hits", async_=True).get(timeout=10) == 41
    assert tree.get("/c/hits") == 41


def test_increments_of_many_threads_are_all_counted(tree: khepri.Store) -> None:
    def count() -> None:
        for _ in range(50):
            tree.increment("/hits")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tree.get("/hits") == 400


def test_only_whole_numbers_are_counted(tree: khepri.Store) -> None:
    tree.put("/c", "text")
    with pytest.raises(khepri.MismatchingNodeError) as error:
        tree.increment("/c")
    assert error.value.condition == khepri.IfDataMatches(int)
    with pytest.raises(InvalidOptionError):
        tree.increment("/c", 1.5)  # type: ignore[call-overload]
    with pytest.raises(ManyNodesDeniedError):
        tree.increment("/*")
    with pytest.raises(InvalidPathError):
        tree.increment([khepri.IfAll("c", khepri.IfHasData())])
    tree.put("/big", 2**64 - 1)
    with pytest.raises(CommandFailedError):
        tree.increment("/big")


# --- copy and move


def test_copy_and_move_take_everything_below_along(tree: khepri.Store) -> None:
    tree.put("/a/b/c", 1)
    tree.copy("/a", "/x/y")
    assert tree.get_many("/x/**") == {
        khepri.Path("/x/y"): None,
        khepri.Path("/x/y/b"): None,
        khepri.Path("/x/y/b/c"): 1,
    }
    tree.move("/a/b", "/z")
    assert not tree.exists("/a")
    assert tree.get("/z/c") == 1
    tree.move("/z", "/y", async_=True).get(timeout=10)
    assert tree.get("/y/c") == 1


def test_copy_and_move_say_what_stands_in_the_way(tree: khepri.Store) -> None:
    tree.put("/a", 1)
    tree.put("/b", 2)
    with pytest.raises(khepri.MismatchingNodeError):
        tree.move("/a", "/b")
    with pytest.raises(khepri.NodeNotFoundError):
        tree.copy("/no", "/c")
    with pytest.raises(InvalidOptionError):
        tree.copy("/a", "/a/below")
    with pytest.raises(InvalidOptionError):
        tree.move("/", "/a")


# --- times to live


def test_a_tree_node_goes_by_itself_when_its_time_is_over(tree: khepri.Store) -> None:
    """Nobody writes: the leader moves the log's time along."""
    tree.put("/session/data", 1, ttl=0.05)
    tree.put("/watcher", 1, keep_while={"/session/data": khepri.IfNodeExists()})
    eventually(tree.is_empty, "the expiry")


def test_touch_keeps_a_tree_node_alive(tree: khepri.Store) -> None:
    tree.put("/lease", "me", ttl=60)
    first = tree.adv.get("/lease", props_to_return=["expires_at"])["expires_at"]
    assert first.tzinfo is UTC
    assert abs(first - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)
    tree.touch("/lease", ttl=120)
    tree.touch(["lease", khepri.IfAll(khepri.THIS, khepri.IfDataMatches("me"))])
    later = tree.adv.get("/lease", props_to_return=["expires_at"])["expires_at"]
    assert later - first >= timedelta(seconds=59)
    tree.touch("/lease", ttl=math.inf)
    assert tree.adv.get("/lease", props_to_return=["expires_at"]) == {}
    with pytest.raises(khepri.MismatchingNodeError, match="no time to live"):
        tree.touch("/lease")
    with pytest.raises(khepri.NodeNotFoundError):
        tree.touch("/gone", async_=True).get(timeout=10)


def test_a_lock_is_renewed_by_its_owner_alone(tree: khepri.Store) -> None:
    tree.create("/locks/printer", "me", ttl=60)
    with pytest.raises(khepri.MismatchingNodeError):
        tree.create("/locks/printer", "you", ttl=60)
    with pytest.raises(khepri.MismatchingNodeError):
        tree.touch(["locks", khepri.IfAll("printer", khepri.IfDataMatches("you"))])
    tree.touch(["locks", khepri.IfAll("printer", khepri.IfDataMatches("me"))])


@pytest.mark.parametrize("ttl", [0, -1, math.nan, -math.inf, 1e12])
def test_an_impossible_time_to_live_is_refused(tree: khepri.Store, ttl: float) -> None:
    with pytest.raises(InvalidOptionError) as error:
        tree.put("/a", 1, ttl=ttl)
    assert error.value.option == "ttl"
    with pytest.raises(InvalidOptionError):
        tree.touch("/a", ttl=ttl)


def test_a_time_to_live_is_a_number(tree: khepri.Store) -> None:
    wrong: list[Any] = ["1", True, [1]]
    for ttl in wrong:
        with pytest.raises(WrongTypeError):
            tree.put("/a", 1, ttl=ttl)


def test_a_time_to_live_survives_a_restart(tmp_path: object) -> None:
    with khepri.open(f"{tmp_path}/data", "orders") as store:
        store.put("/short", 1, ttl=0.3)
        store.put("/long", 1, ttl=600)
    with khepri.open(f"{tmp_path}/data", "orders") as store:
        eventually(lambda: not store.exists("/short"), "the expiry")
        assert store.exists("/long")


def test_every_member_expires_and_a_follower_writes_as_well() -> None:
    with LocalCluster(3) as cluster:
        follower = next(n for n in range(3) if n != cluster.leader())
        store = cluster.store(follower)
        store.put("/lease", 1, ttl=0.2)
        assert store.increment("/hits") == 1
        for number in range(3):
            member = cluster.store(number)
            eventually(lambda: not member.exists("/lease"), "the expiry")  # noqa: B023
        place = store.view()
        there = khepri.applied(place.index, place.term)
        for number in range(3):
            assert cluster.store(number).get("/hits", condition=there) == 1


# --- with properties, and in batches


def test_the_advanced_functions_tell_what_was_and_what_went(tree: khepri.Store) -> None:
    tree.put("/n", 5)
    assert tree.adv.increment("/n", 2) == {khepri.Path("/n"): {"data": 5, "payload_version": 2}}
    assert tree.adv.increment("/new") == {khepri.Path("/new"): {"payload_version": 1}}
    tree.put("/a/b", 1)
    assert tree.adv.copy("/a", "/c") == {khepri.Path("/c"): {"payload_version": 1}}
    assert tree.adv.move("/a/b", "/d") == {
        khepri.Path("/a"): {"payload_version": 1, "delete_reason": "keep_while"},
        khepri.Path("/a/b"): {"data": 1, "payload_version": 1, "delete_reason": "explicit"},
        khepri.Path("/d"): {"payload_version": 1},
    }
    assert khepri.Path("/c/b") not in tree.adv.move(
        "/d", "/e", props_to_return=["payload"], return_indirect_deletes=False
    )
    told = tree.adv.touch("/e", ttl=60, props_to_return=["payload", "expires_at"])
    assert told[khepri.Path("/e")]["data"] == 1
    assert told[khepri.Path("/e")]["expires_at"] > datetime.now(UTC)


def test_a_batch_gives_what_its_operations_give(tree: khepri.Store) -> None:
    batch = tree.batch()
    batch.put("/a", 1, ttl=60)
    batch.increment("/n", 3)
    batch.copy("/a", "/b")
    batch.move("/b", "/c")
    batch.touch("/c", ttl=30)
    batch.increment("/n")
    batch.put_many("/*", 0, ttl=math.inf)
    batch.clear_many_payloads("/*")
    assert batch.commit() == [None, 3, None, None, None, 4, None, None]
    assert tree.get_many("/*") == dict.fromkeys(map(khepri.Path, ("/a", "/c", "/n")))
    with tree.batch() as silent:
        silent.put("/a", 2)
        silent.delete("/c")
    later = tree.batch()
    later.increment("/n", 2)
    assert later.commit(async_=True).get(timeout=10) == [2]
    plain = tree.batch()
    plain.put("/p", 1)
    assert plain.commit() == [None]


def test_the_module_functions_are_those_of_the_default_store() -> None:
    khepri.start()
    before = khepri.view()
    assert khepri.increment("/n", 2) == 2
    assert khepri.increment("/n", async_=True).get(timeout=10) == 3
    khepri.copy("/n", "/m")
    khepri.move("/m", "/o")
    khepri.copy("/o", "/p", async_=True).get(timeout=10)
    khepri.move("/p", "/q", async_=True).get(timeout=10)
    khepri.touch("/n", ttl=60)
    khepri.touch("/n", async_=True).get(timeout=10)
    assert [str(it.path) for it in khepri.diff("/", before)] == ["/", "/n", "/o", "/q"]
    assert set(khepri.adv.increment("/n")) == set(khepri.adv.touch("/n")) == {khepri.Path("/n")}
    assert set(khepri.adv.copy("/n", "/r")) == {khepri.Path("/r")}
    assert set(khepri.adv.move("/r", "/s")) == {khepri.Path("/r"), khepri.Path("/s")}


# --- options


def test_a_lone_member_answers_in_whoever_s_name_it_is_asked(tree: khepri.Store) -> None:
    here = khepri.ServerId("orders", UNDISTRIBUTED)
    names: list[str | khepri.ServerId] = ["local", "leader", UNDISTRIBUTED, here]
    for number, itself in enumerate(names):
        tree.put("/a", number, reply_from=itself)
        assert tree.get("/a") == number
        assert tree.increment("/n", reply_from=itself, async_=True).get(timeout=10) == number + 1


def test_only_a_member_can_answer(tree: khepri.Store) -> None:
    tree.put("/a", 1)
    writes: list[Callable[..., object]] = [
        partial(tree.put, "/a", 2),
        partial(tree.put, "/a", 2, async_=True),
        partial(tree.adv.delete, "/a"),
        partial(tree.increment, "/n"),
    ]
    for write in writes:
        for nobody in ("", khepri.ServerId("another", UNDISTRIBUTED)):
            with pytest.raises(InvalidOptionError) as error:
                write(reply_from=nobody)
            assert error.value.option == "reply_from"
        for wrong in (None, 5, b"leader", ("member", here_of(tree))):
            with pytest.raises(WrongTypeError) as wrong_type:
                write(reply_from=wrong)
            assert wrong_type.value.option == "reply_from"
        with pytest.raises(NotAMemberError):
            write(reply_from="another@127.0.0.1:5701")
    assert tree.get_many("/*") == {khepri.Path("/a"): 1}


def here_of(store: khepri.Store) -> khepri.ServerId:
    return khepri.ServerId(store.store_id, UNDISTRIBUTED)


def test_a_write_of_low_priority_is_a_write(tree: khepri.Store) -> None:
    tree.put("/a", 1, priority="low")
    assert tree.get("/a") == 1
    assert tree.increment("/n", 2, priority="low", async_=True).get(timeout=10) == 2
    tree.delete("/a", priority="normal")
    with tree.batch(priority="low") as batch:
        batch.put("/b", 1)
    assert set(tree.adv.put("/b", 2, priority="low")) == {khepri.Path("/b")}
    with pytest.raises(MismatchingNodeError):
        tree.create("/b", 3, priority="low")
    for wrong in ("high", "", None, 0):
        unknown: Any = {"priority": wrong}
        for write in (tree.put, tree.adv.put, tree.increment):
            with pytest.raises(InvalidOptionError, match="priority"):
                write("/c", 1, **unknown)
    assert not tree.exists("/c")


def test_a_normal_write_overtakes_all_low_ones_but_a_share(tree: khepri.Store) -> None:
    server = tree._get_node().access("orders").server
    assert server is not None
    reached, gate = threading.Event(), threading.Event()

    def wait(_ticket: object) -> TimePassed:
        reached.set()
        assert gate.wait(20)
        return TimePassed()

    server.cast(AskCore(wait))  # all of the following is found in the mailbox together
    assert reached.wait(20)
    done: list[str] = []
    low = [
        tree.put(f"/low/{number}", number, priority="low", async_=True)
        for number in range(10 * SHARE_COMMANDS)
    ]
    normal = tree.put("/normal", 1, async_=True)
    names = {id(future): str(number) for number, future in enumerate(low)} | {id(normal): "normal"}
    for future in (*low, normal):
        future.add_done_callback(lambda future: done.append(names[id(future)]))
    gate.set()
    for future in (normal, *low):
        future.get(timeout=20)
    assert done[0] == "normal"
    assert done[1:] == [str(number) for number in range(10 * SHARE_COMMANDS)]


def test_a_fence_does_not_wait_for_low_priority(tree: khepri.Store) -> None:
    low = [
        tree.put(f"/low/{number}", number, priority="low", async_=True)
        for number in range(SHARE_COMMANDS * 3)
    ]
    tree.fence()
    low[-1].get(timeout=20)
    assert tree.count("/low/*") == SHARE_COMMANDS * 3


@pytest.mark.parametrize("option", ["protect_against_dups", "correlation", "asynch", "prio"])
def test_an_option_that_does_not_exist_is_no_silent_wish(tree: khepri.Store, option: str) -> None:
    unknown: Any = {option: True}
    writes: list[Callable[..., object]] = [tree.put, tree.adv.put, tree.increment]
    for write in writes:
        with pytest.raises(TypeError, match=option):
            write("/a", 1, **unknown)
    assert not tree.exists("/a")


def test_writes_to_many_can_mean_the_root_too(tree: khepri.Store) -> None:
    tree.put("/a", 1)
    tree.put_many("/*", 2, include_root_props=True)
    assert tree.get_many("/*", include_root_props=True) == {
        khepri.Path(): 2,
        khepri.Path("/a"): 2,
    }
    tree.clear_many_payloads("/*", include_root_props=True)
    assert tree.get("/") is None
    tree.delete_many("/*", include_root_props=True)
    assert tree.is_empty()
