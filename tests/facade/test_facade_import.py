"""Imports: a file is put back as it was, or, if anything is wrong with it, nothing is."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import random
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import aio, types
from khepri.encoding import EncodingError, pack
from khepri.errors import (
    DataCorruptionError,
    DirectoryAccessError,
    InvalidOptionError,
    KeepWhileConditionsNotMetError,
    KhepriTimeoutError,
    NoSuchServerError,
    StorageError,
    UnknownFormatError,
    ValueTooLargeError,
    WrongTypeError,
)
from khepri.export_format import MAGIC, ChunkWriter, Origin
from khepri.import_sources import FileSource, ReaderSource
from khepri.machine.keep_while import Watch
from khepri.machine.tree import procedure_payload
from khepri.machine.values import ProcedureName
from khepri.testing import LocalCluster, memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PROPERTIES = ["payload", "has_payload", "raw_payload", "keep_while"]
VALUES: list[Any] = [
    None,
    True,
    -(2**63),
    2**64 - 1,
    math.inf,
    "ünï",
    b"\x00\xff",
    [],
    {},
    (1, [2, (3,)]),
    {"a": {1: None}},
    ProcedureName("run"),
]


class Listed:
    """A reader of nodes in memory, two at a time."""

    def __init__(self, *listed: Any, fails: bool = False, close_fails: bool = False) -> None:
        self.rest = list(listed)
        self.closed = 0
        self.fails = fails
        self.close_fails = close_fails

    def read(self) -> list[types.ExportedNode]:
        if self.fails and not self.rest:
            raise LookupError("cannot read on")
        given, self.rest = self.rest[:2], self.rest[2:]
        return given

    def close(self) -> str:
        self.closed += 1
        if self.close_fails:
            raise RuntimeError("cannot close")
        return "closed"


def everything(store: khepri.Store) -> dict[khepri.Path, types.NodeProperties]:
    return store.adv.get_many("/**", include_root_props=True, props_to_return=PROPERTIES)


@pytest.fixture
def target() -> Iterator[khepri.Store]:
    with memory_store("target") as opened:
        yield opened


@pytest.fixture
def filled(store: khepri.Store) -> khepri.Store:
    """Give a store with every kind of payload and several of conditions."""
    for number, value in enumerate(VALUES):
        node = types.ExportedNode.of(["values", str(number)], value)
        store.import_(Listed(node))
    store.put("/", "the root")
    store.put("/aaa", 1, keep_while={"/values/1": khepri.IfDataMatches(True)})
    store.put("/odd names/a%2Fb/%2A/..%2E", 1)
    store.put(
        "/zzz", 1, keep_while={"/values/*": khepri.IfHasPayload(), "/aaa": khepri.IfHasData()}
    )
    store.put("/bound", 1, keep_while={".": khepri.IfNodeExists(), "../aaa": khepri.IfHasData()})
    return store


def test_every_payload_and_every_condition_comes_back(
    filled: khepri.Store, target: khepri.Store
) -> None:
    exported = filled.export("backup")
    assert target.import_("backup") == types.Imported(exported.nodes, 0, None)
    assert everything(target) == everything(filled)
    assert target.view().held.root.children["values"].children["11"].payload == procedure_payload(
        "run"
    )
    target.put("/values/1", False)
    assert not target.exists("/aaa")
    assert not target.exists("/zzz")
    assert not target.exists("/bound")


def test_an_import_that_is_repeated_changes_nothing(
    filled: khepri.Store, target: khepri.Store
) -> None:
    filled.export("backup")
    target.import_("backup")
    view = target.view()
    target.import_("backup")
    assert target.diff("/", view) == []
    assert everything(target) == everything(filled)


def test_a_store_can_be_put_back_as_it_was(filled: khepri.Store) -> None:
    before = everything(filled)
    filled.export("backup")
    filled.delete_many("/*")
    filled.delete("/")
    filled.import_("backup")
    assert everything(filled) == before


def test_what_is_not_in_the_file_stays(filled: khepri.Store, target: khepri.Store) -> None:
    filled.export("backup", "/values/**")
    target.put("/values/1", "other", ttl=600)
    target.put("/values/new", 1)
    target.import_("backup")
    assert target.get("/values/1") is True
    assert "expires_at" not in target.adv.get("/values/1", props_to_return=["expires_at"])
    assert target.get("/values/new") == 1


def test_what_has_a_time_to_live_goes_when_what_was_left_is_over(
    store: khepri.Store, target: khepri.Store
) -> None:
    store.put("/short", 1, ttl=0.4)
    store.put("/long", 1, ttl=600)
    store.put("/under", 1, keep_while={"/short": khepri.IfNodeExists()})
    store.export("backup")
    assert target.import_("backup").left_out == 0
    eventually(lambda: not target.exists("/short"), "its end")
    assert not target.exists("/under")
    imported = target.import_("backup")
    assert imported == types.Imported(1, 2, None)
    assert set(target.get_many("/*")) == {khepri.Path("/long")}
    remaining = target.adv.get("/long", props_to_return=["expires_at"])["expires_at"].timestamp()
    given = store.adv.get("/long", props_to_return=["expires_at"])["expires_at"].timestamp()
    assert abs(remaining - given) < 5


def test_what_lives_under_something_that_is_nowhere_is_refused_by_its_path(
    store: khepri.Store, target: khepri.Store
) -> None:
    store.put("/jobs/7", 1)
    store.put("/workers/ann", 1)
    store.put("/jobs/8", 2, keep_while={"/workers/ann": khepri.IfNodeExists()})
    store.export("jobs", "/jobs/**")
    with pytest.raises(KeepWhileConditionsNotMetError, match=r"/jobs/8.*/workers/ann") as error:
        target.import_("jobs")
    assert error.value.node_path == khepri.Path("/jobs/8")
    assert any("to import again is safe" in note for note in error.value.__notes__)
    target.put("/workers/ann", 1)
    target.import_("jobs")
    target.delete("/workers/ann")
    assert target.get_many("/jobs/*") == {khepri.Path("/jobs/7"): 1}


def small_file(store: khepri.Store) -> bytes:
    store.put("/a", 1, ttl=600)
    store.put("/b", "x" * 20, keep_while={"/a": khepri.IfNodeExists()})
    store.export("small")
    return Path("small").read_bytes()


def test_a_file_that_is_cut_anywhere_changes_nothing(
    store: khepri.Store, target: khepri.Store
) -> None:
    data = small_file(store)
    place = target.view().index
    for length in range(len(data)):
        Path("cut").write_bytes(data[:length])
        with pytest.raises(DataCorruptionError, match="cut is damaged at offset") as error:
            target.import_("cut")
        assert error.value.path == "cut"
        assert 0 <= error.value.offset <= length
    assert target.view().index == place
    Path("cut").write_bytes(data)
    assert target.import_("cut").nodes == 2


def test_a_file_with_any_bit_changed_changes_nothing(
    store: khepri.Store, target: khepri.Store
) -> None:
    data = small_file(store)
    place = target.view().index
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            Path("flipped").write_bytes(damaged)
            with pytest.raises(DataCorruptionError) as error:
                target.import_("flipped")
            assert 0 <= error.value.offset <= at
    for junk in (b"\x00", data):
        Path("longer").write_bytes(data + junk)
        with pytest.raises(DataCorruptionError, match="more behind its end"):
            target.import_("longer")
    assert target.view().index == place


def test_parts_of_two_files_do_not_make_one(store: khepri.Store, target: khepri.Store) -> None:
    generator = random.Random(1)
    for number in range(3_000):
        store.put(["a", str(number)], generator.randbytes(40))
    store.export("one")
    one = Path("one").read_bytes()
    store.put("/a/2999", "other")
    store.export("two")
    two = Path("two").read_bytes()
    for at in range(50_000, len(one) - 100, 20_000):
        Path("mixed").write_bytes(one[:at] + two[at:])
        with pytest.raises(DataCorruptionError):
            target.import_("mixed")
    assert target.is_empty()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"khepriX", MAGIC, b"\x00" * 100, random.Random(7).randbytes(100)]
)
def test_a_foreign_file_is_refused_by_name(target: khepri.Store, content: bytes) -> None:
    Path("foreign").write_bytes(content)
    with pytest.raises(DataCorruptionError, match="foreign"):
        target.import_("foreign")


def made(*bodies: object) -> bytes:
    """Give a file with good checksums whatever is in it."""
    data, checksum = MAGIC, zlib.crc32(MAGIC)
    for body in bodies:
        packed = body if isinstance(body, bytes) else pack(body)
        for part in (len(packed).to_bytes(4, "big"), packed):
            checksum = zlib.crc32(part, checksum)
            word = checksum.to_bytes(4, "big")
            checksum = zlib.crc32(word, checksum)
            data += part + word
    return data


HEADER = [0, 1, "orders", 7, 1, 1]


ODD: list[tuple[Any, ...]] = [
    (b"\xc1",),
    (3,),
    ([],),
    ([0],),
    ([2, 0],),
    ([0, 1],),
    ([0, 1, "orders", 7, 1],),
    ([0, 1, "orders", 7, 1, None],),
    (HEADER,),
    (HEADER, HEADER),
    (HEADER, [2, 1]),
    (HEADER, [2, None]),
    (HEADER, [3, []], [2, 0]),
    (HEADER, [1, 3], [2, 0]),
    (HEADER, [1, [3]], [2, 1]),
    (HEADER, [1, [[["a"], b"\xc1"]]], [2, 1]),
    (HEADER, [1, [[["a"], b"\x01"]]], [2, 2]),
    (HEADER, [1, [[["a"], b"\x01"]]]),
    (HEADER, [1, []], [2, 0], [2, 0]),
]


@pytest.mark.parametrize("bodies", ODD)
def test_what_was_never_written_so_is_refused_as_damage(
    target: khepri.Store, bodies: tuple[Any, ...]
) -> None:
    Path("odd").write_bytes(made(*bodies))
    with pytest.raises(DataCorruptionError, match="odd is damaged"):
        target.import_("odd")
    assert target.is_empty()


def test_a_file_as_it_is_written_is_what_the_tests_make(target: khepri.Store) -> None:
    nodes = [[["a"], b"\x01"]]
    writer = ChunkWriter()
    written = writer.start(Origin("orders", 7, 1, 1)) + writer.nodes(nodes) + writer.end(1)
    assert written == made(HEADER, [1, nodes], [2, 1])
    Path("made").write_bytes(written)
    assert target.import_("made").nodes == 1


def test_a_file_of_a_later_version_is_refused_by_its_version(target: khepri.Store) -> None:
    Path("later").write_bytes(made([0, 2, {"whatever": 1}], [9]))
    with pytest.raises(UnknownFormatError, match=r"later.*version 2.*knows 1") as error:
        target.import_("later")
    assert error.value.version == 2


@pytest.mark.parametrize("source", ["no such file", "data", "/dev/null"])
def test_what_cannot_be_read_is_told_with_its_name(store: khepri.Store, source: str) -> None:
    with pytest.raises(DirectoryAccessError, match=source) as error:
        store.import_(source)
    assert error.value.path == source


def test_a_disk_that_cannot_be_read_is_told(
    filled: khepri.Store, target: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.export("backup")

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("khepri.export_format.zlib.crc32", fail)
    with pytest.raises(StorageError, match="backup"):
        target.import_("backup")


@pytest.mark.parametrize("source", [None, 3, b"name", Listed, object(), ["name"]])
def test_what_is_neither_a_file_nor_a_reader_is_refused(store: khepri.Store, source: Any) -> None:
    with pytest.raises(WrongTypeError):
        store.import_(source)


def test_bad_arguments_are_told_before_anything_is_read(store: khepri.Store) -> None:
    bad: list[dict[str, Any]] = [
        {"timeout": -1},
        {"priority": "high"},
        {"reply_from": 3},
        {"overwrite": True},
        {"favor": "consistency"},
    ]
    for options in bad:
        reader = Listed()
        with pytest.raises((InvalidOptionError, WrongTypeError)):
            store.import_(reader, **options)
        assert reader.closed == 0
    for name in ("", "a\0b"):
        with pytest.raises(InvalidOptionError):
            store.import_(name)
    with pytest.raises(NoSuchServerError):
        khepri.Store("no-such-store").import_(Listed())


def test_a_reader_of_ones_own_is_read_to_its_end_and_closed(target: khepri.Store) -> None:
    of = types.ExportedNode.of
    reader = Listed(
        of("/", 1),
        of("/a", 2, keep_while={"../z": khepri.IfDataMatches(5), ".": khepri.IfHasData()}),
        of("/b/c", None),
        types.ExportedNode(khepri.Path("/d"), None),
        of("/z", 5),
    )
    assert isinstance(reader, types.ExportReader)
    imported = target.import_(reader)
    assert (imported, reader.closed) == (types.Imported(5, 0, "closed"), 1)
    assert target.get("/") == 1
    assert target.get_many("/**")[khepri.Path("/b/c")] is None
    assert target.has_data("/b/c")
    assert not target.has_data("/d")
    target.put("/z", 6)
    assert not target.exists("/a")


@pytest.mark.parametrize("close_fails", [False, True])
def test_a_reader_that_raises_is_closed_and_what_it_raised_is_raised(
    target: khepri.Store, close_fails: bool
) -> None:
    of = types.ExportedNode.of
    reader = Listed(of("/a", 1), of("/b", 2), fails=True, close_fails=close_fails)
    with pytest.raises(LookupError, match="cannot read on") as error:
        target.import_(reader)
    assert reader.closed == 1
    assert any("cannot close" in note for note in error.value.__notes__) == close_fails


def test_a_reader_that_cannot_be_closed_at_the_end_is_told(target: khepri.Store) -> None:
    with pytest.raises(RuntimeError, match="cannot close"):
        target.import_(Listed(types.ExportedNode.of("/a", 1), close_fails=True))
    assert target.get("/a") == 1


WATCH = Watch(khepri.Path("/z"), khepri.IfNodeExists())


@pytest.mark.parametrize(
    "node",
    [
        None,
        ("/a", b"\x01"),
        types.ExportedNode("/a", b"\x01"),  # type: ignore[arg-type]
        types.ExportedNode(khepri.Path("/a"), 1),  # type: ignore[arg-type]
        types.ExportedNode(khepri.Path("/a"), b"\xc1"),
        types.ExportedNode(khepri.Path("/a"), b"\x01", {"/z": 1}),  # type: ignore[arg-type]
        types.ExportedNode(khepri.Path("/a"), b"\x01", (("/z", WATCH[1]),)),  # type: ignore[arg-type]
        types.ExportedNode(khepri.Path("/a"), b"\x01", (3,)),  # type: ignore[arg-type]
        types.ExportedNode(khepri.Path("/a"), b"\x01", (), -1, 1),
        types.ExportedNode(khepri.Path("/"), b"\x01", (WATCH,)),
    ],
)
def test_what_a_store_cannot_hold_is_refused_when_it_is_read(
    target: khepri.Store, node: Any
) -> None:
    with pytest.raises((WrongTypeError, InvalidOptionError, EncodingError)):
        target.import_(Listed(node))
    assert target.is_empty()


def test_a_reader_gives_lists(target: khepri.Store) -> None:
    Path("file").write_bytes(b"abc")
    with open("file", "rb") as file, pytest.raises(WrongTypeError, match="list"):  # noqa: PTH123
        target.import_(file)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_is_too_large_here_is_told_before_anything_is_written(
    store: khepri.Store, target: khepri.Store
) -> None:
    store.put("/a", 1)
    store.put("/large", "x" * 200_000)
    store.export("backup")
    khepri.config.set_env("max_command_bytes", 150_000)
    try:
        with pytest.raises(ValueTooLargeError, match="/large"):
            target.import_("backup")
    finally:
        khepri.config.unset_env("max_command_bytes")
    assert target.is_empty()


def test_a_small_limit_of_commands_makes_small_batches(
    store: khepri.Store, target: khepri.Store
) -> None:
    for number in range(300):
        store.put(["many", str(number)], "x" * 1_000, async_=True)
    store.put("/many", "the parent", ttl=600)
    store.export("backup")
    khepri.config.set_env("max_command_bytes", 70_000)
    try:
        assert target.import_("backup").nodes == 301
    finally:
        khepri.config.unset_env("max_command_bytes")
    assert everything(target) == everything(store)


def test_what_is_as_large_as_it_may_be_comes_back(
    store: khepri.Store, target: khepri.Store
) -> None:
    limit = khepri.config.get_max_command_bytes()
    overhead = 20
    while True:
        try:
            store.put("/large", "x" * (limit - overhead))
            break
        except ValueTooLargeError:
            overhead += 1
    store.put("/small", 1)
    store.export("backup")
    target.import_("backup")
    assert everything(target) == everything(store)


def test_a_store_of_three_members_takes_an_import_at_any_of_them(filled: khepri.Store) -> None:
    for number in range(2_000):
        filled.put(["many", f"{number:04}"], "x" * 300, async_=True)
    filled.fence()
    filled.export("backup")
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        follower = cluster.store(next(at for at in cluster.running() if at != leader))
        imported = follower.import_("backup", reply_from="leader", timeout=60)
        assert imported.left_out == 0
        assert everything(cluster.store(leader)) == everything(filled)
        again = follower.import_("backup", priority="low", timeout=60)
        assert again == imported
        for number in cluster.running():
            cluster.store(number).fence(timeout=60)
            assert everything(cluster.store(number)) == everything(filled)


def test_without_a_majority_an_import_ends_in_time_and_has_written_nothing(
    filled: khepri.Store,
) -> None:
    filled.export("backup")
    with LocalCluster(3) as cluster:
        for number in (1, 2):
            cluster.pause(number)
        with pytest.raises(KhepriTimeoutError):
            cluster.store(0).import_("backup", timeout=0.5)
        assert cluster.store(0).is_empty()


def test_what_was_under_way_when_the_majority_was_lost_does_not_come_late() -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        store = cluster.store(leader)

        class Cutting(Listed):
            def read(self) -> list[types.ExportedNode]:
                for number in set(cluster.running()) - {leader}:
                    cluster.pause(number)
                return [types.ExportedNode.of(["a", str(at)], "x" * 2_000) for at in range(1_500)]

        with pytest.raises(KhepriTimeoutError, match="seconds") as error:
            store.import_(Cutting(), timeout=1)
        assert any("at least 0 tree nodes" in note for note in error.value.__notes__)
        cluster.heal()
        store.put("/after", 1, timeout=60)
        count = store.count("/a/*", favor="consistency", timeout=60)
        store.put("/again", 1, timeout=60)
        assert store.count("/a/*", favor="consistency", timeout=60) == count


def test_the_functions_of_the_module_do_the_same(tmp_path: Path) -> None:
    khepri.start(tmp_path / "default")
    khepri.start(tmp_path / "other", "other")
    khepri.put("/a", 1)
    assert khepri.export(tmp_path / "backup").nodes == 1
    assert khepri.import_(tmp_path / "backup", store_id="other").nodes == 1
    assert khepri.get("/a", store_id="other") == 1
    assert khepri.export(tmp_path / "backup", store_id="other", overwrite=True).nodes == 1


def test_tasks_export_and_import_while_the_loop_goes_on(filled: khepri.Store) -> None:
    async def main() -> None:
        there = aio.Store("orders")
        exported = await there.export("backup", favor="consistency")
        part = await aio.export("part", "/values/*", store_id="orders")
        assert (part.nodes, exported.nodes) == (len(VALUES), len(VALUES) + 5)
        before = everything(filled)
        await there.delete_many("/*")
        imported = await aio.import_("backup", store_id="orders", timeout=20)
        assert imported.nodes == exported.nodes
        assert everything(filled) == before
        with pytest.raises(DirectoryAccessError):
            await there.export("backup")
        for wrong in (there.export("x", limit=3), there.import_("x", limit=3)):  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            with pytest.raises(WrongTypeError):
                await wrong

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves_no_file(store: khepri.Store) -> None:
    for number in range(2_000):
        store.put(["a", str(number)], number, async_=True)
    store.fence()
    began, goes_on, has_ended = threading.Event(), threading.Event(), threading.Event()
    reasons: list[BaseException] = []

    class Slow:
        def write(self, node: types.ExportedNode) -> None:  # noqa: ARG002 - as a writer has it
            began.set()
            assert goes_on.wait(20)

        def commit(self) -> None:
            raise AssertionError("it was cancelled")

        def abort(self, reason: BaseException) -> None:
            reasons.append(reason)
            has_ended.set()

    async def main() -> None:
        task = asyncio.create_task(aio.Store("orders").export(Slow()))
        assert await asyncio.to_thread(began.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()

    asyncio.run(main())
    assert has_ended.wait(20)
    assert "nobody waits" in str(reasons[0])


@pytest.mark.parametrize("waits_for", ["its turn", "a write"])
def test_a_task_that_is_cancelled_while_no_majority_answers_ends_its_thread(
    monkeypatch: pytest.MonkeyPatch, waits_for: str
) -> None:
    began, has_ended = threading.Event(), threading.Event()
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        store = cluster.store(leader)

        def cut(*_: object) -> None:
            for number in set(cluster.running()) - {leader}:
                cluster.pause(number)
            began.set()

        class Cutting(Listed):
            def read(self) -> list[types.ExportedNode]:
                given = super().read()
                if not given:
                    cut()
                return given

            def close(self) -> str:
                has_ended.set()
                return super().close()

        async def main() -> None:
            there = aio.Store(store.store_id, store.node)
            reader = Cutting(types.ExportedNode.of("/a", 1))
            if waits_for == "its turn":
                monkeypatch.setattr(ReaderSource, "check", cut)
            task = asyncio.create_task(there.import_(reader, timeout=600))
            assert await asyncio.to_thread(began.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            try:
                assert await asyncio.to_thread(has_ended.wait, 20)
            finally:
                cluster.heal()

        asyncio.run(main())


def test_a_file_is_not_read_on_once_nobody_waits(filled: khepri.Store) -> None:
    filled.export("backup")

    def look(_count: int) -> None:
        raise LookupError("nobody waits")

    source = FileSource("backup")
    with pytest.raises(LookupError):
        source.check(look)
    source.close()
