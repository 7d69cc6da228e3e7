"""Transactions: a function reads and writes as if nobody else did, or nothing happens."""

from __future__ import annotations

import asyncio
import threading
from _thread import interrupt_main
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import khepri
from khepri import (
    IfAll,
    IfChildListLength,
    IfDataMatches,
    IfNameMatches,
    IfNodeExists,
    IfPayloadVersion,
    aio,
)
from khepri.errors import (
    CommandFailedError,
    InvalidOptionError,
    KeepWhileConditionsNotMetError,
    KhepriError,
    KhepriTimeoutError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
    NoSuchServerError,
    ValueTooLargeError,
    WrongTypeError,
)
from khepri.testing import memory_store
from tests.facade.facade_helpers import standing_still

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.types import Transaction

Step = tuple[str, tuple[Any, ...], dict[str, Any]]


class Disturbed:
    """A function that is disturbed by somebody else during its first run, and counts its runs."""

    def __init__(
        self, function: Callable[[Transaction], object], disturb: Callable[[], object]
    ) -> None:
        self.function = function
        self.disturb = disturb
        self.runs = 0

    def __call__(self, transaction: Transaction) -> object:
        self.runs += 1
        result = self.function(transaction)
        if self.runs == 1:
            self.disturb()
        return result


@pytest.fixture
def stock(store: khepri.Store) -> khepri.Store:
    """Give a store with /stock/oak (156), /stock/maple (24) and /stock/empty without data."""
    store.put("/stock/oak", 156)
    store.put("/stock/maple", 24)
    store.put("/stock/empty/box", 1)
    return store


# --- one caller


def test_a_transaction_gives_what_its_function_gives(stock: khepri.Store) -> None:
    def move(transaction: Transaction) -> int:
        oak, maple = transaction.get("/stock/oak"), transaction.get("/stock/maple")
        transaction.put("/stock/oak", oak - 6)
        transaction.put("/stock/maple", maple + 6)
        return int(oak) - 6

    assert stock.transaction(move) == 150
    assert stock.get_many("/stock/*") == {
        khepri.Path("/stock/empty"): None,
        khepri.Path("/stock/maple"): 30,
        khepri.Path("/stock/oak"): 150,
    }


def test_it_sees_its_own_writes_and_what_follows_from_them(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> None:
        transaction.put("/offer", 1, keep_while={"/stock/oak": IfNodeExists()})
        transaction.put("/stock/oak", "gone soon")
        assert transaction.get("/stock/oak") == "gone soon"
        assert transaction.count("/**") == 6
        transaction.delete("/stock/oak")
        assert not transaction.exists("/offer")
        transaction.delete("/stock/empty/box")
        assert not transaction.exists("/stock/empty")

    stock.transaction(function)
    assert [*stock.get_many("/**")] == [khepri.Path("/stock"), khepri.Path("/stock/maple")]


def test_nobody_sees_its_writes_before_its_end(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> None:
        transaction.put("/stock/oak", 1)
        assert stock.get("/stock/oak") == 156

    stock.transaction(function)
    assert stock.get("/stock/oak") == 1


def test_its_writes_are_one_entry_of_the_log(stock: khepri.Store) -> None:
    before = stock.view()

    def function(transaction: Transaction) -> None:
        for number in range(100):
            transaction.put(f"/numbers/{number}", number)

    stock.transaction(function)
    assert stock.view().index == before.index + 1


def test_an_exception_in_the_function_leaves_everything_as_it_was(stock: khepri.Store) -> None:
    before = stock.view()

    def function(transaction: Transaction) -> None:
        transaction.delete("/stock")
        raise LookupError("not enough")

    with pytest.raises(LookupError, match="not enough"):
        stock.transaction(function)
    assert stock.view().index == before.index
    assert not stock.diff("/", since=before)


def test_one_that_only_reads_sends_nothing(stock: khepri.Store) -> None:
    before = stock.view()
    total = stock.transaction(lambda transaction: sum(transaction.get_many("/stock/o*").values()))
    assert total == 156
    assert stock.view().index == before.index


def test_what_cannot_be_done_is_raised_at_once_and_may_be_caught(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> str:
        try:
            transaction.create("/stock/oak", 1)
        except MismatchingNodeError as error:
            transaction.update("/stock/oak", 2)
            return str(error)
        raise AssertionError

    assert "/stock/oak" in stock.transaction(function)
    assert stock.get("/stock/oak") == 2


ERRORS: list[tuple[Callable[[Transaction], object], type[KhepriError]]] = [
    (lambda tx: tx.get("/missing"), NodeNotFoundError),
    (lambda tx: tx.get(["stock", IfAll("oak", IfPayloadVersion(7))]), MismatchingNodeError),
    (lambda tx: tx.get_many("/gone", expect_specific_node=True), NodeNotFoundError),
    (lambda tx: tx.update("/missing", 1), NodeNotFoundError),
    (lambda tx: tx.compare_and_swap("/stock/oak", 1, 2), MismatchingNodeError),
    (lambda tx: tx.require("/missing"), NodeNotFoundError),
    (lambda tx: tx.copy("/missing", "/elsewhere"), NodeNotFoundError),
    (lambda tx: tx.move("/stock/oak", "/stock/maple"), MismatchingNodeError),
    (lambda tx: tx.touch("/stock/oak"), MismatchingNodeError),
    (
        lambda tx: tx.put("/a", 1, keep_while={"/missing": IfNodeExists()}),
        KeepWhileConditionsNotMetError,
    ),
    (lambda tx: [tx.increment("/b", 2**63 - 1) for _ in range(3)], CommandFailedError),
    (lambda tx: tx.get("/*"), ManyNodesDeniedError),
    (lambda tx: tx.get("/stock", timeout=1), InvalidOptionError),
    (lambda tx: tx.get("/stock", favor="consistency"), InvalidOptionError),
    (lambda tx: tx.foreach("/*", print, props_to_return=["expires_at"]), InvalidOptionError),
    (lambda tx: tx.put("/a", object()), MisuseError),
]


@pytest.mark.parametrize(
    ("call", "error"),
    ERRORS,
)
def test_errors_are_those_of_the_store(
    stock: khepri.Store, call: Callable[[Transaction], object], error: type[KhepriError]
) -> None:
    before = stock.view()
    with pytest.raises(error):
        stock.transaction(call)
    assert not stock.diff("/", since=before)


def test_names_of_properties_may_come_from_an_iterator(stock: khepri.Store) -> None:
    names = ["payload"]
    found = stock.transaction(
        lambda tx: [
            tx.map("/stock/oak", lambda _, seen: seen["data"], props_to_return=iter(names)),
            tx.filter("/stock/oak", lambda _, seen: "data" in seen, props_to_return=iter(names)),
        ]
    )
    assert found == [{khepri.Path("/stock/oak"): 156}] * 2


def test_it_is_of_no_use_after_its_function(stock: khepri.Store) -> None:
    kept: list[Transaction] = []
    stock.transaction(kept.append)
    for call in (
        lambda: kept[0].get("/stock/oak"),
        lambda: kept[0].put("/stock/oak", 1),
        lambda: kept[0].create("/stock/oak", 1),
        lambda: kept[0].count("/**"),
    ):
        with pytest.raises(MisuseError, match="has ended"):
            call()
    assert stock.get("/stock/oak") == 156


def test_it_shows_what_it_is(stock: khepri.Store) -> None:
    shown = stock.transaction(lambda tx: [repr(tx), tx.increment("/a"), repr(tx)])
    assert shown == [
        "<transaction on 'orders' with 0 writes>",
        1,
        "<transaction on 'orders' with 1 writes>",
    ]


def test_misuse_is_told_before_anything_runs(stock: khepri.Store) -> None:
    async def awaited(_: Transaction) -> None:
        """Do nothing."""

    with pytest.raises(WrongTypeError, match="awaited"):
        stock.transaction(awaited)  # type: ignore[unused-coroutine]
    with pytest.raises(WrongTypeError):
        stock.transaction(5)  # type: ignore[call-overload]
    with pytest.raises(WrongTypeError, match="args"):
        stock.transaction(print, "ab")
    with pytest.raises(ManyNodesDeniedError):
        stock.transaction("/stock/*")
    with pytest.raises(WrongTypeError, match="priority"):
        stock.transaction(print, priority="low")  # type: ignore[call-overload]
    with pytest.raises(InvalidOptionError, match="favor"):
        stock.transaction(print, favor="speed")  # type: ignore[call-overload]
    with pytest.raises(InvalidOptionError, match="timeout"):
        stock.transaction(print, timeout=-1)
    with pytest.raises(NoSuchServerError):
        khepri.Store("nowhere").transaction(print)


def test_what_is_too_large_as_one_command_is_refused(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> None:
        for number in range(5):
            transaction.put(f"/large/{number}", bytes(1 << 20))

    with pytest.raises(ValueTooLargeError):
        stock.transaction(function)
    assert not stock.exists("/large")


# --- others write meanwhile


READS: dict[str, Callable[[Transaction], object]] = {
    "get": lambda tx: tx.get("/stock/oak"),
    "get with a condition": lambda tx: tx.get(["stock", IfAll("oak", IfDataMatches(156))]),
    "get_or": lambda tx: tx.get_or("/stock/oak", 0),
    "get_many": lambda tx: tx.get_many("/stock/*"),
    "get_many_or": lambda tx: tx.get_many_or("/stock/o*", 0),
    "fold": lambda tx: tx.fold("/stock/**", lambda _path, _properties, seen: seen, 0),
    "foreach": lambda tx: tx.foreach("/stock/oak", lambda _path, _properties: None),
    "map": lambda tx: tx.map("/stock/*", lambda _path, properties: properties.get("data")),
    "filter": lambda tx: tx.filter(
        "/stock/*", lambda _path, _properties: True, props_to_return=()
    ),
    "increment": lambda tx: tx.increment("/stock/oak"),
}
"""Reads that see the data of /stock/oak."""


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_it_runs_again_if_what_it_has_read_is_another_one_by_then(
    stock: khepri.Store, read: Callable[[Transaction], object]
) -> None:
    def function(transaction: Transaction) -> object:
        try:
            return read(transaction)
        except KhepriError as error:
            return error
        finally:
            transaction.put("/done", 1)

    disturbed = Disturbed(function, lambda: stock.put("/stock/oak", 7))
    stock.transaction(disturbed)
    assert disturbed.runs == 2
    assert stock.get("/done") == 1


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_others_do_elsewhere_does_not_disturb_it(
    stock: khepri.Store, read: Callable[[Transaction], object]
) -> None:
    def function(transaction: Transaction) -> None:
        read(transaction)
        transaction.put("/done", 1)

    disturbed = Disturbed(function, lambda: stock.put("/elsewhere/oak", 7))
    stock.transaction(disturbed)
    assert disturbed.runs == 1


LOOKS: list[tuple[Callable[[Transaction], object], Callable[[khepri.Store], object]]] = [
    (lambda tx: tx.exists("/new"), lambda store: store.put("/new", 1)),
    (lambda tx: tx.exists("/stock/oak"), lambda store: store.delete("/stock/oak")),
    (lambda tx: tx.has_data("/stock/empty"), lambda store: store.put("/stock/empty", 1)),
    (lambda tx: tx.is_sproc("/stock/oak"), lambda store: store.delete("/stock/oak")),
    (lambda tx: tx.count("/stock/*"), lambda store: store.put("/stock/ash", 1)),
    (lambda tx: tx.count("/stock/**"), lambda store: store.put("/stock/a/b/c", 1)),
    (lambda tx: tx.is_empty(), lambda store: store.put("/new", 1)),
    (
        lambda tx: tx.get_many([IfNodeExists()], include_root_props=True),
        lambda store: store.put("/", "data of the root"),
    ),
    (lambda tx: tx.get_many("/stock/z*"), lambda store: store.put("/stock/zebra", 1)),
    (
        lambda tx: tx.exists([IfAll("stock", IfChildListLength(3))]),
        lambda store: store.put("/stock/ash", 1),
    ),
]


@pytest.mark.parametrize(
    ("look", "disturb"),
    LOOKS,
)
def test_it_runs_again_if_something_has_come_or_gone(
    stock: khepri.Store,
    look: Callable[[Transaction], object],
    disturb: Callable[[khepri.Store], object],
) -> None:
    seen: list[object] = []

    def function(transaction: Transaction) -> None:
        seen.append(look(transaction))
        transaction.put("/done", 1)

    disturbed = Disturbed(function, lambda: disturb(stock))
    stock.transaction(disturbed)
    assert disturbed.runs == 2
    assert len(seen) == 2


ATTEMPTS: list[tuple[Callable[[Transaction], object], Callable[[khepri.Store], object]]] = [
    (lambda tx: tx.create("/stock/oak", 1), lambda store: store.delete("/stock/oak")),
    (lambda tx: tx.update("/new", 1), lambda store: store.put("/new", 1)),
    (lambda tx: tx.get("/new/below"), lambda store: store.put("/new/below", 1)),
    (lambda tx: tx.compare_and_swap("/stock/oak", 1, 2), lambda s: s.put("/stock/oak", 1)),
    (
        lambda tx: tx.put("/a", 1, keep_while={"/new": IfNodeExists()}),
        lambda store: store.put("/new", 1),
    ),
    (lambda tx: tx.touch("/stock/oak"), lambda store: store.touch("/stock/oak", ttl=100)),
    (lambda tx: tx.increment("/largest"), lambda store: store.put("/largest", 1)),
    (lambda tx: tx.copy("/deep", "/a/b/c"), lambda store: store.delete("/deep/d")),
    # How far it came is told too.
    (lambda tx: tx.get("/stock/new/below"), lambda store: store.delete("/stock")),
    (
        lambda tx: tx.get(["stock", IfAll("oak", IfDataMatches(156)), "new"]),
        lambda store: store.put("/stock/oak", 1),
    ),
    (
        lambda tx: tx.put_many(["stock", IfNameMatches("oak"), IfAll("new", IfNodeExists())], 1),
        lambda store: store.delete("/stock/oak"),
    ),
]


@pytest.mark.parametrize(
    ("attempt", "disturb"),
    ATTEMPTS,
)
def test_an_error_that_was_caught_counts_as_read(
    stock: khepri.Store,
    attempt: Callable[[Transaction], object],
    disturb: Callable[[khepri.Store], object],
) -> None:
    stock.put("/largest", 2**64 - 1)
    stock.put(["deep", *["d"] * 1022], 1)
    failures: list[str] = []

    def function(transaction: Transaction) -> None:
        try:
            attempt(transaction)
        except KhepriError as error:
            failures.append(str(error))
        transaction.put("/done", 1)

    disturbed = Disturbed(function, lambda: disturb(stock))
    stock.transaction(disturbed)
    assert disturbed.runs == 2
    assert len(failures) == len(set(failures))


def test_an_error_that_the_function_makes_itself_stays_what_it_is(stock: khepri.Store) -> None:
    def give_up(path: khepri.Path, _properties: object) -> None:
        raise NodeNotFoundError(f"nothing is good about {path}")

    with pytest.raises(NodeNotFoundError, match="nothing is good"):
        stock.transaction(lambda tx: tx.foreach("/stock/oak", give_up))


def test_a_write_that_is_no_longer_possible_lets_it_run_again(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> str:
        try:
            transaction.create("/lock", "mine")
        except MismatchingNodeError:
            return "taken"
        return "mine"

    disturbed = Disturbed(function, lambda: stock.put("/lock", "theirs"))
    assert stock.transaction(disturbed) == "taken"
    assert stock.get("/lock") == "theirs"


def test_a_number_that_ends_its_own_tree_node_is_given_all_the_same(store: khepri.Store) -> None:
    last = {"/lives": IfDataMatches(1)}
    store.create("/lives", 1, keep_while=last)
    assert store.increment("/lives") == 2
    store.create("/lives", 1, keep_while=last)
    assert store.transaction(lambda tx: [tx.increment("/lives"), tx.exists("/lives")]) == [2, 0]


def test_a_read_of_what_it_wrote_itself_rests_on_what_was_there_before(
    stock: khepri.Store,
) -> None:
    def function(transaction: Transaction) -> object:
        transaction.put_many("/stock/*", 0)
        return transaction.count("/stock/*")

    disturbed = Disturbed(function, lambda: stock.put("/stock/ash", 1))
    assert stock.transaction(disturbed) == 4
    assert stock.get("/stock/ash") == 0


def test_what_has_expired_meanwhile_is_not_there_when_it_counts(store: khepri.Store) -> None:
    store.put("/lock", "held", ttl=0.3)
    gone = threading.Event()

    def function(transaction: Transaction) -> bool:
        held = transaction.exists("/lock")
        if held:
            gone.wait(0.5)  # longer than it lives
        transaction.put("/seen", held)
        return held

    assert store.transaction(function) is False
    assert store.get("/seen") is False


def test_who_is_always_behind_gives_up_at_the_end_of_the_time(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> None:
        transaction.put("/never", transaction.get("/stock/oak"))
        if stock.increment("/stock/oak") > 158:
            threading.Event().wait(1.0)  # until the time is over

    with pytest.raises(KhepriTimeoutError, match="others were always ahead") as caught:
        stock.transaction(function, timeout=1.0)
    assert caught.value.facts["outcome"] == "not_applied"
    assert not stock.exists("/never")


def test_a_function_that_takes_too_long_writes_nothing(stock: khepri.Store) -> None:
    def function(transaction: Transaction) -> None:
        transaction.put("/never", 1)
        threading.Event().wait(0.2)

    with pytest.raises(KhepriTimeoutError, match="its function took longer") as caught:
        stock.transaction(function, timeout=0.1)
    assert caught.value.facts["outcome"] == "not_applied"
    assert not stock.exists("/never")


def test_a_write_that_is_not_answered_in_time_may_be_done_or_not(stock: khepri.Store) -> None:
    with standing_still(stock), pytest.raises(KhepriTimeoutError, match=r"within 0\.2") as caught:
        stock.transaction(lambda tx: tx.increment("/stock/oak"), timeout=0.2)
    assert caught.value.facts["outcome"] in {"unknown", "not_applied"}


def test_many_threads_count_together_and_none_is_lost(store: khepri.Store) -> None:
    def count(transaction: Transaction) -> None:
        transaction.put("/count", transaction.get_or("/count", 0) + 1)

    def work() -> None:
        for _ in range(25):
            store.transaction(count)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("/count") == 200


def test_a_transaction_inside_of_another_one_waits_for_no_turn_of_its_own(
    stock: khepri.Store,
) -> None:
    def inner(transaction: Transaction) -> None:
        transaction.put("/inner", transaction.get_or("/inner", 0) + 1)

    def outer(transaction: Transaction) -> None:
        seen = transaction.get("/stock/oak")
        stock.transaction(Disturbed(inner, lambda: stock.increment("/inner")), timeout=5)
        transaction.put("/outer", seen)

    stock.transaction(Disturbed(outer, lambda: stock.put("/stock/oak", 1)))
    assert stock.get("/outer") == 1


@pytest.mark.usefixtures("interruptible")
def test_who_is_interrupted_while_it_waits_for_its_turn_takes_no_turn_along(
    stock: khepri.Store,
) -> None:
    has_turn, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def copy(transaction: Transaction) -> None:
        transaction.put("/copy", transaction.get("/stock/oak"))

    def copy_slowly(transaction: Transaction) -> None:
        copy(transaction)
        runs.append(1)
        if len(runs) == 2:
            has_turn.set()
            go_on.wait(10)

    def disturb() -> None:
        stock.increment("/stock/oak")

    def run(function: Callable[[Transaction], None]) -> threading.Thread:
        thread = threading.Thread(
            target=stock.transaction, args=(Disturbed(function, disturb),), kwargs={"timeout": 10}
        )
        thread.start()
        return thread

    slow = run(copy_slowly)
    assert has_turn.wait(10)
    interrupt = threading.Timer(0.1, interrupt_main)
    leave = threading.Timer(0.3, go_on.set)
    interrupt.start()
    leave.start()
    with pytest.raises(KeyboardInterrupt):
        stock.transaction(Disturbed(copy, disturb), timeout=10)
    slow.join()
    last = run(copy)
    last.join(5)
    assert not last.is_alive()


def test_many_tasks_count_together_and_few_runs_are_in_vain(stock: khepri.Store) -> None:
    runs = 0

    def count(transaction: Transaction) -> None:
        nonlocal runs
        runs += 1
        transaction.put("/count", transaction.get_or("/count", 0) + 1)

    async def main() -> None:
        twin = aio.Store(stock.store_id)
        await asyncio.gather(*(twin.transaction(count) for _ in range(100)))

    asyncio.run(main())
    assert stock.get("/count") == 100
    assert runs < 300  # without turns some 5,000


# --- the same as without


NAMES = st.sampled_from(["/a", "/b", "/a/b", "/a/b/c", "/c/d"])
PATTERNS = st.sampled_from(["/*", "/**", "/a/*", "/a/b", "/c/**"])
VALUES = st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["get", "exists", "has_data", "delete", "clear_payload"]), NAMES),
    st.tuples(st.sampled_from(["put", "create", "update", "increment", "get_or"]), NAMES, VALUES),
    st.tuples(
        st.sampled_from(["get_many", "count", "delete_many", "clear_many_payloads"]), PATTERNS
    ),
    st.tuples(st.just("put_many"), PATTERNS, VALUES),
    st.tuples(st.sampled_from(["copy", "move"]), NAMES, NAMES),
    st.tuples(st.just("compare_and_swap"), NAMES, VALUES, VALUES),
    st.tuples(st.just("is_empty")),
)


def outcome(store: object, step: tuple[Any, ...]) -> object:
    name, *arguments = step
    try:
        return getattr(store, name)(*arguments)
    except KhepriError as error:
        return type(error), str(error)


@given(st.lists(STEPS, max_size=12))
def test_a_transaction_does_what_its_calls_would_do_one_by_one(
    steps: list[tuple[Any, ...]],
) -> None:
    with memory_store() as one, memory_store() as other:
        apart = [outcome(one, step) for step in steps]
        together = other.transaction(lambda tx: [outcome(tx, step) for step in steps])
        assert together == apart
        assert one.adv.get_many("/**") == other.adv.get_many("/**")


# --- the other ways in


def test_the_module_has_it_for_the_default_store_and_others(store: khepri.Store) -> None:
    khepri.transaction(lambda tx: tx.put("/a", 1), store_id=store.store_id)
    assert store.get("/a") == 1


def test_it_is_awaited_in_khepri_aio(stock: khepri.Store) -> None:
    async def main() -> None:
        twin = aio.Store(stock.store_id)
        disturbed = Disturbed(
            lambda tx: tx.put("/stock/oak", tx.get("/stock/oak") + 1),
            lambda: stock.put("/stock/oak", 10),
        )
        await twin.transaction(disturbed)
        assert disturbed.runs == 2
        count = await twin.transaction(lambda tx: tx.count("/stock/*"), favor="consistency")
        assert count == 3
        with pytest.raises(KhepriTimeoutError, match=r"done within 0\.2 seconds"):
            await twin.transaction(always_behind, timeout=0.2)
        with pytest.raises(ValueTooLargeError):
            await twin.transaction(too_large)
        await aio.transaction(lambda tx: tx.delete("/stock"), store_id=stock.store_id)

    def too_large(transaction: Transaction) -> None:
        for number in range(5):
            transaction.put(f"/large/{number}", bytes(1 << 20))

    def always_behind(transaction: Transaction) -> None:
        transaction.put("/never", transaction.get("/stock/oak"))
        stock.increment("/stock/oak")

    asyncio.run(main())
    assert stock.is_empty()
