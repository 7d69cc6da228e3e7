"""``khepri put``, ``delete`` and ``load``, of a running node and of a directory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.cli_site import Done, Site


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    with khepri.open(tmp_path / "data") as store:
        store.put("/a/b", 1)
    return str(tmp_path / "data")


def run(*words: str) -> int:
    return main(words)


def check(done: Done, code: int, said: str = "") -> None:
    """See that a command ended as it should, with one line if it failed."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == (code != 0)


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        (["5432"], 5432),
        (["-7"], -7),
        (["-1.5e3"], -1500.0),
        (['{"a": [1, null]}'], {"a": [1, None]}),
        (['"five"'], "five"),
        (["--text", "5432"], "5432"),
        (["--text", ""], ""),
    ],
)
def test_put_takes_json_or_a_text(data_dir: str, words: list[str], payload: object) -> None:
    assert run("put", "/new/place", *words, "--data-dir", data_dir) == 0
    with khepri.open(data_dir) as store:
        assert store.get("/new/place") == payload
        assert store.get("/a/b") == 1


def test_put_reads_standard_input(data_dir: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "khepri", "put", "/a/b", "-", "--text", "--data-dir", data_dir],
        input="some\nlines\n",
        text=True,
        check=True,
        timeout=60,
    )
    with khepri.open(data_dir) as store:
        assert store.get("/a/b") == "some\nlines\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["put", "/a/b", "five"], 2, "the value is not JSON"),
        (["put", "/a/*", "1"], 2, "/a/*"),
        (["put", "/a/b", str(2**70)], 2, "64 bits"),
        (["delete", "/a/*"], 2, "/a/*"),
        (["put", "/a/b", "1", "--store", "other"], 4, "no store 'other'"),
        (["put", "/a/b", "1", "--timeout", "3"], 2, "--timeout goes with --node"),
    ],
)
def test_what_cannot_be_written_is_told_and_changes_nothing(
    data_dir: str, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--data-dir", data_dir) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
    with khepri.open(data_dir) as store:
        assert store.count("/**") == 2


def test_a_directory_that_is_not_there_is_not_made_for_one_payload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("put", "/a", "1", "--data-dir", str(tmp_path / "typo")) == 4
    assert "there is no khepri data directory" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_delete_removes_a_tree_node_or_with_many_all_matches(data_dir: str) -> None:
    with khepri.open(data_dir) as store:
        for name in ("x1", "x2", "y"):
            store.put(f"/a/{name}", name)
    assert run("delete", "/a/b", "--data-dir", data_dir) == 0
    assert run("delete", "/a/nothing", "--data-dir", data_dir) == 0
    assert run("delete", "/a/x*", "--many", "--data-dir", data_dir) == 0
    with khepri.open(data_dir) as store:
        assert store.get_many("/**") == {khepri.Path("/a"): None, khepri.Path("/a/y"): "y"}


def test_a_running_node_is_written_to_from_outside(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("ready: ")
    check(site.khepri("put", "/port", "5432", "--node", bob.name), 0)
    check(site.khepri("put", "/note", "--text", "five", "--node", alice.name), 0)
    for node in (alice.name, bob.name):
        read = ("--node", node, "--favor", "consistency")
        assert site.khepri("get", "/port", *read).stdout == "5432\n"
        assert site.khepri("get", "/note", *read).stdout == "five\n"
    check(site.khepri("delete", "/*t*", "--many", "--node", bob.name), 0)
    gone = site.khepri("get", "/note", "--node", alice.name, "--favor", "consistency")
    check(gone, 3, "there is no tree node /note")


def test_what_a_running_node_refuses_is_told_as_for_a_directory(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    node = ("--node", alice.name)
    check(site.khepri("put", "/a/*", "1", *node), 2, "/a/*")
    check(site.khepri("put", "/a", "five", *node), 2, "the value is not JSON")
    check(site.khepri("put", "/a", "1", "--store", "other", *node), 1, "does not run on")


def test_a_document_is_loaded_into_a_running_node(site: Site, tmp_path: Path) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    document = {"many": {f"n{n}": f"value {n}" for n in range(3_000)}, "odd names": {"a/b": None}}
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document), "utf-8")
    done = site.khepri("load", str(file), "--under", "/x", "--node", alice.name)
    assert (done.returncode, done.stdout.split()[:3]) == (0, ["loaded", "3,001", "payloads"])
    tree = site.khepri("dump", "/**", "--node", alice.name, "--output", "json")
    found = {line["path"]: line.get("data") for line in map(json.loads, tree.stdout.splitlines())}
    assert len(found) == 3_001 + 3
    assert found["/x/many/n2999"] == "value 2999"
    assert found["/x/odd%20names/a%2Fb"] is None


def test_without_a_majority_a_write_from_outside_ends_in_time_and_says_so(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("ready: ")
    alice.end(signal.SIGKILL)
    done = site.khepri("put", "/a", "1", "--node", bob.name, "--timeout", "1.5")
    check(done, 1, "needs a majority of the members for that; it may still be applied")
    assert "the write was not answered" in done.stderr
