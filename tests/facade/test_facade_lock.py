"""Locks: one holder at a time, in the order in which they came; who has lost one knows."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors.server_messages import AskCore
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    InvalidValueError,
    KhepriTimeoutError,
    LockLostError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
    NoSuchServerError,
    ServerStoppedError,
    WrongTypeError,
)
from khepri.testing import memory_store
from tests.facade.facade_helpers import actors_of, eventually, standing_still

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from khepri.raft.events import TimePassed

PATH = "/locks/printer"
SOON = 0.05
SHORT = 0.3
RENEWED = 1.5


def lock_of(store: khepri.Store, **options: Any) -> khepri.Lock:
    return khepri.Lock(PATH, store=store, **options)


def acquired(store: khepri.Store, **options: Any) -> khepri.Lock:
    lock = lock_of(store, **options)
    assert lock.acquire(timeout=20)
    return lock


def in_line(store: khepri.Store) -> list[object]:
    """Give the data of who has the lock and of who waits, in their order."""
    return list(store.get_many(f"{PATH}/line/*").values())


def fail_after(_what: object) -> None:
    raise ZeroDivisionError


def have_come(store: khepri.Store, count: int) -> bool:
    return len(in_line(store)) == count


def waiting(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


# --- having it -----------------------------------------------------------------------------


def test_one_has_it_and_gives_it_back(store: khepri.Store) -> None:
    with lock_of(store, data="alice") as lock:
        assert lock.held
        assert lock.path == khepri.Path(PATH)
        assert lock.token == 1
        assert lock.holder() == "alice"
        lock.check()
        assert store.get(lock.guard) == "alice"
        assert repr(lock) == "<Lock /locks/printer, held, token 1>"
    assert not lock.held
    assert repr(lock) == "<Lock /locks/printer, not acquired>"
    assert in_line(store) == []
    assert lock.holder("nobody", favor="consistency") == "nobody"
    assert store.get(PATH) == 1


def test_without_a_handle_it_is_of_the_default_store(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    with khepri.Lock(PATH) as lock:
        assert khepri.exists(lock.guard)


def test_a_store_in_memory_has_locks_too() -> None:
    with memory_store() as one, memory_store() as other, lock_of(one), lock_of(other) as lock:
        assert lock.token == 1


def test_another_one_does_not_get_it_meanwhile(store: khepri.Store) -> None:
    lock = acquired(store)
    other = lock_of(store)
    assert not other.acquire(timeout=0)
    assert store.get(PATH) == 1  # it did not even come
    begin = time.monotonic()
    assert not other.acquire(timeout=SOON)
    assert SOON <= time.monotonic() - begin < SOON + 5
    eventually(lambda: len(in_line(store)) == 1, "leaving the line")
    lock.release()
    assert other.acquire(timeout=0)
    other.release()


def test_tokens_grow_with_each_acquisition_by_whomever(store: khepri.Store) -> None:
    tokens: list[int] = []
    for _ in range(3):
        for lock in (lock_of(store), lock_of(store)):
            with lock:
                tokens.append(lock.token)
    assert tokens == sorted(set(tokens))


def test_it_passes_on_in_the_order_in_which_they_came(store: khepri.Store) -> None:
    order: list[int] = []

    def come(number: int) -> None:
        with lock_of(store, data=number):
            order.append(number)

    first = acquired(store, data="first")
    threads: list[threading.Thread] = []
    for number in range(6):
        threads.append(waiting(partial(come, number)))
        eventually(partial(have_come, store, number + 2), "the next in line")
    assert in_line(store) == ["first", 0, 1, 2, 3, 4, 5]
    first.release()
    for thread in threads:
        thread.join(20)
    assert order == [0, 1, 2, 3, 4, 5]


def test_who_gives_up_in_the_middle_of_the_line_lets_the_others_pass(store: khepri.Store) -> None:
    first = acquired(store)
    got: list[bool] = []
    given_up = waiting(lambda: got.append(lock_of(store, data="impatient").acquire(timeout=SOON)))
    eventually(lambda: "impatient" in in_line(store), "an impatient one")

    def come() -> None:
        with lock_of(store, data="patient"):
            got.append(True)

    patient = waiting(come)
    eventually(lambda: "patient" in in_line(store), "a patient one")
    given_up.join(20)
    eventually(lambda: "impatient" not in in_line(store), "leaving the line")
    assert got == [False]
    first.release()
    patient.join(20)
    assert got == [False, True]


def test_it_is_renewed_as_long_as_it_is_held(store: khepri.Store) -> None:
    with lock_of(store, ttl=RENEWED) as lock:
        first = expiry(store, lock)
        eventually(lambda: (expiry(store, lock) - first).total_seconds() > RENEWED, "renewals")
        assert lock.held
        assert not lock_of(store).acquire(timeout=0)


def expiry(store: khepri.Store, lock: khepri.Lock) -> Any:
    return store.adv.get(lock.guard, props_to_return=["expires_at"])["expires_at"]


def test_who_waits_is_kept_in_the_line_too(store: khepri.Store) -> None:
    first = acquired(store, ttl=20)
    got: list[int] = []
    thread = waiting(lambda: got.append(acquired(store, ttl=RENEWED, data="second").token))
    eventually(lambda: "second" in in_line(store), "a second one")
    begin = time.monotonic()
    eventually(lambda: time.monotonic() - begin > 1.3 * RENEWED)
    first.release()
    thread.join(20)
    assert got == [2]  # the place it has had from the beginning


# --- one object, several threads -----------------------------------------------------------


def test_the_threads_of_one_object_take_turns(store: khepri.Store) -> None:
    lock, inside = lock_of(store), 0
    seen: list[tuple[int, int]] = []

    def work() -> None:
        nonlocal inside
        for _ in range(10):
            with lock:
                inside += 1
                seen.append((inside, lock.token))
                inside -= 1

    threads = [waiting(work) for _ in range(4)]
    for thread in threads:
        thread.join(30)
    assert {count for count, _token in seen} == {1}
    assert [token for _count, token in seen] == list(range(1, 41))


def test_it_is_not_reentrant_and_any_thread_may_release_it(store: khepri.Store) -> None:
    lock = acquired(store)
    assert not lock.acquire(timeout=0)
    assert not lock.acquire(timeout=SOON)
    thread = waiting(lock.release)
    assert lock.acquire(timeout=20)
    thread.join(20)
    assert lock.token == 2
    lock.release()


def test_of_two_who_release_it_one_is_told_that_it_is_not_acquired(store: khepri.Store) -> None:
    lock = acquired(store)
    lock.release()
    for misuse in (lock.release, lock.check, lambda: lock.token, lambda: lock.guard):
        with pytest.raises(MisuseError, match="not acquired"):
            misuse()


# --- losing it -----------------------------------------------------------------------------


def test_a_holder_that_is_not_heard_of_has_lost_it_and_its_batch_is_refused(
    store: khepri.Store,
) -> None:
    lock = acquired(store, ttl=SHORT)
    guard = lock.guard
    store.put("/printed", 0)
    with standing_still(store):  # as if this program were cut off
        eventually(lambda: not lock.held, "the loss")
        with pytest.raises(LockLostError) as caught:
            lock.check()
    assert (caught.value.path, caught.value.token) == (khepri.Path(PATH), 1)
    assert "renewed" in caught.value.reason
    other = acquired(store)
    assert other.token == 2
    batch = store.batch()
    batch.require(guard)
    batch.put("/printed", 1)
    with pytest.raises(NodeNotFoundError):
        batch.commit()
    with pytest.raises(NodeNotFoundError):
        store.transaction(lambda it: it.require(guard))
    assert store.get("/printed") == 0
    with pytest.raises(LockLostError):
        lock.release()
    assert other.held
    other.check()
    with store.batch() as batch:
        batch.require(other.guard)
        batch.put("/printed", 2)
    other.release()
    assert lock.acquire(timeout=0)  # it can be used again
    assert lock.token == 3
    lock.release()


def test_once_lost_it_stays_lost_until_it_is_acquired_anew(store: khepri.Store) -> None:
    lock = acquired(store, ttl=SHORT)
    with standing_still(store):
        eventually(lambda: not lock.held, "the loss")
    store.fence()
    assert not lock.held
    assert repr(lock).endswith(", lost, token 1>")
    eventually(lambda: in_line(store) == [], "leaving the line")
    with pytest.raises(LockLostError):
        lock.release()


def test_a_lock_that_somebody_deletes_is_seen_to_be_lost_at_the_next_renewal(
    store: khepri.Store,
) -> None:
    lock = acquired(store, ttl=SHORT)
    store.delete(PATH)
    eventually(lambda: not lock.held, "the loss")
    with pytest.raises(LockLostError, match="deleted"):
        lock.release()
    with lock:  # the numbers begin anew, and no former place counts
        assert lock.token == 1


def test_release_finds_out_that_the_lock_is_gone(store: khepri.Store) -> None:
    lock = acquired(store)
    store.delete(lock.guard)
    assert lock.held  # nobody has asked
    with pytest.raises(LockLostError, match="deleted"):
        lock.release()
    assert lock.acquire(timeout=0)
    lock.release()


def test_leaving_the_block_of_a_lost_lock_tells_so(store: khepri.Store) -> None:
    with pytest.raises(LockLostError), lock_of(store) as lock:
        store.delete(lock.guard)
    with pytest.raises(ZeroDivisionError), lock_of(store) as lock:
        fail_after(store.delete(lock.guard))
    assert in_line(store) == []


def test_who_waits_and_is_not_heard_of_comes_again_at_the_end_of_the_line(
    store: khepri.Store,
) -> None:
    first = acquired(store)
    got: list[int] = []

    def come() -> None:
        with lock_of(store, data="second") as lock:
            got.append(lock.token)

    thread = waiting(come)
    eventually(lambda: "second" in in_line(store), "a second one")
    (place,) = (path for path, data in store.get_many(f"{PATH}/line/*").items() if data)
    store.delete(place)
    third = waiting(lambda: got.append(acquired(store, data="third").token))
    eventually(lambda: "third" in in_line(store), "a third one")
    first.release()
    third.join(20)
    assert got == [3]
    eventually(lambda: "second" in in_line(store), "the second one again")
    store.delete_many([*khepri.Path(PATH), "line", khepri.IfDataMatches("third")])
    thread.join(20)
    assert got == [3, 4]


# --- other things at its place -------------------------------------------------------------


@pytest.mark.parametrize("data", ["something", {"a": 1}, -3, 1.5])
def test_something_else_at_the_place_is_told_and_left_alone(
    store: khepri.Store, data: object
) -> None:
    store.put(PATH, data)
    with pytest.raises(MismatchingNodeError, match="something else than a lock") as caught:
        lock_of(store).acquire(timeout=0)
    assert caught.value.node_path == khepri.Path(PATH)
    assert store.get_many("/locks/**") == {khepri.Path(PATH): data}


def test_a_tree_node_without_data_is_no_obstacle(store: khepri.Store) -> None:
    store.put(f"{PATH}/manual", "how to use it")
    store.put(f"{PATH}/line", "stand here")
    lock = lock_of(store)
    assert lock.acquire(timeout=0)
    assert lock.token == 1
    lock.release()
    assert lock.acquire(timeout=0)
    lock.release()
    assert store.get(f"{PATH}/manual") == "how to use it"


# --- misuse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (["/"], {}, InvalidPathError),
        (["/locks/*"], {}, ManyNodesDeniedError),
        ([["locks", khepri.IfAll("a", khepri.IfHasData())]], {}, InvalidPathError),
        ([7], {}, InvalidPathError),
        ([PATH], {"ttl": 0}, InvalidOptionError),
        ([PATH], {"ttl": -1}, InvalidOptionError),
        ([PATH], {"ttl": 0.01}, InvalidOptionError),
        ([PATH], {"ttl": nan}, InvalidOptionError),
        ([PATH], {"ttl": inf}, InvalidOptionError),
        ([PATH], {"ttl": 1e30}, InvalidOptionError),
        ([PATH], {"ttl": None}, WrongTypeError),
        ([PATH], {"ttl": "15"}, WrongTypeError),
        ([PATH], {"ttl": True}, WrongTypeError),
        ([PATH], {"data": object()}, InvalidValueError),
        ([PATH], {"store": "orders"}, WrongTypeError),
    ],
)
def test_impossible_arguments_are_told_at_once(
    arguments: list[Any], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        khepri.Lock(*arguments, **options)
    assert isinstance(caught.value, MisuseError)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, InvalidOptionError), (nan, InvalidOptionError), ("1", WrongTypeError)],
)
def test_an_impossible_timeout_is_told_before_anything_is_done(
    store: khepri.Store, timeout: Any, error: type[Exception]
) -> None:
    lock = lock_of(store)
    with pytest.raises(error):
        lock.acquire(timeout=timeout)
    assert not store.exists(PATH)
    with lock:
        assert lock.held


def test_infinity_is_a_timeout(store: khepri.Store) -> None:
    lock = lock_of(store)
    assert lock.acquire(timeout=inf)
    lock.release()


# --- stores that stop, crash and stand still -----------------------------------------------


def test_a_store_that_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchServerError):
        khepri.Lock(PATH).acquire(timeout=0)
    khepri.start(tmp_path / "data")
    lock = khepri.Lock(PATH)
    assert lock.acquire(timeout=20)
    khepri.stop()
    with pytest.raises(NoSuchServerError):
        lock.release()
    khepri.start(tmp_path / "data")
    assert len(khepri.get_many(f"{PATH}/line/*")) == 1  # until its time to live is over


def test_who_waits_is_told_when_the_store_stops(tmp_path: Path) -> None:
    store = khepri.Store(khepri.start(tmp_path / "data"))
    acquired(store)
    errors: list[Exception] = []

    def come() -> None:
        try:
            lock_of(store, data="second").acquire()
        except (ServerStoppedError, NoSuchServerError) as error:
            errors.append(error)

    thread = waiting(come)
    eventually(lambda: "second" in in_line(store), "a second one")
    khepri.stop()
    thread.join(20)
    assert len(errors) == 1


def set_after(event: threading.Event, _down: object) -> None:
    event.set()


def crash(_ticket: object) -> TimePassed:
    raise ZeroDivisionError


def test_a_crash_of_the_server_loses_no_lock(store: khepri.Store) -> None:
    lock = acquired(store, ttl=20)
    got: list[khepri.Lock] = []
    thread = waiting(lambda: got.append(acquired(store, ttl=20, data="second")))
    eventually(lambda: "second" in in_line(store), "a second one")
    for _ in range(2):
        server = eventually(lambda: actors_of("orders").get("ra_server"), "a server")
        ended = threading.Event()
        server.down.add_done_callback(partial(set_after, ended))
        server.cast(AskCore(crash))
        assert ended.wait(20)
    store.fence()
    assert lock.held
    lock.release()
    thread.join(20)
    assert got[0].held


def test_a_store_that_does_not_answer_holds_nobody_up(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", str(SOON))
    khepri.config.reload()
    lock, other = lock_of(store), lock_of(store)
    assert lock.acquire(timeout=20)
    with standing_still(store):
        begin = time.monotonic()
        assert not khepri.Lock("/locks/other", store=store).acquire(timeout=SOON)
        assert lock.held
        with pytest.raises(KhepriTimeoutError):
            lock.release()
        with pytest.raises(KhepriTimeoutError):
            other.acquire(timeout=0)
        assert time.monotonic() - begin < 10
    # What came through nevertheless is undone.
    eventually(lambda: in_line(store) == [], "an empty line")
    eventually(lambda: not store.exists("/locks/other/line"), "an empty line there")
    assert lock.acquire(timeout=20)
    lock.release()


def test_a_thread_of_khepris_own_must_not_wait_for_a_lock(store: khepri.Store) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def acquire(_future: object) -> None:
        try:
            lock_of(store).acquire()
        except MisuseError as error:
            errors.append(error)
        done.set()

    store.put("/a", 1, async_=True).add_done_callback(acquire)
    assert done.wait(20)
    # If the answer was there first, it ran here.
    assert errors or store.exists(PATH)


def test_an_exception_while_it_waits_leaves_the_line(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signal(BaseException):
        """As a signal handler may raise one."""

    def follow(*_arguments: object, **_options: object) -> None:
        raise Signal

    first = acquired(store)
    monkeypatch.setattr(khepri.Store, "follow", follow)
    lock = lock_of(store)
    with pytest.raises(Signal):
        lock.acquire()
    monkeypatch.undo()
    eventually(lambda: len(in_line(store)) == 1, "leaving the line")
    first.release()
    with lock:
        assert lock.held


# --- processes -----------------------------------------------------------------------------


def run(directory: Path, program: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        check=True,
        timeout=60,
        cwd=directory,
    )


def test_a_program_may_end_with_a_lock_and_somebody_who_waits(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import threading
        import khepri
        khepri.start("data")
        lock = khepri.Lock("/locks/a")
        lock.acquire()
        threading.Thread(target=khepri.Lock("/locks/a").acquire, daemon=True).start()
        """,
    )


def test_in_a_forked_child_the_lock_of_the_parent_is_lost(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import khepri
        from khepri.errors import LockLostError
        from khepri.keeping import keeper
        from tests.fork_helpers import in_child, refused

        khepri.start("of-parent")
        lock, free = khepri.Lock("/locks/a", ttl=1), khepri.Lock("/locks/b")
        lock.acquire()

        def child():
            assert not lock.held and not keeper.is_running
            refused(free.acquire)
            for function in (lock.check, lock.release):
                try:
                    function()
                except LockLostError as error:
                    assert "parent" in error.reason
                else:
                    raise AssertionError("not lost")
            with khepri.open("of-child"):
                with lock, free:
                    assert lock.held and lock.token == 1
                    assert keeper.is_running

        in_child(child)
        assert lock.held and keeper.is_running
        lock.release()
        """,
    )
