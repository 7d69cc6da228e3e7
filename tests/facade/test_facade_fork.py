"""A forked child: the parent's stores are refused, its own ones work. Nothing hangs in it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_SECONDS = 60.0

PREAMBLE = """
import os
import khepri
from tests.fork_helpers import in_child, refused

khepri.start("of-parent")
khepri.put("/who", "parent")
"""


def run(directory: Path, scenario: str) -> None:
    """Run a scenario in a process of its own: a fork copies all that pytest has."""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREAMBLE + textwrap.dedent(scenario)],
        check=True,
        timeout=DEADLINE_SECONDS,
        cwd=directory,
    )


def test_the_child_is_refused_the_parents_store_and_the_parent_goes_on(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        store = khepri.Store("khepri")
        def child():
            refused(lambda: khepri.get("/who"))
            refused(lambda: store.put("/who", "child"))
            refused(lambda: khepri.view())
            refused(lambda: khepri.cluster.members())
            refused(lambda: khepri.cluster.status())
            assert khepri.get_store_ids() == []
        in_child(child)
        assert khepri.get("/who") == "parent"
        khepri.put("/who", "still the parent")
        """,
    )


def test_one_of_a_store_that_is_just_joining_is_not_read_there_either(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        from khepri.actors.default_node import default_node
        khepri.register_projection("/*", khepri.Projection("it", "copy"))
        table = khepri.projection("it")
        default_node().delete_store("khepri", will_return=True)
        def child():
            refused(lambda: table["/who"])
            refused(table.wait_for)
        in_child(child)
        assert table["/who"] == "parent"
        """,
    )


def test_a_projection_is_not_read_in_the_child_where_it_would_stand_still(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        khepri.register_projection("/*", khepri.Projection("it", "copy"))
        table = khepri.projection("it")
        subscription = khepri.subscribe("/*", lambda event: None)
        def child():
            subscription.close()
            refused(lambda: table["/who"])
            refused(lambda: table.get("/who"))
            refused(table.wait_for)
            refused(lambda: khepri.projection("it"))
            refused(lambda: khepri.subscribe("/*", print))
            khepri.start("of-child")
            khepri.put("/who", "child")
            khepri.register_projection("/*", khepri.Projection("it", "copy"))
            assert khepri.projection("it")["/who"] == "child"
            khepri.stop()
        in_child(child)
        khepri.put("/who", "still the parent")
        table.wait_for()
        assert table["/who"] == "still the parent"
        assert subscription.is_open
        """,
    )


def test_stopping_in_the_child_does_nothing_to_the_parent(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def child():
            khepri.stop()
            khepri.node.stop()
        in_child(child)
        khepri.put("/who", "still the parent")
        """,
    )


def test_the_child_may_open_a_store_of_its_own_also_under_the_same_name(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def child():
            khepri.start("of-child")
            khepri.put("/who", "child")
            assert khepri.get("/who") == "child"
            in_child(lambda: refused(lambda: khepri.get("/who")))
            khepri.stop()
            in_child(lambda: refused(lambda: khepri.get("/who")))
        in_child(child)
        assert khepri.get("/who") == "parent"
        """,
    )


def test_the_child_cannot_open_the_directory_that_its_parent_has(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def child():
            try:
                khepri.start("of-parent")
            except khepri.errors.DirectoryLockedError:
                return
            raise AssertionError("opened twice")
        in_child(child)
        khepri.stop()

        def heir():
            with khepri.open("of-parent") as store:
                assert store.get("/who") == "parent"
        in_child(heir)
        """,
    )


def test_the_child_of_a_distributed_node_may_be_a_node_itself(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import socket

        def free_name(name):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return f"{name}@127.0.0.1:{probe.getsockname()[1]}"

        cookie = bytes(range(32))
        khepri.stop()
        parent = free_name("parent")
        khepri.node.start(parent, cookie=cookie)

        def child():
            assert khepri.node.name() == "nonode@nohost"
            khepri.node.start(free_name("child"), cookie=cookie)
            assert khepri.node.ping(parent)
            khepri.node.stop()
        in_child(child)
        assert khepri.node.name() == parent
        """,
    )


def test_handles_of_stores_in_memory_are_refused_too_and_the_child_can_have_its_own(
    tmp_path: Path,
) -> None:
    run(
        tmp_path,
        """
        from khepri.testing import LocalCluster, memory_store
        def child():
            for store in (alone, one_of_two):
                refused(lambda: store.get("/who"))
                refused(lambda: store.get("/who", favor="consistency"))
                refused(lambda: store.put("/who", "child", async_=True))
                refused(store.view)
            alone.node.stop()
            cluster.stop()
            with memory_store() as own:
                own.put("/who", "child")
                in_child(lambda: refused(lambda: own.get("/who")))
                assert own.get("/who") == "child"
        with memory_store() as alone, LocalCluster(2) as cluster:
            one_of_two = cluster.store(1)
            alone.put("/who", "parent")
            one_of_two.put("/who", "parent")
            in_child(child)
            alone.put("/who", "still the parent")
            one_of_two.put("/who", "still the parent")
        """,
    )
