"""Every function of a store can be asked of its server, and most can be told."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import khepri
from khepri import messages
from khepri.actors.server_messages import AskCore
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    KhepriTimeoutError,
    MismatchingNodeError,
    NodeNotFoundError,
    NotAMemberError,
    WrongTypeError,
)
from khepri.raft.events import TimePassed

if TYPE_CHECKING:
    from khepri.server_ref import ServerRef

NOT_FOR_A_SERVER = {
    "access": "what is published, not a function",
    "adv": "a handle",
    "batch": "messages.Batch holds the operations",
    "change": "an encoded command",
    "export": "files and their formats are the caller's",
    "has_projection": "of this node",
    "projection": "a table to be read without asking",
    "register_projection": "its function runs in the thread of whoever calls it",
    "subscribe": "of this node; the events are messages",
    "unregister_projections": "of this node",
    "unsubscribe": "of this node",
    "follow": "an actor does not wait; messages.View with a condition is what it asks for",
    "info": "it prints for a person",
    "import_": "it waits for many writes",
    "node": "where it is",
    "transaction": "its function runs in the thread of whoever calls it",
    "run_sproc": "the same; messages.Get reads its name",
    "store_id": "not a function",
}


@pytest.fixture
def ref(store: khepri.Store) -> ServerRef:
    """Give a reference to a store with /a (1), /a/b (2), /c (3)."""
    with store.batch() as batch:
        batch.put("/a", 1)
        batch.put("/a/b", 2)
        batch.put("/c", 3)
    return khepri.server_ref("orders")


def paths(*unix: str) -> list[khepri.Path]:
    return [khepri.Path(path) for path in unix]


def test_there_is_a_message_for_every_function_of_a_store() -> None:
    functions = {name for name, _ in inspect.getmembers(khepri.Store) if not name.startswith("_")}
    wanted = {
        "".join(word.capitalize() for word in name.split("_"))
        for name in functions - NOT_FOR_A_SERVER.keys()
    }
    told = {"TreeChanged", "SubscriptionEnded"}
    assert wanted | told | {"Batch", "Require", "Message"} == set(messages.__all__)


def test_a_batch_of_messages_may_require_something(ref: ServerRef, store: khepri.Store) -> None:
    wanted = messages.Require("/a")
    acknowledge = messages.Batch([wanted, messages.Put("/done", 1)])
    store.delete_many("/*")
    with pytest.raises(NodeNotFoundError):
        ref.ask(acknowledge)
    assert not store.exists("/done")
    store.put("/a", 1)
    assert ref.ask(acknowledge) == [None, None]
    assert store.get("/done") == 1
    with pytest.raises(WrongTypeError, match="stands in a Batch"):
        ref.ask(wanted)


def test_writes_do_what_their_functions_do(ref: ServerRef, store: khepri.Store) -> None:
    ref.ask(messages.Put("/a", 10))
    ref.ask(messages.PutMany("/*", 11))
    assert store.get_many("/*") == dict.fromkeys(paths("/a", "/c"), 11)
    ref.ask(messages.PutMany("/*", 12, include_root_props=True))
    assert store.get("/") == 12
    ref.ask(messages.Create("/d", 1))
    ref.ask(messages.Update("/d", 2))
    ref.ask(messages.CompareAndSwap("/d", 2, 3))
    assert store.get("/d") == 3
    ref.ask(messages.ClearPayload("/d"))
    assert store.get("/d") is None
    ref.ask(messages.ClearManyPayloads("/*"))
    assert list(store.get_many("/*").values()) == [None, None, None]
    assert store.get("/") == 12
    ref.ask(messages.Delete("/d"))
    ref.ask(messages.DeleteMany("/*", include_root_props=True))
    assert store.is_empty()
    assert store.get("/") is None


def test_writes_beyond_khepri_s(ref: ServerRef, store: khepri.Store) -> None:
    assert ref.ask(messages.Increment("/a")) == 2
    assert ref.ask(messages.Increment("/a", -5)) == -3
    ref.ask(messages.Copy("/a", "/copy"))
    ref.ask(messages.Move("/c", "/moved"))
    assert list(store.get_many("**")) == paths("/a", "/a/b", "/copy", "/copy/b", "/moved")
    ref.ask(messages.Touch("/moved", ttl=600))
    ref.ask(messages.Touch("/moved"))
    assert "expires_at" in store.adv.get("/moved", props_to_return=["expires_at"])
    with pytest.raises(MismatchingNodeError):
        ref.ask(messages.Touch("/a"))


def test_writes_take_their_options(ref: ServerRef, store: khepri.Store) -> None:
    lives: dict[str, Any] = {"ttl": 600, "keep_while": {"/c": khepri.IfNodeExists()}}
    ref.ask(messages.Put("/leases/0", 1, priority="low", **lives))
    ref.ask(messages.Create("/leases/1", 1, priority="low", **lives))
    for number in range(2):
        assert "expires_at" in store.adv.get(f"/leases/{number}", props_to_return=["expires_at"])
    ref.ask(messages.Delete("/c", priority="low"))
    assert not store.exists("/leases")
    ref.ask(messages.Put("/e", 1, reply_from="leader"))
    with pytest.raises(NotAMemberError):
        ref.ask(messages.Increment("/e", reply_from="nobody"))
    assert store.get("/e") == 1


def test_a_batch_is_one_message(ref: ServerRef, store: khepri.Store) -> None:
    before = store.view().index
    everything = messages.Batch(
        [
            messages.Put("/n", 1),
            messages.Increment("/n", 4),
            messages.PutMany("/*", 7),
            messages.Create("/new", 1, ttl=600),
            messages.Update("/new", 2),
            messages.CompareAndSwap("/new", 2, 3),
            messages.Copy("/new", "/copy"),
            messages.Move("/copy", "/moved"),
            messages.Touch("/moved"),
            messages.ClearPayload("/new"),
            messages.ClearManyPayloads("/a/*"),
            messages.Delete("/n"),
            messages.DeleteMany("/c"),
        ],
        priority="low",
    )
    assert ref.ask(everything) == [None, 5, *[None] * 11]
    assert store.view().index == before + 1
    assert store.get_many("**") == dict(
        zip(paths("/a", "/a/b", "/moved", "/new"), [7, None, 3, None], strict=True)
    )


def test_a_batch_that_fails_does_nothing(ref: ServerRef, store: khepri.Store) -> None:
    with pytest.raises(MismatchingNodeError) as error:
        ref.ask(messages.Batch([messages.Delete("/a"), messages.Create("/c", 1)]))
    assert error.value.batch_position == 1
    assert store.exists("/a")
    with pytest.raises(InvalidOptionError, match="priority"):
        ref.ask(messages.Batch([messages.Delete("/a", priority="low")]))
    with pytest.raises(InvalidPathError):
        ref.tell(messages.Batch([messages.Delete(5)]))  # type: ignore[arg-type]
    assert store.exists("/a")


def test_reads_of_one_tree_node(ref: ServerRef) -> None:
    assert ref.ask(messages.Get("/a")) == 1
    assert ref.ask(messages.GetOr("/none", "default")) == "default"
    assert ref.ask(messages.Exists("/a")) is True
    assert ref.ask(messages.HasData("/none")) is False
    assert ref.ask(messages.IsSproc("/a")) is False
    assert ref.ask(messages.IsEmpty()) is False
    with pytest.raises(NodeNotFoundError):
        ref.ask(messages.Get("/none"))


def test_reads_of_many_tree_nodes(ref: ServerRef) -> None:
    everything = dict(zip(paths("/a", "/a/b", "/c"), [1, 2, 3], strict=True))
    assert ref.ask(messages.GetMany("**")) == everything
    assert ref.ask(messages.GetManyOr("**", 0)) == everything
    assert ref.ask(messages.Count("**")) == 3
    assert ref.ask(messages.Count("/*", include_root_props=True)) == 3
    total = messages.Fold("**", lambda _path, properties, sum_: sum_ + properties["data"], 0)
    assert ref.ask(total) == 6
    seen: list[khepri.Path] = []
    ref.ask(messages.Foreach("**", lambda path, _properties: seen.append(path)))
    assert seen == list(everything)
    versions = messages.Map("/*", lambda _path, it: it, props_to_return=["payload_version"])
    assert ref.ask(versions) == {path: {"payload_version": 1} for path in paths("/a", "/c")}
    odd = messages.Filter("**", lambda _path, properties: properties["data"] % 2)
    assert list(ref.ask(odd)) == paths("/a", "/c")
    with pytest.raises(NodeNotFoundError):
        ref.ask(messages.GetMany("/none", expect_specific_node=True))


def test_pages(ref: ServerRef) -> None:
    seen: list[khepri.Path] = []
    while page := ref.ask(messages.GetMany("**", limit=2, start_after=seen[-1] if seen else None)):
        seen.extend(page)
    assert seen == paths("/a", "/a/b", "/c")


def test_views_and_differences(ref: ServerRef) -> None:
    view = ref.ask(messages.View())
    ref.ask(messages.Put("/c", 4))
    (difference,) = ref.ask(messages.Diff("/c", view, props_to_return=["payload"]))
    assert (difference.old, difference.new) == ({"data": 3}, {"data": 4})


def test_a_read_that_waits_keeps_no_asker_who_does_not(
    ref: ServerRef, store: khepri.Store
) -> None:
    """The server stands still, and has no lease; only `get` waits for it."""
    server = store.access.server
    assert server is not None
    reached, gate = threading.Event(), threading.Event()

    def stand_still(_ticket: object) -> TimePassed:
        reached.set()
        assert gate.wait(20)
        return TimePassed()

    server.cast(AskCore(stand_still))
    assert reached.wait(20)
    store.access.withdraw_lease()
    consistent = ref.ask(messages.Get("/a", favor="consistency"), block=False)
    fence = ref.ask(messages.Fence(), block=False)
    later = ref.ask(messages.Put("/a", 2), block=False)
    with pytest.raises(KhepriTimeoutError):
        consistent.get(timeout=0.01)
    gate.set()
    later.get(timeout=20)
    fence.get(timeout=20)
    assert consistent.get(timeout=20) == 2  # a consistent read may see later writes


def test_a_read_can_wait_for_a_place_in_the_log(ref: ServerRef, store: khepri.Store) -> None:
    here = store.view()
    there = khepri.applied(here.index + 1, here.term)
    waiting = ref.ask(messages.GetMany("/c", condition=there), block=False)
    assert not waiting.done()
    store.put("/c", 5)
    assert waiting.get(timeout=20) == {khepri.Path("/c"): 5}
    assert ref.ask(messages.Get("/c", condition=there)) == 5
    wrong: Any = "applied"
    with pytest.raises(TypeError):
        ref.ask(messages.Get("/c", condition=wrong))


def test_what_waits_for_a_place_in_the_log_waits_no_longer_than_the_asker(
    ref: ServerRef, store: khepri.Store
) -> None:
    here = store.view()
    never = khepri.applied(here.index + 1_000, here.term)
    question = messages.Get("/c", condition=never)
    with pytest.raises(KhepriTimeoutError):
        ref.ask(question, timeout=0.05)
    unawaited = ref.ask(question, timeout=0.05, block=False)
    patient = ref.ask(question, timeout=None, block=False)
    with pytest.raises(KhepriTimeoutError, match="was not applied here in time"):
        unawaited.get(timeout=20)
    assert not patient.done()
    with pytest.raises(InvalidOptionError, match="-1"):
        ref.ask(question, timeout=-1, block=False)


def test_an_actor_may_tell_any_of_them(ref: ServerRef, store: khepri.Store) -> None:
    class Host(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: Any) -> None:
            ref.tell(message)

    host = Host.start()
    try:
        host.ask(messages.Increment("/told", 2), timeout=20)
        host.ask(messages.Batch([messages.Increment("/told", 3)]), timeout=20)
    finally:
        host.stop()
    store.fence()
    assert store.get("/told") == 5


@pytest.mark.parametrize("wrong", [messages.Get("/a"), messages.Batch([]), "put", None])
def test_a_batch_holds_messages_that_write(
    wrong: Any, ref: ServerRef, store: khepri.Store
) -> None:
    before = store.view().index
    with pytest.raises(WrongTypeError, match="messages that write"):
        ref.ask(messages.Batch([messages.Put("/b", 1), wrong]))
    assert store.view().index == before


def test_triggers_are_registered_by_messages(ref: ServerRef) -> None:
    ref.ask(messages.RegisterTrigger("all", "/**", "/procedure", ["create"], 2))
    (trigger,) = ref.ask(messages.Triggers(favor="consistency")).values()
    assert (trigger.on_actions, trigger.priority) == (("create",), 2)
    ref.tell(messages.UnregisterTrigger("all"))
    assert ref.ask(messages.UnregisterTrigger("all")) is False
    with pytest.raises(InvalidOptionError, match="vanish"):
        ref.ask(messages.RegisterTrigger("all", "/**", "/procedure", ["vanish"]))
