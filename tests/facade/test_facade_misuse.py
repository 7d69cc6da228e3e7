"""Bad arguments get a named error before anything is sent, and nothing is half done."""

from __future__ import annotations

import math
import pickle
import re
import threading
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, cast

import pytest

import khepri
from khepri import ROOT, IfAll, IfHasData, IfNodeExists
from khepri.errors import (
    CommandFailedError,
    InvalidConditionError,
    InvalidOptionError,
    InvalidPathError,
    InvalidValueError,
    ManyNodesDeniedError,
    MisuseError,
    ValueTooLargeError,
    WrongTypeError,
)
from khepri.testing import memory_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def untouched(store: khepri.Store) -> Iterator[khepri.Store]:
    """A store whose log must not have grown when the test is over."""
    store.put("/here", 1)
    before = khepri.cluster.status("orders").last_index
    yield store
    assert khepri.cluster.status("orders").last_index == before
    assert store.get_many("/**") == {khepri.Path("/here"): 1}


ONE_NODE: list[Callable[[khepri.Store, Any], object]] = [
    lambda store, path: store.get(path),
    lambda store, path: store.get_or(path, None),
    lambda store, path: store.exists(path),
    lambda store, path: store.has_data(path),
    lambda store, path: store.is_sproc(path),
    lambda store, path: store.put(path, 1),
    lambda store, path: store.create(path, 1),
    lambda store, path: store.update(path, 1),
    lambda store, path: store.compare_and_swap(path, 1, 2),
    lambda store, path: store.delete(path),
    lambda store, path: store.clear_payload(path),
    lambda store, path: store.adv.get(path),
    lambda store, path: store.adv.put(path, 1),
    lambda store, path: store.adv.delete(path),
    lambda store, path: store.batch().put(path, 1),
    lambda store, path: store.batch().delete(path),
]

MANY_NODES: list[Callable[[khepri.Store, Any], object]] = [
    lambda store, path: store.get_many(path),
    lambda store, path: store.get_many_or(path, None),
    lambda store, path: store.count(path),
    lambda store, path: store.fold(path, lambda _p, _props, acc: acc, None),
    lambda store, path: store.put_many(path, 1),
    lambda store, path: store.delete_many(path),
    lambda store, path: store.clear_many_payloads(path),
    lambda store, path: store.adv.get_many(path),
    lambda store, path: store.adv.put_many(path, 1),
    lambda store, path: store.adv.delete_many(path),
]

BAD_PATHS: list[object] = [
    5,
    None,
    b"/bytes",
    object(),
    {"a": 1},
    ["a", 5],
    ["a", None],
    ["a", ["b"]],
    "/a\ud800",
    ["x" * 100_000],
    "/" + "x" * 10_000_000,
    ["a"] * 100_000,
]


def same_in_every_process(value: object) -> str:
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))[:30]


@pytest.mark.parametrize("path", BAD_PATHS, ids=same_in_every_process)
def test_what_is_no_path_is_refused_by_every_function(
    path: object, untouched: khepri.Store
) -> None:
    for call in [*ONE_NODE, *MANY_NODES]:
        with pytest.raises(InvalidPathError) as caught:
            call(untouched, path)
        assert len(str(caught.value)) < 1000


def test_a_pattern_is_refused_where_one_tree_node_is_meant(untouched: khepri.Store) -> None:
    for call in ONE_NODE:
        with pytest.raises(ManyNodesDeniedError):
            call(untouched, "/a/*")


BAD_VALUES: list[object] = [
    object(),
    {1, 2},
    2**64,
    -(2**63) - 1,
    lambda: None,
    1j,
    "\ud800",
    {object(): 1},
    [[[object()]]],
    datetime.fromisoformat("2026-01-01"),  # without time zone
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=same_in_every_process)
def test_a_value_that_cannot_be_carried_is_refused_by_every_write(
    value: object, untouched: khepri.Store
) -> None:
    for call in (
        lambda: untouched.put("/a", value),
        lambda: untouched.put_many("/*", value),
        lambda: untouched.create("/a", value),
        lambda: untouched.update("/here", value),
        lambda: untouched.compare_and_swap("/here", 1, value),
        lambda: untouched.adv.put("/a", value),
        lambda: untouched.batch().put("/a", value),
        lambda: untouched.put("/a", value, async_=True),
    ):
        with pytest.raises(InvalidValueError):
            call()


class NoZone(tzinfo):
    """A time zone that knows no offset: what it makes is no moment."""

    def utcoffset(self, _when: datetime | None) -> None:
        return None

    dst = utcoffset

    def tzname(self, _when: datetime | None) -> str:
        return "nowhere"


def test_values_that_only_look_like_ones_are_refused(untouched: khepri.Store) -> None:
    released = memoryview(b"abcd")
    released.release()
    for bad in (datetime(2020, 1, 1, tzinfo=NoZone()), memoryview(b"abcd")[::2], released):
        for value in (bad, [bad]):
            with pytest.raises(InvalidValueError):
                untouched.put("/here", value)


def test_options_that_cannot_even_be_compared_are_refused(untouched: khepri.Store) -> None:
    unhashable: Any = []
    with pytest.raises(InvalidOptionError):
        untouched.get("/here", favor=unhashable)
    with pytest.raises(InvalidOptionError):
        untouched.put("/here", 2, priority=unhashable)
    assert len(untouched.get_many("/**", limit=2**63)) == 1


def test_the_place_inside_a_bad_value_is_named(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidValueError, match=r"\['people'\]\[1\]\['born'\]"):
        untouched.put("/a", {"people": [{}, {"born": 1j}]})


def test_a_value_that_contains_itself_is_refused(untouched: khepri.Store) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(InvalidValueError):
        untouched.put("/a", cycle)


def test_a_value_above_the_limit_is_refused_with_both_sizes(untouched: khepri.Store) -> None:
    for call in (
        lambda: untouched.put("/a", b"x" * 10_000_000),
        lambda: untouched.adv.put("/a", b"x" * 10_000_000),
        lambda: untouched.put("/a", b"x" * 10_000_000, async_=True),
    ):
        with pytest.raises(ValueTooLargeError) as caught:
            call()
        assert caught.value.limit_bytes == 4 * 1024 * 1024
        assert caught.value.facts["size_bytes"] > 10_000_000


def test_a_batch_above_the_limit_is_refused_whole(untouched: khepri.Store) -> None:
    batch = untouched.batch()
    for number in range(100):
        batch.put(["big", str(number)], b"x" * 100_000)
    with pytest.raises(ValueTooLargeError):
        batch.commit()


@pytest.mark.parametrize("timeout", ["soon", b"1", [], True])
def test_a_timeout_of_the_wrong_type_is_refused(timeout: Any, untouched: khepri.Store) -> None:
    for call in (
        lambda: untouched.put("/a", 1, timeout=timeout),
        lambda: untouched.delete("/here", timeout=timeout),
        lambda: untouched.get("/here", timeout=timeout),
        lambda: untouched.fence(timeout=timeout),
        lambda: untouched.batch(timeout=timeout),
        lambda: untouched.put("/a", 1, timeout=timeout, async_=True),
    ):
        with pytest.raises(WrongTypeError):
            call()


@pytest.mark.parametrize("timeout", [-1, -0.5, math.nan])
def test_an_impossible_timeout_is_refused(timeout: float, untouched: khepri.Store) -> None:
    for call in (
        lambda: untouched.put("/a", 1, timeout=timeout),
        lambda: untouched.put("/a", 1, timeout=timeout, async_=True),
        lambda: untouched.get("/here", timeout=timeout),
        lambda: untouched.batch(timeout=timeout),
    ):
        with pytest.raises(InvalidOptionError):
            call()


def test_an_unknown_favor_is_refused(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidOptionError, match="'luck'"):
        untouched.get("/here", favor="luck")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError):
        khepri.cluster.members("orders", favor="luck")  # type: ignore[arg-type]


def test_an_unknown_option_is_a_type_error_that_names_it(untouched: khepri.Store) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: untouched.put("/a", 1, colour="red"),  # type: ignore[call-overload]
        lambda: untouched.delete("/here", colour="red"),  # type: ignore[call-overload]
        lambda: untouched.get("/here", colour="red"),  # type: ignore[call-arg]
        lambda: khepri.put("/a", 1, store_id="orders", colour="red"),  # type: ignore[call-overload]
        lambda: khepri.get("/here", store_id="orders", colour="red"),  # type: ignore[call-arg]
    )
    for call in calls:
        with pytest.raises(TypeError, match="colour"):
            call()


def test_unknown_properties_are_refused(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidOptionError, match="'colour'"):
        untouched.adv.get("/here", props_to_return=["colour"])
    with pytest.raises(WrongTypeError):
        untouched.adv.get("/here", props_to_return="payload")


@pytest.mark.parametrize(
    "given", [{"node_name": 5}, {"node_name": "a@127.0.0.1:5701", "listen": 5701}]
)
def test_a_node_whose_name_or_address_is_no_text_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(WrongTypeError, match="is a str"):
        khepri.node.start(**given, cookie=bytes(32))
    assert khepri.node.name() == "nonode@nohost"


def test_bad_keep_while_conditions_are_refused(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidConditionError):
        untouched.put("/a", 1, keep_while={"/b": 5})  # type: ignore[dict-item]
    with pytest.raises(InvalidPathError):
        untouched.put("/a", 1, keep_while={5: khepri.IfNodeExists()})
    with pytest.raises(InvalidOptionError):
        untouched.put("/", 1, keep_while={"/b": khepri.IfNodeExists()})
    with pytest.raises(MisuseError):
        untouched.put("/a", 1, keep_while=5)  # type: ignore[call-overload]


@pytest.mark.parametrize("store_id", [5, None, b"x", "", "x" * 300, "new\nline"])
def test_bad_store_ids_are_refused(store_id: Any) -> None:
    for call in (
        lambda: khepri.Store(store_id),
        lambda: khepri.start("data", store_id) if store_id is not None else khepri.Store(None),  # type: ignore[arg-type]
        lambda: khepri.stop(store_id) if store_id is not None else khepri.Store(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(MisuseError):
            call()


def test_every_misuse_is_a_value_error_or_a_type_error(untouched: khepri.Store) -> None:
    for call in (
        lambda: untouched.put(5, 1),  # type: ignore[call-overload]
        lambda: untouched.put("/a", object()),
        lambda: untouched.put("/a/*", 1),
        lambda: untouched.put("/a", 1, timeout=-1),
        lambda: untouched.put("/a", 1, timeout="1"),  # type: ignore[call-overload]
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        assert isinstance(caught.value, MisuseError)


def test_the_root_has_no_time_to_live_and_no_conditions(untouched: khepri.Store) -> None:
    lives: dict[Any, Any] = {"/a": IfNodeExists()}
    root = [IfAll(ROOT, IfHasData())]
    calls: list[Callable[[], object]] = [
        lambda: untouched.put("/", 1, ttl=5),
        lambda: untouched.touch("/"),
        lambda: untouched.touch(root, ttl=5),
        lambda: untouched.update("/", 1, ttl=5),
        lambda: untouched.update("/", 1, keep_while=lives),
        lambda: untouched.compare_and_swap("/", 1, 1, keep_while=lives),
        lambda: untouched.put(root, 1, keep_while=lives),
    ]
    for call in calls:
        with pytest.raises(InvalidOptionError, match="the root stays"):
            call()


def test_an_error_survives_a_copy_whatever_was_given_to_it(untouched: khepri.Store) -> None:
    with pytest.raises(WrongTypeError) as raised:
        untouched.put("/a", 1, ttl=cast("Any", threading.RLock()))
    raised.value.add_note("while testing")
    copied = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own bytes
    assert copied.__notes__ == ["while testing"]
    assert type(copied) is WrongTypeError
    assert str(copied) == str(raised.value)
    assert "RLock" in copied.value


def test_a_store_in_memory_wants_a_file_system_of_its_kind() -> None:
    for wrong in (5, "/tmp", 0):  # noqa: S108 - a place nobody looks at
        block = memory_store(file_system=cast("Any", wrong))
        with pytest.raises(WrongTypeError, match="file_system"), block:
            pass


def test_the_root_has_none_where_it_is_meant_beside_others(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidOptionError, match="the root stays"):
        untouched.put_many("/*", 1, include_root_props=True, ttl=5)
    with pytest.raises(InvalidOptionError, match="the root stays"):
        untouched.put_many("/*", 1, include_root_props=True, keep_while={})


def test_a_step_up_to_the_root_is_told_in_words() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        with pytest.raises(CommandFailedError, match=r"the root has no .* time to live"):
            store.put_many("/*/..", 2, ttl=5)
        assert store.get("/") is None


def test_an_option_error_names_the_argument_and_its_value(untouched: khepri.Store) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        untouched.copy("/a", "/a/b")
    assert (caught.value.option, caught.value.value) == ("new_path", khepri.Path("/a/b"))
    with pytest.raises(InvalidOptionError) as caught:
        untouched.move("/", "/a")
    assert (caught.value.option, caught.value.value) == ("path", khepri.Path("/"))
    with pytest.raises(InvalidOptionError) as caught:
        untouched.put("/", 1, ttl=5)
    assert (caught.value.option, caught.value.value) == ("ttl", 5)
