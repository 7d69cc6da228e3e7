"""``khepri export`` and ``khepri import``: of a directory, and of a running node."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.actors.node import Node
from khepri.store import open_store
from tests.cli.test_cli_commands import Done
from tests.cli.test_cli_commands import khepri as run_khepri

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.cli_site import Site

ALL = ("payload", "has_payload", "keep_while")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give the directory of a store with some of everything."""
    directory = tmp_path / "data"
    node = Node()
    with open_store(directory, node=node) as store:
        store.put("/", 0)
        store.put("/a", 1, keep_while={"/z": khepri.IfNodeExists(exists=False)})
        store.put("/stock/oak", b"\xff")
        store.put("/stock/maple", (24, None))
        store.put("/z/y", 2)
        store.put("/a", 1, keep_while={"/z/y": khepri.IfDataMatches(2)})
        store.put("/gone", 3, ttl=600)
    node.stop()
    return directory


def held_by(directory: Path) -> dict[khepri.Path, object]:
    node = Node()
    try:
        with open_store(directory, node=node) as store:
            found = store.adv.get_many("/**", include_root_props=True, props_to_return=ALL)
            return {path: dict(properties) for path, properties in found.items()}
    finally:
        node.stop()


def run(*words: str | Path) -> Done:
    return run_khepri(*words)


def test_a_directory_is_backed_up_and_put_back(data_dir: Path, tmp_path: Path) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    done = run("export", backup, "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("exported 6 tree nodes in ")
    done = run("import", backup, "--data-dir", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("imported 6 tree nodes in ")
    assert "left out" not in done.stdout
    assert held_by(other) == held_by(data_dir)
    assert run("import", backup, "--data-dir", other).returncode == 0
    assert held_by(other) == held_by(data_dir)


def test_a_part_is_backed_up_and_told_as_json(data_dir: Path, tmp_path: Path) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    done = run("export", backup, "/stock/*", "--data-dir", data_dir, "--output", "json")
    assert json.loads(done.stdout).keys() == {"nodes", "index", "term", "seconds"}
    assert json.loads(done.stdout)["nodes"] == 2
    done = run("import", backup, "--data-dir", other, "--output", "json")
    assert json.loads(done.stdout).keys() == {"nodes", "left_out", "seconds"}
    assert json.loads(done.stdout)["nodes"] == 2
    assert [str(path) for path in held_by(other)] == ["/", "/stock", "/stock/maple", "/stock/oak"]


def test_a_file_is_replaced_only_with_overwrite(data_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_text("precious", "utf-8")
    done = run("export", backup, "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert "exists already" in done.stderr
    assert backup.read_text("utf-8") == "precious"
    assert run("export", backup, "--data-dir", data_dir, "--overwrite").returncode == 0
    assert run("import", backup, "--data-dir", data_dir).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["backup", "data"]  # noqa: PTH208


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_file_that_cannot_be_there_is_told_with_its_name(
    data_dir: Path, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "no" / "folder"
    done = run(command, file, "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(file) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_file_makes_no_store_and_changes_none(data_dir: Path, tmp_path: Path) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    run("export", backup, "--data-dir", data_dir)
    backup.write_bytes(backup.read_bytes()[:-1])
    done = run("import", backup, "--data-dir", other)
    assert (done.returncode, done.stdout) == (1, "")
    assert "damaged at offset" in done.stderr
    assert not other.exists()


def test_a_directory_that_is_missing_is_another_error_than_a_file(tmp_path: Path) -> None:
    done = run("export", tmp_path / "backup", "--data-dir", tmp_path / "nothing")
    assert done.returncode == 4
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["export", "file"],
        ["export", "", "--data-dir", "data"],
        ["export", "file", "/" + "x" * 5_000, "--data-dir", "data"],
        ["export", "file", "--data-dir", "data", "--favor", "consistency"],
        ["export", "file", "--data-dir", "data", "--timeout", "3"],
        ["import", "--data-dir", "data"],
        ["import", "", "--data-dir", "data"],
        ["import", "file", "--data-dir", "data", "--node", "alice"],
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    words: list[str], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_dir.parent)
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_kept_is_told_with_its_path(data_dir: Path, tmp_path: Path) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    run("export", backup, "/a", "--data-dir", data_dir)
    done = run("import", backup, "--data-dir", other)
    assert done.returncode == 1
    assert "/a cannot be kept: /z/y" in done.stderr


@pytest.fixture
def backup_of_many(tmp_path: Path) -> Path:
    """Give a backup that takes several pages and batches."""
    directory, backup = tmp_path / "many", tmp_path / "many.backup"
    node = Node()
    with open_store(directory, node=node) as store:
        for number in range(1_500):
            store.put(["many", f"{number:04}"], "x" * 400, async_=True)
        store.put("/many", "the parent")
        store.put("/a", 1, keep_while={"/z": khepri.IfNodeExists(exists=False)})
        store.put("/queue", 2, keep_while={"./owner": khepri.IfNodeExists()})
        store.put("/lock", 3, ttl=600)
        store.export(backup)
    node.stop()
    return backup


def test_a_running_node_is_backed_up_and_written_to(site: Site, backup_of_many: Path) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    node = ("--node", alice.name)
    done = site.khepri("import", str(backup_of_many), *node)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("imported 1,504 tree nodes in ")
    again = site.khepri("import", str(backup_of_many), *node)
    assert (again.returncode, again.stderr) == (0, "")

    copy = site.directory / "copy"
    done = site.khepri("export", str(copy), *node, "--favor", "consistency")
    assert (done.returncode, done.stderr) == (0, "")
    part = site.khepri("export", str(site.directory / "part"), "/many/000*", *node)
    assert part.stdout.startswith("exported 10 tree nodes in ")
    existing = site.khepri("export", str(copy), *node)
    assert (existing.returncode, existing.stdout) == (1, "")
    refused = site.khepri("import", str(site.directory / "nothing"), *node)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert alice.end() == 0

    for name, file in (("one", backup_of_many), ("two", copy)):
        assert run("import", file, "--data-dir", site.directory / name).returncode == 0
    one, two = (held_by(site.directory / name) for name in ("one", "two"))
    assert one == two
    assert len(one) == 1_505


def test_what_cannot_be_kept_at_a_node_is_told_with_its_path(site: Site, data_dir: Path) -> None:
    backup = site.directory / "backup"
    run("export", backup, "/a", "--data-dir", data_dir)
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    done = site.khepri("import", str(backup), "--node", alice.name)
    assert done.returncode == 1
    assert "/a cannot be kept: /z/y" in done.stderr
