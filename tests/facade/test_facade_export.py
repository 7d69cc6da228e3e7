"""Exports: a file that is whole or not there, and writers of the caller's own."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import types
from khepri.errors import (
    DirectoryAccessError,
    DiskFullError,
    InvalidOptionError,
    InvalidPathError,
    KhepriTimeoutError,
    MisuseError,
    NoSuchServerError,
    WrongTypeError,
)
from khepri.export_file import CHUNK_BYTES, ExportFile
from khepri.testing import LocalCluster, memory_store

if TYPE_CHECKING:
    from collections.abc import Callable


class Lines:
    """A format of a user's own, in memory."""

    def __init__(self, *, fails_at: str = "", abort_fails: bool = False) -> None:
        self.lines: list[str] = []
        self.reasons: list[BaseException] = []
        self.fails_at = fails_at
        self.abort_fails = abort_fails

    def write(self, node: types.ExportedNode) -> None:
        if self.fails_at == str(node.path):
            raise ValueError("cannot write that")
        self.lines.append(f"{node.path} {node.data!r}")

    def commit(self) -> int:
        if self.fails_at == "commit":
            raise OSError("cannot commit")
        return len(self.lines)

    def abort(self, reason: BaseException) -> None:
        self.reasons.append(reason)
        self.lines.clear()
        if self.abort_fails:
            raise RuntimeError("cannot even abort") from reason


def nodes_in(path: str | os.PathLike[str]) -> list[types.ExportedNode]:
    file = ExportFile(path)
    try:
        return [node for nodes in file.read()[1] for node in nodes]
    finally:
        file.close()


def paths_in(path: str | os.PathLike[str]) -> list[str]:
    return [str(node.path) for node in nodes_in(path)]


@pytest.fixture
def filled(store: khepri.Store) -> khepri.Store:
    """Give a store with some of everything."""
    store.put("/", "the root")
    store.put("/stock/wood/oak", 156)
    store.put("/stock/wood/maple", {"logs": [24, None]})
    store.put("/stock/metal/iron", b"\x00\xff", keep_while={"/stock/wood": khepri.IfNodeExists()})
    store.put("/lock", "me", ttl=600)
    return store


def test_everything_is_exported_in_path_order_the_root_included(filled: khepri.Store) -> None:
    exported = filled.export("backup")
    view = filled.view()
    assert exported == types.Exported(5, view.index, view.term, None)
    expected = ["/", "/lock", "/stock/metal/iron", "/stock/wood/maple", "/stock/wood/oak"]
    assert paths_in("backup") == expected
    file = ExportFile("backup")
    origin, _ = file.read()
    file.close()
    assert (origin.store_id, origin.index, origin.term) == ("orders", view.index, view.term)
    expires = filled.adv.get("/lock", props_to_return=["expires_at"])["expires_at"]
    assert 599_000 < expires.timestamp() * 1000 - origin.time_milliseconds <= 600_000


@pytest.mark.parametrize(
    "pattern", ["/stock/wood/*", ["stock", "wood", khepri.STAR], khepri.realpath("/stock/wood/*")]
)
def test_a_part_is_exported_by_any_pattern(filled: khepri.Store, pattern: Any) -> None:
    """As a text too, with which Khepri's function crashes (BUG-11)."""
    assert filled.export("part", pattern).nodes == 2
    assert paths_in("part") == ["/stock/wood/maple", "/stock/wood/oak"]


def test_the_root_alone_is_exported_by_its_path(filled: khepri.Store) -> None:
    assert filled.export("root", "/").nodes == 1
    assert filled.export("no root", "/**").nodes == 4


def test_an_empty_store_is_exported_too(store: khepri.Store) -> None:
    assert store.export("nothing").nodes == 0
    assert store.import_("nothing").nodes == 0


def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left(
    filled: khepri.Store, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    filled.export(folder / "backup")
    assert os.listdir(folder) == ["backup"]  # noqa: PTH208
    assert (folder / "backup").stat().st_mode & 0o777 == 0o600
    assert (folder / "backup").stat().st_nlink == 1


def test_a_file_is_replaced_only_if_that_is_asked_for(filled: khepri.Store) -> None:
    filled.export("backup")
    before = Path("backup").read_bytes()
    filled.put("/more", 1)
    with pytest.raises(DirectoryAccessError, match="exists already"):
        filled.export("backup")
    assert Path("backup").read_bytes() == before
    assert filled.export("backup", overwrite=True).nodes == 6
    assert "/more" in paths_in("backup")


def test_what_is_no_file_is_never_replaced(filled: khepri.Store) -> None:
    """The superuser could replace even the devices that everybody writes to."""
    os.mkfifo("pipe")
    Path("link to it").symlink_to("pipe")
    for target in ("pipe", "link to it"):
        with pytest.raises(DirectoryAccessError, match="is no file") as error:
            filled.export(target, overwrite=True)
        assert error.value.path == target
    assert Path("pipe").is_fifo()
    assert Path("link to it").is_symlink()
    assert sorted(os.listdir(".")) == ["data", "link to it", "pipe"]  # noqa: PTH208


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(filled: khepri.Store) -> None:
    Path("folder").mkdir()
    Path("latest").symlink_to("folder/backup")
    with pytest.raises(DirectoryAccessError, match="exists already"):
        filled.export("latest")
    for _ in range(2):
        filled.export("latest", overwrite=True)
        assert Path("latest").is_symlink()
        assert os.listdir("folder") == ["backup"]  # noqa: PTH208
        assert "/" in paths_in("folder/backup")


def test_a_file_that_comes_while_the_export_goes_on_is_not_replaced(
    filled: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def meanwhile(descriptor: int) -> None:
        Path("backup").write_text("somebody else's", "utf-8")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(DirectoryAccessError, match="exists already"):
        filled.export("backup")
    assert Path("backup").read_text("utf-8") == "somebody else's"
    assert sorted(os.listdir(".")) == ["backup", "data"]  # noqa: PTH208


@pytest.mark.parametrize("has_come", [False, True])
def test_a_file_system_without_links_will_do(
    filled: khepri.Store, monkeypatch: pytest.MonkeyPatch, has_come: bool
) -> None:
    def no_links(*_: object, **__: object) -> None:
        if has_come:
            Path("backup").touch()
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    if has_come:
        with pytest.raises(DirectoryAccessError, match="exists already"):
            filled.export("backup")
    else:
        filled.export("backup")
        assert filled.import_("backup").nodes == 5
    assert sorted(os.listdir(".")) == ["backup", "data"]  # noqa: PTH208


@pytest.mark.parametrize("target", ["no/such/folder/backup", "data", "data/", "x" * 300])
def test_where_nothing_can_be_written_nothing_is(filled: khepri.Store, target: str) -> None:
    before = sorted(os.listdir("."))  # noqa: PTH208
    with pytest.raises(DirectoryAccessError) as error:
        filled.export(target, overwrite=True)
    assert error.value.path == target
    assert sorted(os.listdir(".")) == before  # noqa: PTH208


def test_a_folder_that_cannot_be_opened_at_the_end_leaves_no_file(
    filled: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_it = os.open

    def refuse(path: Any, flags: int, *more: Any, **others: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return open_it(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DirectoryAccessError):
        filled.export("backup")
    assert os.listdir(".") == ["data"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["fsync", "replace", "link"])
def test_a_disk_that_fills_up_leaves_no_file(
    filled: khepri.Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(DiskFullError) as error:
            filled.export("backup", overwrite=name == "replace")
    assert error.value.path == "backup"
    assert os.listdir(".") == ["data"]  # noqa: PTH208
    filled.export("backup")


def test_a_disk_that_is_full_from_the_beginning_leaves_no_file(
    filled: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fdopen: Callable[..., Any] = os.fdopen

    def on_a_full_disk(descriptor: int, mode: str) -> Any:
        os.close(descriptor)
        return fdopen(os.open("/dev/full", os.O_WRONLY), mode)

    filled.put("/large", "x" * 1_000_000)
    monkeypatch.setattr(os, "fdopen", on_a_full_disk)
    with pytest.raises(DiskFullError):
        filled.export("backup")
    assert os.listdir(".") == ["data"]  # noqa: PTH208


def test_an_export_shows_one_moment_while_writes_go_on(store: khepri.Store) -> None:
    pairs = 200
    with store.batch() as batch:
        for number in range(pairs):
            batch.put(["first", str(number)], 0)
            batch.put(["second", str(number)], 0)
    is_over = threading.Event()

    def write() -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            with store.batch() as batch:
                batch.put(["first", str(turn % pairs)], turn)
                batch.put(["second", str(turn % pairs)], turn)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(20):
            store.export(f"backup-{number}")
    finally:
        is_over.set()
        writer.join()
    for number in range(20):
        by_path = {node.path: node.data for node in nodes_in(f"backup-{number}")}
        for pair in range(pairs):
            first, second = khepri.Path(["first", str(pair)]), khepri.Path(["second", str(pair)])
            assert by_path[first] == by_path[second]


def test_the_writer_may_write_to_the_store_it_exports(store: khepri.Store) -> None:
    for number in range(10):
        store.put(["a", str(number)], number)

    class Copying(Lines):
        def write(self, node: types.ExportedNode) -> None:
            store.put(["copies", *node.path], node.data)
            super().write(node)

    assert store.export(Copying()).nodes == 10
    assert store.count("/copies/a/*") == 10


def test_a_writer_of_ones_own_is_given_each_tree_node_and_then_commits(
    filled: khepri.Store,
) -> None:
    writer = Lines()
    exported = filled.export(writer, "/stock/**")
    assert writer.lines == [
        "/stock/metal/iron b'\\x00\\xff'",
        "/stock/wood/maple {'logs': [24, None]}",
        "/stock/wood/oak 156",
    ]
    assert exported.nodes == exported.committed == 3
    assert writer.reasons == []
    assert isinstance(writer, types.ExportWriter)


@pytest.mark.parametrize("fails_at", ["/stock/wood/maple", "commit"])
def test_a_writer_that_raises_aborts_once_and_what_it_raised_is_raised(
    filled: khepri.Store, fails_at: str
) -> None:
    writer = Lines(fails_at=fails_at)
    with pytest.raises((ValueError, OSError), match="cannot") as error:
        filled.export(writer)
    assert writer.reasons == [error.value]
    assert writer.lines == []


def test_a_writer_that_cannot_even_abort_says_both(filled: khepri.Store) -> None:
    with pytest.raises(RuntimeError, match="cannot even abort") as error:
        filled.export(Lines(fails_at="commit", abort_fails=True))
    assert isinstance(error.value.__cause__, OSError)


@pytest.mark.parametrize("target", [None, 3, b"name", Lines, object(), ["name"], open])
def test_what_is_neither_a_file_nor_a_writer_is_refused(filled: khepri.Store, target: Any) -> None:
    with pytest.raises(WrongTypeError):
        filled.export(target)


@pytest.mark.parametrize("target", ["", "a\0b"])
def test_what_names_no_file_is_refused(filled: khepri.Store, target: str) -> None:
    with pytest.raises(InvalidOptionError):
        filled.export(target)


def test_bad_arguments_are_told_before_anything_is_written(filled: khepri.Store) -> None:
    bad: list[tuple[dict[str, Any], type[MisuseError]]] = [
        ({"path_pattern": 3}, InvalidPathError),
        ({"favor": "speed"}, InvalidOptionError),
        ({"timeout": -1}, InvalidOptionError),
        ({"overwrite": 1}, WrongTypeError),
        ({"overwrites": True}, WrongTypeError),
        ({"limit": 3}, WrongTypeError),
    ]
    for options, kind in bad:
        with pytest.raises(kind):
            filled.export("backup", **options)
    assert os.listdir(".") == ["data"]  # noqa: PTH208
    with pytest.raises(NoSuchServerError):
        khepri.Store("no-such-store").export("backup")


def test_the_tree_is_chosen_as_for_a_read() -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        other = next(number for number in cluster.running() if number != leader)
        cluster.store(leader).put("/a", 1)
        exported = cluster.store(other).export("consistent", favor="consistency")
        assert exported.nodes == 1
        again = cluster.store(other).export(
            "applied", condition=khepri.applied(exported.index, exported.term)
        )
        assert again.index >= exported.index
        for number in cluster.running():
            if number != other:
                cluster.pause(number)
        assert cluster.store(other).export("local").nodes == 1
        with pytest.raises(KhepriTimeoutError):
            cluster.store(other).export("never", favor="consistency", timeout=0.2)
        cluster.heal()
    assert not Path("never").exists()


def test_two_exports_of_one_tree_are_equal_but_for_their_time() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        one, two = Lines(), Lines()
        store.export(one)
        store.export(two)
        assert one.lines == two.lines


def test_conditions_count_in_the_size_of_a_part_of_the_file(store: khepri.Store) -> None:
    many = {f"/{'x' * 500}/{number}": khepri.IfNodeExists(exists=False) for number in range(40)}
    for number in range(50):
        store.put(["many", str(number)], 1, keep_while=many)
    store.export("backup")
    file = ExportFile("backup")
    parts = [len(nodes) for nodes in file.read()[1]]
    file.close()
    assert sum(parts) == 50
    assert max(parts) * 40 * 500 < 2 * CHUNK_BYTES
