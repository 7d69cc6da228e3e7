"""Ephemeral tree nodes: there while a program says so, and nobody else's business."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    InvalidValueError,
    KhepriTimeoutError,
    ManyNodesDeniedError,
    MismatchingNodeError,
    MisuseError,
    NoSuchServerError,
    WrongTypeError,
)
from tests.facade.facade_helpers import eventually, standing_still

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/workers/ann"
SOON = 0.05
SHORT = 0.3
RENEWED = 1.5


def fail_after(_what: object) -> None:
    raise ZeroDivisionError


def ann(store: khepri.Store, data: object = "ann", **options: Any) -> khepri.EphemeralNode:
    return khepri.EphemeralNode(PATH, data, store=store, **options)


def test_it_is_there_as_long_as_the_block_lasts(store: khepri.Store) -> None:
    with ann(store, {"port": 5701}) as node:
        assert node.is_there
        assert node.losses == 0
        assert node.path == khepri.Path(PATH)
        assert store.get_many("/workers/*") == {khepri.Path(PATH): {"port": 5701}}
        assert repr(node) == "<EphemeralNode /workers/ann, there>"
    assert store.is_empty()
    assert not node.is_there
    assert repr(node) == "<EphemeralNode /workers/ann, not started>"


def test_without_a_handle_it_is_in_the_default_store(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    with khepri.EphemeralNode(PATH, 1):
        assert khepri.get(PATH) == 1


def test_it_is_kept_alive(store: khepri.Store) -> None:
    with ann(store, ttl=RENEWED) as node:
        first = expiry(store)
        eventually(lambda: (expiry(store) - first).total_seconds() > RENEWED, "renewals")
        assert node.is_there
        assert node.losses == 0


def expiry(store: khepri.Store) -> Any:
    return store.adv.get(PATH, props_to_return=["expires_at"])["expires_at"]


def test_a_place_that_somebody_else_has_is_told_and_left_alone(store: khepri.Store) -> None:
    with ann(store) as first, pytest.raises(MismatchingNodeError, match="somebody else") as caught:
        ann(store, "ann, again").start()
    assert caught.value.node_path == first.path
    assert caught.value.node_props["data"] == "ann"
    store.put(f"{PATH}/jobs/7", "saw")
    with pytest.raises(MismatchingNodeError), ann(store):
        pass
    assert store.get_many("/workers/**").keys() == {
        khepri.Path(path) for path in (PATH, f"{PATH}/jobs", f"{PATH}/jobs/7")
    }


def test_it_is_put_again_when_somebody_has_deleted_it(store: khepri.Store) -> None:
    with ann(store, ttl=SHORT) as node:
        store.delete(PATH)
        eventually(lambda: node.losses > 0 and node.is_there, "it to be there again")
        assert store.get(PATH) == "ann"
    assert store.is_empty()


def test_it_is_put_again_when_it_has_expired_while_nobody_could_be_reached(
    store: khepri.Store,
) -> None:
    with ann(store, ttl=SHORT) as node:
        with standing_still(store):
            eventually(lambda: not node.is_there, "the loss")
            assert "lost" in repr(node) or eventually(lambda: "lost" in repr(node))
        eventually(lambda: node.is_there, "it to be there again")
        assert node.losses > 0
        assert store.get(PATH) == "ann"


def test_it_does_not_take_the_place_from_somebody_else(store: khepri.Store) -> None:
    node = ann(store, ttl=SHORT)
    node.start()
    with store.batch() as batch:
        batch.delete(PATH)
        batch.put(PATH, "ann")  # the same data, and the same version
    eventually(lambda: not node.is_there, "the loss")
    store.put("/time/passes", 1, ttl=3 * SHORT)
    eventually(lambda: not store.exists("/time/passes"), "some renewals")
    assert (node.losses, node.is_there) == (1, False)
    assert store.get_many("/workers/**") == {khepri.Path(PATH): "ann"}
    store.delete(PATH)
    eventually(lambda: node.is_there, "it to be there again")
    node.stop()
    assert store.is_empty()


def test_it_is_not_deleted_if_it_is_somebody_elses(store: khepri.Store) -> None:
    with ann(store):
        store.delete(PATH)
        store.put(PATH, "somebody else")
    assert store.get(PATH) == "somebody else"
    with khepri.EphemeralNode("/workers/bob", 1, store=store):
        store.delete("/workers/bob")
    assert not store.exists("/workers/bob")


def test_its_data_may_be_changed_while_it_is_there(store: khepri.Store) -> None:
    with ann(store, "idle", ttl=RENEWED) as node:
        store.put(PATH, "busy")
        first = expiry(store)
        eventually(lambda: (expiry(store) - first).total_seconds() > RENEWED, "renewals")
        assert store.get(PATH) == "busy"
        assert node.losses == 0
    assert store.is_empty()


def test_it_starts_and_stops_again_and_again(store: khepri.Store) -> None:
    node = ann(store)
    node.stop()  # nothing happens
    for _ in range(3):
        node.start()
        with pytest.raises(MisuseError, match="started already"):
            node.start()
        assert store.get(PATH) == "ann"
        node.stop()
        node.stop()
        assert store.is_empty()


def test_what_leaves_the_block_goes_before_what_stopping_it_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), khepri.open(tmp_path / "data") as store, ann(store):
        fail_after(khepri.stop())
    with pytest.raises(NoSuchServerError), khepri.open(tmp_path / "other") as store, ann(store):
        khepri.stop()


def test_a_start_that_was_not_answered_may_be_repeated(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ann(store)
    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", str(SOON))
    khepri.config.reload()
    with standing_still(store):
        with pytest.raises(KhepriTimeoutError):
            node.start()
        assert not node.is_there
    monkeypatch.undo()
    khepri.config.reload()
    node.start()
    assert node.is_there
    node.stop()
    # As if it had been done after all.
    with store.batch() as batch:
        node._claim.create(batch)
    node.start()
    assert node.is_there
    node.stop()
    assert store.is_empty()


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (["/", 1], {}, InvalidPathError),
        (["/workers/*", 1], {}, ManyNodesDeniedError),
        ([7, 1], {}, InvalidPathError),
        ([PATH, object()], {}, InvalidValueError),
        ([PATH, 1], {"ttl": 0}, InvalidOptionError),
        ([PATH, 1], {"ttl": 0.01}, InvalidOptionError),
        ([PATH, 1], {"ttl": inf}, InvalidOptionError),
        ([PATH, 1], {"ttl": "15"}, WrongTypeError),
        ([PATH, 1], {"ttl": None}, WrongTypeError),
        ([PATH, 1], {"store": "orders"}, WrongTypeError),
    ],
)
def test_impossible_arguments_are_told_at_once(
    arguments: list[Any], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        khepri.EphemeralNode(*arguments, **options)
    assert isinstance(caught.value, MisuseError)


def test_a_child_has_none_of_its_parent_and_may_have_its_own(tmp_path: Path) -> None:
    program = """
        import khepri
        from tests.fork_helpers import in_child, refused

        khepri.start("of-parent")
        node = khepri.EphemeralNode("/workers/ann", "ann")
        other = khepri.EphemeralNode("/workers/bob", "bob")
        node.start()

        def child():
            assert not node.is_there
            refused(other.start)
            node.stop()
            with khepri.open("of-child") as store, node, other:
                assert store.count("/workers/*") == 2

        in_child(child)
        assert node.is_there and khepri.count("/workers/*") == 1
        """
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
