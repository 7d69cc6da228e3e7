"""The demonstration shows what it claims, and would notice if it did not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from khepri.cli.demo.__main__ import best_document
from khepri.cli.demo.crash import Acknowledged, problems
from khepri.cli.demo.document import TREE_NODES_MIN
from khepri.cli.demo.documents import DOCUMENTS
from khepri.cli.demo.writer import place
from khepri.cli.opening import open_data_dir

DEADLINE_SECONDS = 120.0


@pytest.mark.slow
def test_the_demonstration_keeps_every_promise_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "khepri.cli.demo", "--document", "characters"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    loaded = re.search(r"The tree has ([\d,]+) tree nodes", done.stdout)
    assert loaded is not None
    assert int(loaded[1].replace(",", "")) >= 10_000
    assert done.stdout.count("SIGKILL") >= 1
    assert len(re.findall(r"all [\d,]+ acknowledged writes and all", done.stdout)) == 3
    assert "leads next. Writes were stalled for" in done.stdout
    assert "came from the others' logs" in done.stdout
    assert "it was sent a snapshot" in done.stdout
    assert re.search(r"They are equal, and all [\d,]+ acknowledged writes are there", done.stdout)
    assert list(tmp_path.iterdir()) == []
    for pid in re.findall(r"process (\d+)", done.stdout):
        assert not Path(f"/proc/{pid}").exists()


def test_the_document_has_enough_tree_nodes_on_every_machine() -> None:
    assert DOCUMENTS[best_document()]().payload_count >= TREE_NODES_MIN


def written(thread: int, count: int) -> Acknowledged:
    acknowledged = Acknowledged()
    acknowledged.count_of[thread] = count
    return acknowledged


def test_a_store_with_every_acknowledged_write_has_no_problems(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        for number in range(3):
            store.put(place(0, number), number)
        assert problems(store, written(0, 3)) == []


def test_a_write_that_was_under_way_may_be_there(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        for number in range(3):
            store.put(place(0, number), number)
        assert problems(store, written(0, 2)) == []


def test_a_lost_write_is_noticed(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        for number in (0, 2):
            store.put(place(0, number), number)
        assert problems(store, written(0, 3)) == [
            "/written/0/1 was acknowledged and is lost",
        ]


def test_a_write_with_another_value_is_noticed(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        store.put(place(0, 0), "something else")
        assert len(problems(store, written(0, 1))) == 1


def test_a_write_that_was_applied_twice_is_noticed(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        store.put(place(0, 0), "first")
        store.put(place(0, 0), 0)
        assert problems(store, written(0, 1)) == ["/written/0/0 was written more than once"]


def test_values_that_nobody_wrote_are_noticed(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as store:
        for number in range(5):
            store.put(place(0, number), number)
        assert len(problems(store, written(0, 2))) == 1
