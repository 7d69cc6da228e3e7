"""A host's own actors use a store by messages."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pykka
import pytest

import khepri
from khepri import messages
from khepri.actors.default_node import default_node
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    MismatchingNodeError,
    NodeNotFoundError,
    NoSuchServerError,
    WrongTypeError,
)
from khepri.server_ref import ServerRef
from tests.facade.facade_helpers import actors_of, eventually


class Host(pykka.ThreadingActor):
    """An actor of a host program that counts in the store what it is told."""

    use_daemon_thread = True

    def on_receive(self, message: object) -> object:
        ref = khepri.server_ref("orders")
        ref.tell(messages.Put(["told", str(message)], message))
        ref.ask(messages.Put("/asked", message))
        return ref.ask(messages.Get("/asked"))


def test_a_host_actor_asks_and_tells(store: khepri.Store) -> None:
    host = Host.start()
    try:
        assert host.ask(1, timeout=20) == 1
        assert host.ask(2, timeout=20) == 2
    finally:
        host.stop()
    store.fence()
    assert store.get_many("/told/*") == {khepri.Path("/told/1"): 1, khepri.Path("/told/2"): 2}


def test_ask_returns_after_the_commit_and_raises_like_the_function(store: khepri.Store) -> None:
    ref = khepri.server_ref("orders")
    assert ref.ask(messages.Create("/a", 1)) is None
    with pytest.raises(MismatchingNodeError):
        ref.ask(messages.Create("/a", 2))
    with pytest.raises(NodeNotFoundError):
        ref.ask(messages.Update("/b", 2))
    with pytest.raises(NodeNotFoundError):
        ref.ask(messages.Get("/b"))
    ref.ask(messages.CompareAndSwap("/a", 1, 3))
    assert store.get("/a") == 3
    assert ref.ask(messages.Exists("/a"))
    assert ref.ask(messages.GetMany("/*")) == {khepri.Path("/a"): 3}
    ref.ask(messages.ClearPayload("/a"))
    ref.ask(messages.Delete("/a"))
    ref.ask(messages.DeleteMany("/*"))
    assert store.is_empty()


def test_an_ask_that_does_not_block_gives_a_future(store: khepri.Store) -> None:
    del store
    future = khepri.server_ref("orders").ask(messages.Put("/a", 1), block=False)
    assert future.get(timeout=20) is None


def test_a_reference_is_a_pykka_reference(store: khepri.Store) -> None:
    del store
    ref = khepri.server_ref("orders")
    assert isinstance(ref, pykka.ActorRef)
    assert ref.is_alive()
    assert ref == khepri.server_ref("orders")
    khepri.stop("orders")
    assert not ref.is_alive()
    with pytest.raises(NoSuchServerError):
        ref.tell(messages.Put("/a", 1))


def test_what_is_no_message_is_refused_and_harms_nobody(store: khepri.Store) -> None:
    ref = khepri.server_ref("orders")
    for nonsense in (None, 5, "put", {"command": "put"}, object(), messages.Put):
        with pytest.raises(WrongTypeError):
            ref.ask(nonsense)  # type: ignore[arg-type]
        with pytest.raises(WrongTypeError):
            ref.tell(nonsense)  # type: ignore[arg-type]
    with pytest.raises(InvalidPathError):
        ref.tell(messages.Put(5, 1))  # type: ignore[arg-type]
    store.put("/a", 1)


def test_what_pykka_offers_for_one_actor_is_refused_with_advice(store: khepri.Store) -> None:
    ref = khepri.server_ref("orders")
    with pytest.raises(WrongTypeError, match=r"khepri\.messages"):
        ref.proxy()
    for name in ("actor_urn", "actor_class", "actor_inbox", "actor_stopped"):
        assert not hasattr(ref, name)
        with pytest.raises(AttributeError, match="after every restart; use ask"):
            getattr(ref, name)
    store.put("/a", 1)
    assert copy.copy(ref) == ref


@pytest.mark.parametrize(
    ("garbled", "error"),
    [
        (5, WrongTypeError),
        (b"orders", WrongTypeError),
        ("", InvalidOptionError),
        ("or\0ders", InvalidOptionError),
        ("x" * 201, InvalidOptionError),
        ("unheard_of", NoSuchServerError),
    ],
)
def test_a_garbled_name_of_a_store_is_refused_and_harms_nobody(
    store: khepri.Store, garbled: Any, error: type[khepri.KhepriError]
) -> None:
    with pytest.raises(error):
        khepri.server_ref(garbled)
    with pytest.raises(error):
        ServerRef(khepri.Store(garbled), default_node()).ask(messages.Exists("/a"))
    del store
    assert khepri.server_ref("orders").ask(messages.Exists("/a")) is False


def test_a_reference_stays_good_when_the_server_is_restarted(store: khepri.Store) -> None:
    ref = khepri.server_ref("orders")
    ref.ask(messages.Put("/a", 1))
    actors_of("orders")["ra_server"].cast(object())
    eventually(lambda: "ra_server" in actors_of("orders") and ref.is_alive())
    store.put("/a", 2)
    assert ref.ask(messages.Get("/a")) == 2


def test_stop_all_by_the_host_is_a_clean_shutdown(store: khepri.Store) -> None:
    store.put("/a", 1)
    over = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            while not over.is_set():
                store.put("/a", 2, timeout=5)
        except khepri.KhepriError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    pykka.ActorRegistry.stop_all()
    writer.join(20)
    over.set()
    assert not writer.is_alive()
    assert len(errors) == 1
    with pytest.raises(khepri.KhepriError):
        store.put("/a", 3, timeout=1)
