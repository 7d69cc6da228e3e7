"""``python -O`` drops asserts, ``-OO`` docstrings too: neither may take a promise along."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

A_STORE_AND_A_CLUSTER = """
import pydoc
import khepri
from khepri import adv, aio
from khepri.testing import LocalCluster

def only(told, wanted):
    if told != wanted:
        raise SystemExit(f"{told!r} is not {wanted!r}")

def move(transaction):
    transaction.put("/moved", transaction.get("/stock/oak"))

only(__debug__, False)
with khepri.open("data") as store:
    store.put("/stock/oak", 156)
    store.transaction(move)
    with khepri.Lock("/lock"):
        only(store.get("/moved"), 156)
with khepri.open("data") as store:
    only(store.get("/moved"), 156)
with LocalCluster(3) as cluster:
    cluster.store(0).put("/colour", "green")
    cluster.kill(cluster.leader())
    survivor = cluster.store(cluster.running()[0])
    only(survivor.get("/colour", favor="consistency"), "green")
for thing in (khepri, khepri.Store, khepri.put, adv.put, aio.Store, aio.put):
    pydoc.render_doc(thing)
"""

WHAT_OTHER_MEMBERS_MAY_NOT_SAY = """
from khepri.raft.events import MessageReceived
from tests.raft.raft_helpers import make_leader, make_node
from tests.raft.raft_notation import append_entries, sid

def refused(node, sender, message):
    before = node.disk.hard_state
    try:
        node.step(MessageReceived(sid(sender), message))
    except AssertionError as error:
        if node.disk.hard_state == before:
            print(error)

def follower():
    node = make_node("A", term=1)
    node.receive("B", append_entries(1, (0, 0), "1:1 2:1"))
    return node

refused(make_leader("A"), "B", append_entries(1, (0, 0), "1:1"))
refused(follower(), "C", append_entries(1, (2, 1), "3:1"))
refused(follower(), "B", append_entries(1, (1, 1), "2:2"))
refused(follower(), "B", append_entries(1, (2, 1), "4:1"))
refused(follower(), "B", append_entries(1, (2, 1), "3:0"))
"""


def python(*words: str, cwd: pathlib.Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "XDG_CONFIG_HOME": str(cwd / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_a_store_and_a_cluster_work_without_asserts(flag: str, tmp_path: pathlib.Path) -> None:
    python(flag, "-c", A_STORE_AND_A_CLUSTER, cwd=tmp_path)


def test_the_command_line_works_and_tells_the_same(tmp_path: pathlib.Path) -> None:
    (tmp_path / "some.json").write_text('{"stock": {"oak": 156}}')
    command, directory = ("-OO", "-m", "khepri"), ("--data-dir", "data")
    python(*command, "load", "some.json", *directory, cwd=tmp_path)
    assert python(*command, "get", "/stock/oak", *directory, cwd=tmp_path) == "156\n"
    for words in (["--help"], ["serve", "--help"]):
        told = python(*command, *words, cwd=tmp_path)
        assert told == python("-m", "khepri", *words, cwd=tmp_path)


def test_what_no_member_may_say_is_refused_without_asserts_too() -> None:
    assert python("-O", "-c", WHAT_OTHER_MEMBERS_MAY_NOT_SAY).splitlines() == [
        "a term has one leader",
        "a term has one leader",
        "a leader does not contradict itself",
        "the log has no gaps",
        "terms never go down",
    ]


def asserts_that_do_something(source: str) -> list[int]:
    """Give the lines of asserts that name something, wait or yield besides looking."""
    doing = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assert) and any(isinstance(part, doing) for part in ast.walk(node))
    ]


def test_no_assert_does_anything_but_look() -> None:
    """What an assert would do besides is not done under ``-O``."""
    for top in ("khepri", "actors", "transport"):
        for file in (ROOT / top).rglob("*.py"):
            assert not asserts_that_do_something(file.read_text()), file


def test_an_assert_that_does_something_is_found() -> None:
    assert asserts_that_do_something("assert a\nassert (b := a)\nassert a(1)") == [2]
    assert asserts_that_do_something("async def f():\n    assert await a") == [2]
    assert asserts_that_do_something("def f():\n    assert (yield)") == [2]
