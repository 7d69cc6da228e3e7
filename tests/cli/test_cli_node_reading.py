"""``khepri get``, ``tree`` and ``dump`` of a running node, and of a directory it has left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.cli_site import Done, Served, Site

DOCUMENT = {"stock": {"oak": 156, "maple": {"logs": [24, "x"]}, "a/b": "ünï"}, "empty": {}}


def offline(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that speaks to nobody."""
    return subprocess.run(
        [sys.executable, "-m", "khepri", *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def serve(site: Site, document: object) -> Served:
    """Run a node whose store has the document in it: filled while it is down."""
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    assert alice.end() == 0
    done = offline("load", "-", "--data-dir", site.directory / "alice", stdin=json.dumps(document))
    assert done.returncode == 0, done.stderr
    alice = site.serve(alice.name)
    alice.wait_for("ready: ")
    return alice


def dumped(done: Done) -> dict[str, Any]:
    """Give what a dump has printed, by path."""
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    by_path = {line["path"]: line.get("data") for line in lines}
    assert len(by_path) == len(lines)
    return by_path


def test_what_was_loaded_belongs_to_the_first_node_that_serves_it(site: Site) -> None:
    alice, bob = site.name("alice"), site.name("bob")
    load = ("load", "-", "--data-dir", site.directory / "alice")
    assert offline(*load, stdin=json.dumps(DOCUMENT)).returncode == 0
    served = site.serve(alice)
    served.wait_for("ready: ")
    site.serve(bob, "--join", alice).wait_for("ready: ")
    for name in (alice, bob):
        assert site.khepri("get", "/stock/oak", "--node", name).stdout == "156\n"


def test_a_running_node_is_read_like_its_directory(site: Site) -> None:
    alice = serve(site, DOCUMENT)
    node = ("--node", alice.name)

    assert site.khepri("get", "/stock/oak", *node).stdout == "156\n"
    assert site.khepri("get", "/stock/a%2Fb", *node).stdout == "ünï\n"
    assert site.khepri("get", "/stock", *node, "--output", "json").stdout == "null\n"
    oak = site.khepri("get", "/stock/oak", *node, "--favor", "consistency")
    assert (oak.returncode, oak.stdout) == (0, "156\n")
    shallow = site.khepri("tree", "/", "--depth", "1", *node)
    assert shallow.stdout.splitlines() == ["/", "├── empty: {}", "└── stock"]

    tree = site.khepri("tree", *node)
    dump = site.khepri("dump", *node)
    info = site.khepri("info", *node, "--limit", "all")
    some = site.khepri("dump", "/stock/*", *node, "--output", "plain")
    assert alice.end() == 0
    directory = site.directory / "alice"
    assert offline("tree", "--data-dir", directory).stdout == tree.stdout
    assert offline("dump", "--data-dir", directory).stdout == dump.stdout
    assert offline("info", "--data-dir", directory).stdout == info.stdout
    assert f"  {alice.name}  voter, leads, this node" in info.stdout.splitlines()
    below = offline("dump", "/stock/*", "--data-dir", directory, "--output", "plain")
    assert below.stdout == some.stdout
    assert len(some.stdout.splitlines()) == 3


def test_what_is_not_there_or_not_allowed_is_told_as_for_a_directory(site: Site) -> None:
    alice = serve(site, DOCUMENT)
    for words, code, said in (
        (("get", "/nothing"), 3, "there is no tree node /nothing"),
        (("tree", "/nothing"), 3, "there is no tree node /nothing"),
        (("get", "/stock/*"), 2, "/stock/*"),
        (("get", "/a", "--store", "other"), 1, "does not run on"),
    ):
        done = site.khepri(*words, "--node", alice.name)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    nothing = site.khepri("dump", "/nothing/**", "--node", alice.name)
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "")


def test_a_large_store_comes_in_pages_and_whole(site: Site) -> None:
    large = {"large": "x" * 3_000_000, "many": [f"value {n} " * 20 for n in range(5_000)]}
    alice = serve(site, large)
    found = dumped(site.khepri("dump", "/**", "--node", alice.name))
    assert found.pop("/large") == large["large"]
    assert found.pop("/many") is None
    assert found == {f"/many/{n}": text for n, text in enumerate(large["many"])}
    assert dumped(site.khepri("dump", "/many/49*", "--node", alice.name)).keys() == {
        f"/many/{n}" for n in range(5_000) if str(n).startswith("49")
    }


def test_a_member_tells_what_it_has_without_a_majority_but_not_as_confirmed(site: Site) -> None:
    alice = serve(site, DOCUMENT)
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("ready: ")
    alice.end(signal.SIGKILL)
    done = site.khepri("get", "/stock/oak", "--node", bob.name)
    assert (done.returncode, done.stdout) == (0, "156\n")
    done = site.khepri(
        "get", "/stock/oak", "--node", bob.name, "--favor", "consistency", "--timeout", "1"
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_the_directory_of_a_member_can_be_read_but_not_written(site: Site) -> None:
    alice = serve(site, DOCUMENT)
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("ready: ")
    assert [bob.end(), alice.end()] == [0, 0]
    for name in ("alice", "bob"):
        directory = site.directory / name
        done = offline("get", "/stock/oak", "--data-dir", directory)
        assert (done.returncode, done.stdout) == (0, "156\n"), done.stderr
        done = offline("load", "-", "--data-dir", directory, stdin="[1]")
        assert done.returncode == 1
        assert "has other members" in done.stderr
        assert done.stderr.count("\n") == 1
    alice = site.serve(alice.name)
    bob = site.serve(bob.name)
    alice.wait_for("ready: ")
    bob.wait_for("ready: ")
    assert len(site.members(alice.name)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", "/a"], "one of the arguments --data-dir --node is required"),
        (["dump", "--data-dir", "d", "--node", "a@127.0.0.1:1"], "not allowed with"),
        (["tree", "--data-dir", "d", "--timeout", "3"], "--timeout goes with --node"),
        (["tree", "--data-dir", "d", "--favor", "consistency"], "--favor goes with --node"),
        (["tree", "--data-dir", "d", "--depth", "-1"], "a whole number from 0 up"),
        (["info", "--data-dir", "d", "--limit", "0"], "a whole number from 1 up"),
        (["info", "--data-dir", "d", "--limit", "some"], "a whole number from 1 up"),
    ],
)
def test_options_that_do_not_go_together_are_told(words: list[str], said: str) -> None:
    done = offline(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
