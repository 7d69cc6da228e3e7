"""`khepri.info`: a store shown to a person."""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import describing
from khepri.errors import InvalidOptionError, NoSuchServerError, WrongTypeError
from tests.facade.facade_helpers import PATIENCE_SECONDS, eventually, standing_still

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    """What looks like one."""

    def isatty(self) -> bool:
        return True


class Ascii(io.StringIO):
    """An output that has no other signs."""

    encoding = "ascii"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def told(store: khepri.Store, **options: Any) -> list[str]:
    file = io.StringIO()
    store.info(file=file, **options)
    return file.getvalue().splitlines()


def parts(store: khepri.Store, **options: Any) -> dict[str, list[str]]:
    """Give the lines of each part by its title."""
    by_title: dict[str, list[str]] = {}
    for part in "\n".join(told(store, **options)).split("\n\n"):
        title, *lines = part.split("\n")
        by_title[title.partition(":")[0]] = lines
    return by_title


def test_without_a_store_it_prints_which_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    khepri.info()
    assert capsys.readouterr().out == "No stores are running.\n"
    khepri.start(tmp_path / "data", "orders")
    khepri.start(tmp_path / "data", "customers")
    khepri.put("/a/b", 1, store_id="orders")
    khepri.put("/a", 1, store_id="customers")
    khepri.info()
    assert capsys.readouterr().out.splitlines() == [
        "Running stores:",
        "  customers  1 tree node",
        "  orders  2 tree nodes",
    ]


def test_an_empty_store_has_a_member_and_a_root(
    store: khepri.Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eventually(lambda: khepri.cluster.status("orders").leader, "a leader")
    khepri.info("orders")
    output = capsys.readouterr().out
    assert output.splitlines() == [
        f"orders in {tmp_path / 'data'}",
        "",
        "Members",
        "  nonode@nohost  voter, leads, this node",
        "",
        "Tree: 0 tree nodes below the root",
        "/",
    ]
    store.info()
    assert capsys.readouterr().out == output


def test_the_tree_is_drawn_with_payloads_as_python_has_them(store: khepri.Store) -> None:
    everything: dict[str, object] = {
        "/": "root",
        "/stock/2": b"\x00\xff",
        "/stock/10": (1, 2.5),
        "/stock/none": None,
        "/stock/text": "1",
        "/stock/one": 1,
        "/stock/proc": khepri.ProcedureName("restock"),
    }
    for path, data in everything.items():
        store.put(path, data)
    assert parts(store)["Tree"] == [
        "/: 'root'",
        "└── stock",
        "    ├── 2: b'\\x00\\xff'",
        "    ├── 10: (1, 2.5)",
        "    ├── none: None",
        "    ├── one: 1",
        "    ├── proc: procedure 'restock'",
        "    └── text: '1'",
    ]


def test_whatever_is_in_the_store_it_is_shown_on_short_lines_without_control_characters(
    store: khepri.Store,
) -> None:
    nested: object = 1
    for _ in range(20):
        nested = [nested, {"k": nested}] if not isinstance(nested, list) else [nested]
    odd = ["x\x1b[2J\n", "", "..", "a/b*", "\u202e"]
    store.put(odd, "\x1b[31m\r\n\u202e" + "y" * 500)
    store.put("/nested", nested)
    store.put("/list", list(range(1000)))
    store.put("/huge", b"z" * 100_000)
    store.put("/million", 10**18)
    lines = told(store)
    assert "├── huge: <100,005 bytes>" in lines
    for line in lines[1:]:
        assert line.isprintable()
        assert len(line) <= 80


def test_a_large_store_is_shown_in_part_and_the_rest_is_counted(store: khepri.Store) -> None:
    with store.batch() as batch:
        for number in range(3_000):
            batch.put(f"/users/{number}", number)
    store.put("/last", 1)
    lines = parts(store)["Tree"]
    assert lines[1:3] == ["├── last: 1", "└── users"]
    assert lines[-3:] == [
        "    ├── 97: 97",
        "    └── ... and 2,902 more",
        "100 of 3,002 tree nodes; limit=None shows all",
    ]
    assert len(lines) == 103
    assert len(parts(store, limit=None)["Tree"]) == 3_003
    assert parts(store, limit=1)["Tree"] == [
        "/",
        "├── last: 1",
        "└── ... and 1 more",
        "1 of 3,002 tree nodes; limit=None shows all",
    ]


def test_what_is_kept_while_what_else_is_there_is_told(store: khepri.Store) -> None:
    assert "Kept while" not in parts(store)
    store.put("/watched/ä", 1)
    store.put(
        "/watcher",
        1,
        keep_while={
            "/watched/ä": khepri.IfNodeExists(),
            "/watched/*": khepri.IfChildListLength(khepri.Lt(3)),
        },
    )
    assert parts(store)["Kept while"] == [
        "  /watcher  while /watched/*: IfChildListLength(count=Lt(operand=3))",
        "  /watcher  while /watched/ä: IfNodeExists(exists=True)",
    ]
    for number in range(5):
        store.put(f"/w/{number}", 1, keep_while={"/watched": khepri.IfNodeExists()})
    assert parts(store, limit=2)["Kept while"] == [
        "  /w/0  while /watched: IfNodeExists(exists=True)",
        "  /w/1  while /watched: IfNodeExists(exists=True)",
        "  ... and 4 more",
    ]


def test_what_lives_for_a_time_is_shown_with_its_end(store: khepri.Store) -> None:
    store.put("/lease", "ann", ttl=1000)
    end = store.adv.get("/lease", props_to_return=["expires_at"])["expires_at"]
    assert parts(store)["Tree"][1] == f"└── lease: 'ann'  (until {end:%Y-%m-%d %H:%M:%S} UTC)"


def test_projections_and_triggers_are_told_with_the_calls_that_are_owed(
    store: khepri.Store,
) -> None:
    before = parts(store)
    assert "Projections" not in before
    assert "Triggers" not in before
    reached, gate = threading.Event(), threading.Event()

    def procedure(_event: object) -> None:
        reached.set()
        assert gate.wait(PATIENCE_SECONDS)

    store.put("/proc", khepri.ProcedureName("info-waits"))
    khepri.register_procedure("info-waits", procedure)
    try:
        store.register_projection("/stock/**", khepri.Projection("copies", "copy"))
        store.register_trigger("audit", "/stock/*", "/proc", on_actions=["create"], priority=2)
        store.register_trigger("other", "/other", "/proc")
        store.put("/stock/a", 1)
        store.put("/stock/b", 1)
        assert reached.wait(PATIENCE_SECONDS)
        now = parts(store)
    finally:
        gate.set()
    assert now["Projections"] == ["  copies  /stock/**"]
    assert now["Triggers"] == [
        "  audit  create of /stock/* calls /proc, priority 2, 2 calls owed",
        "  other  create/update/delete of /other calls /proc",
    ]
    eventually(lambda: not store.triggers()["audit"].calls_owed, "the calls")
    khepri.unregister_procedure("info-waits")


def test_a_server_that_does_not_answer_is_said_to_be_so_and_the_rest_is_shown(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("/a", 1)
    monkeypatch.setattr(describing, "ANSWER_SECONDS", 0.05)
    with standing_still(store):
        begun = time.monotonic()
        now = parts(store, limit=1)
        assert time.monotonic() - begun < 5
    assert now["Members"][0].startswith("  cannot be asked: ")
    assert now["Members"][1:] == ["  as was known before:", "  nonode@nohost  leads, this node"]
    assert now["Tree"] == ["/", "└── a: 1"]


def test_there_are_colours_on_a_terminal_and_nowhere_else(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("/a", 1)

    def shown_on(file: io.StringIO) -> str:
        store.info(file=file)
        return file.getvalue()

    assert "└── \x1b[1ma\x1b[0m: \x1b[2m1\x1b[0m" in shown_on(Terminal())
    assert "\x1b" not in shown_on(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown_on(Terminal())


def test_an_output_without_the_signs_is_given_others(store: khepri.Store) -> None:
    store.put("/größe", "日" * 100)
    file = Ascii()
    store.info(file=file)
    assert "`-- gr\\xf6\\xdfe: '\\u65e5" in file.getvalue()
    assert file.getvalue().isascii()


def test_standard_output_is_looked_up_when_it_is_called(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    store.info()
    assert file.getvalue().startswith("orders in ")
    monkeypatch.setattr(sys, "stdout", None)  # as without a console
    store.info()
    khepri.info()


def test_wrong_arguments_and_stores_that_do_not_run_are_refused(store: khepri.Store) -> None:
    file = io.StringIO()
    odd: Any = "3"
    with pytest.raises(WrongTypeError, match="limit"):
        store.info(limit=odd, file=file)
    with pytest.raises(InvalidOptionError, match="limit"):
        khepri.info(limit=0, file=file)
    with pytest.raises(NoSuchServerError, match="nowhere"):
        khepri.info("nowhere", file=file)
    with pytest.raises(InvalidOptionError):
        khepri.info("", file=file)
    assert not file.getvalue()


def test_help_of_the_function_says_what_it_does_without_a_store() -> None:
    assert "Left out, nothing of a store is shown" in (khepri.info.__doc__ or "")


def test_the_width_is_the_terminal_s(store: khepri.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("/a", "x" * 500)
    monkeypatch.setenv("COLUMNS", "200")
    assert shutil.get_terminal_size().columns == 200
    assert len(parts(store)["Tree"][1]) == len("└── a: ") + 100
