"""The command line as a user has it: processes, their output, their exit codes."""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from khepri.cli.main import main
from khepri.cli.store_setting import store_setting

DOCUMENT: dict[str, object] = {
    "services": {
        "database": {"host": "db1", "port": 5432, "tags": ["sql", "primary", "", None, "x\ny"]},
        "web": {"host": "ünï", "weight": 0.5, "on": True, "notes": {}},
    },
    "odd names": {"a/b": 1, "*": 2, "..": 3, "": 4, "%41": 5},
}
DEADLINE_SECONDS = 60.0


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def khepri(*words: str | Path, stdin: str = "") -> Done:
    """Run a command line in this process, which is much quicker than in one of its own."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    errors = io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
    ):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
    output.seek(0)
    return Done(code, output.read(), errors.getvalue())


def test_the_name_of_a_directory_is_not_empty() -> None:
    """As where a shell variable is not set; it would be the current directory."""
    done = khepri("load", "-", "--data-dir", "", stdin='{"a": 1}')
    assert done.returncode == 2
    assert "not empty" in done.stderr


def khepri_process(*words: str | Path) -> subprocess.Popen[str]:
    """Start ``python -m khepri`` with these words."""
    return subprocess.Popen(
        [sys.executable, "-m", "khepri", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the document in it."""
    folder = tmp_path_factory.mktemp("cli")
    file = folder / "document.json"
    file.write_text(json.dumps(DOCUMENT), "utf-8")
    done = khepri("load", file, "--data-dir", folder / "data")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loaded 16 payloads in ")
    return folder / "data"


def test_help_names_the_commands_and_the_exit_codes() -> None:
    with khepri_process("--help") as process:
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0
    for word in ("load", "get", "info", "tree", "dump", "exit codes:", "no such tree node"):
        assert word in output


def test_the_installed_command_is_the_same() -> None:
    installed = shutil.which("khepri", path=str(Path(sys.executable).parent))
    assert installed is not None
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == khepri("--version").stdout
    assert done.stdout.startswith("khepri 0.")


def test_get_prints_text_as_it_is_and_all_else_as_json(data_dir: Path) -> None:
    assert khepri("get", "/services/web/host", "--data-dir", data_dir).stdout == "ünï\n"
    assert khepri("get", "/services/web/on", "--data-dir", data_dir).stdout == "true\n"
    assert khepri("get", "/services/web/notes", "--data-dir", data_dir).stdout == "{}\n"


def test_get_gives_json_if_wanted(data_dir: Path) -> None:
    path = "/services/web/host"
    done = khepri("get", path, "--data-dir", data_dir, "--output", "json")
    assert done.stdout == '"ünï"\n'


def test_get_of_a_tree_node_without_payload_prints_nothing_or_null(data_dir: Path) -> None:
    done = khepri("get", "/services", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (0, "")
    done = khepri("get", "/services", "--data-dir", data_dir, "--output", "json")
    assert done.stdout == "null\n"


def test_every_name_can_be_loaded_and_asked_for(data_dir: Path) -> None:
    for path, payload in {"a%2Fb": 1, "%2A": 2, "%2E.": 3, "/": 4, "%2541": 5}.items():
        done = khepri("get", f"/odd%20names/{path}", "--data-dir", data_dir)
        assert (done.stdout, done.stderr) == (f"{payload}\n", "")


def test_what_is_not_there_is_said_in_one_line_with_its_own_exit_code(data_dir: Path) -> None:
    done = khepri("get", "/services/mail", "--data-dir", data_dir)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("khepri: ")
    assert "/services/mail" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_pattern_where_one_tree_node_is_wanted_is_misuse(data_dir: Path) -> None:
    done = khepri("get", "/services/*", "--data-dir", data_dir)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_wrong_command_line_is_told_in_one_line() -> None:
    for words in (
        [],
        ["fly"],
        ["get"],
        ["get", "/a"],
        ["tree", "--depth", "x", "--data-dir", "d"],
    ):
        done = khepri(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("khepri: ")
        assert done.stderr.count("\n") == 1


def test_a_missing_directory_is_refused_and_not_made(tmp_path: Path) -> None:
    for command in (["get", "/a"], ["tree"], ["dump"]):
        done = khepri(*command, "--data-dir", tmp_path / "nowhere")
        assert done.returncode == 4
        assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_not_there_is_refused_and_not_made(data_dir: Path) -> None:
    done = khepri("dump", "--data-dir", data_dir, "--store", "other")
    assert done.returncode == 4
    assert "other" in done.stderr
    assert done.stderr.count("\n") == 1


def test_dump_prints_one_json_line_for_each_tree_node(data_dir: Path) -> None:
    done = khepri("dump", "--data-dir", data_dir)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    by_path = {line["path"]: line for line in lines}
    assert len(by_path) == len(lines) == 21
    assert by_path["/services/database/port"] == {
        "path": "/services/database/port",
        "data": 5432,
    }
    assert by_path["/services/database/tags/3"]["data"] is None
    assert "data" not in by_path["/services/database"]


def test_dump_takes_a_pattern(data_dir: Path) -> None:
    done = khepri("dump", "/services/*/host", "--data-dir", data_dir, "--output", "plain")
    assert done.stdout.splitlines() == [
        '/services/database/host\t"db1"',
        '/services/web/host\t"ünï"',
    ]


def test_dump_of_nothing_is_empty_and_no_error(data_dir: Path) -> None:
    done = khepri("dump", "/nothing/**", "--data-dir", data_dir)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tree_draws_what_is_there(data_dir: Path) -> None:
    done = khepri("tree", "/services", "--data-dir", data_dir)
    assert done.stdout.splitlines() == [
        "/services",
        "├── database",
        "│   ├── host: db1",
        "│   ├── port: 5432",
        "│   └── tags",
        "│       ├── 0: sql",
        "│       ├── 1: primary",
        "│       ├── 2: ",
        "│       ├── 3: null",
        "│       └── 4: x y",
        "└── web",
        "    ├── host: ünï",
        "    ├── notes: {}",
        "    ├── on: true",
        "    └── weight: 0.5",
    ]


def test_info_shows_a_store_and_as_much_of_its_tree_as_is_wanted(data_dir: Path) -> None:
    done = khepri("info", "--data-dir", data_dir, "--limit", "4")
    assert done.stdout.splitlines() == [
        f"khepri in {data_dir}",
        "",
        "Members",
        "  nonode@nohost  voter, leads, this node",
        "",
        "Tree: 21 tree nodes below the root",
        "/",
        "├── odd names",
        '│   ├── "": 4',
        "│   ├── %2541: 5",
        "│   └── ... and 3 more",
        "└── services  (+14 below)",
        "4 of 21 tree nodes; --limit all shows all",
    ]
    assert "limit" not in khepri("info", "--data-dir", data_dir).stdout
    assert khepri("info", "--data-dir", data_dir / "none").returncode == 4


def test_tree_stops_at_a_depth(data_dir: Path) -> None:
    done = khepri("tree", "--depth", "1", "--data-dir", data_dir)
    assert done.stdout.splitlines() == ["/", "├── odd names", "└── services"]
    done = khepri("tree", "--depth", "0", "--data-dir", data_dir)
    assert done.stdout == "/\n"


def test_a_depth_that_no_path_has_is_all_there_is(data_dir: Path) -> None:
    everything = khepri("tree", "--data-dir", data_dir)
    assert khepri("tree", "--depth", "2000", "--data-dir", data_dir) == everything


def test_a_terminal_that_lacks_a_letter_is_given_its_number(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with khepri_process("get", "/services/web/host", "--data-dir", data_dir) as process:
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, output, errors) == (0, "\\u00fcn\\u00ef\n", "")


def test_a_damaged_store_is_told_in_one_line_with_the_exit_code_of_storage(
    data_dir: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "data"
    shutil.copytree(data_dir, damaged)
    (meta,) = damaged.glob("stores/*/meta")
    meta.write_bytes(b"\xff" * meta.stat().st_size)
    done = khepri("get", "/services", "--data-dir", damaged)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "meta" in done.stderr


def test_tree_of_a_missing_tree_node_is_told(data_dir: Path) -> None:
    done = khepri("tree", "/nothing", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (3, "khepri: there is no tree node /nothing\n")


def test_load_goes_under_a_path_and_reads_standard_input(tmp_path: Path) -> None:
    done = khepri("load", "-", "--data-dir", tmp_path, "--under", "/x/y", stdin='{"a": [1, 2]}')
    assert done.returncode == 0, done.stderr
    assert khepri("get", "/x/y/a/1", "--data-dir", tmp_path).stdout == "2\n"


def test_load_tells_its_figures_as_json(tmp_path: Path) -> None:
    done = khepri("load", "-", "--data-dir", tmp_path, "--output", "json", stdin="[1, 2, 3]")
    assert json.loads(done.stdout)["payloads"] == 3


def test_load_of_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    done = khepri("load", "-", "--data-dir", tmp_path / "data", stdin='{"a": 1')
    assert done.returncode == 1
    assert done.stderr.startswith("khepri: standard input is not JSON: ")
    assert not (tmp_path / "data").exists()


def test_load_of_a_number_without_end_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    file.write_text("1" * 5000, "utf-8")
    done = khepri("load", file, "--data-dir", tmp_path / "data")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_load_from_a_standard_input_that_is_closed_is_told(tmp_path: Path) -> None:
    with mock.patch.object(sys, "stdin", None):
        assert main(["load", "-", "--data-dir", str(tmp_path / "data")]) == 1


def test_load_of_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    done = khepri("load", tmp_path / "none.json", "--data-dir", tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr.endswith("none.json: No such file or directory\n")
    assert done.stderr.count("\n") == 1


def test_load_of_what_cannot_be_stored_says_what(tmp_path: Path) -> None:
    done = khepri("load", "-", "--data-dir", tmp_path, stdin=f'{{"a": {2**70}}}')
    assert done.returncode == 2
    assert "64 bits" in done.stderr


def test_load_under_a_pattern_is_misuse(tmp_path: Path) -> None:
    done = khepri("load", "-", "--data-dir", tmp_path, "--under", "/a/*", stdin="1")
    assert done.returncode == 2


def test_a_directory_in_use_is_told_with_the_exit_code_of_storage(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "khepri.cli.demo.writer", str(data_dir), "1"],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        done = khepri("get", "/services/web/on", "--data-dir", data_dir)
        holder.kill()
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    document = json.dumps([f"value {number}" * 10 for number in range(5_000)])
    assert khepri("load", "-", "--data-dir", tmp_path, stdin=document).returncode == 0
    with khepri_process("dump", "--data-dir", tmp_path) as dump:
        assert dump.stdout is not None
        assert dump.stderr is not None
        assert dump.stdout.readline()
        dump.stdout.close()
        errors = dump.stderr.read()
        assert dump.wait(DEADLINE_SECONDS) == 141
    assert errors == ""


def test_a_real_document_from_an_installed_package_comes_back_whole(tmp_path: Path) -> None:
    """The metadata of every installed distribution, as pip lists them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "inspect"], capture_output=True, text=True, check=True
    )
    done = khepri("load", "-", "--data-dir", tmp_path / "data", stdin=listed.stdout)
    assert done.returncode == 0, done.stderr
    document = json.loads(listed.stdout)
    host = khepri("get", "/environment/sys_platform", "--data-dir", tmp_path / "data")
    assert host.stdout.strip() == document["environment"]["sys_platform"]
    names = khepri(
        "dump", "/installed/*/metadata/name", "--output", "json", "--data-dir", tmp_path / "data"
    )
    assert sorted(json.loads(line)["data"] for line in names.stdout.splitlines()) == sorted(
        package["metadata"]["name"] for package in document["installed"]
    )


def test_an_interrupted_command_says_so(data_dir: Path) -> None:
    with mock.patch("khepri.cli.get.run", side_effect=KeyboardInterrupt):
        done = khepri("get", "/a", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (130, "khepri: interrupted\n")


def test_a_standard_output_that_is_closed_is_told(data_dir: Path) -> None:
    line = f"{sys.executable} -m khepri get /services/web/on --data-dir {data_dir} >&-"
    done = subprocess.run(["/bin/sh", "-c", line], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "khepri: standard output is closed\n")


def test_help_keeps_the_letters_of_names() -> None:
    assert "until SIGTERM or SIGINT." in khepri("serve", "--help").stdout
    assert "Put a JSON document" in khepri("load", "--help").stdout


def test_a_wrong_node_name_is_told_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    done = khepri("serve", "--name", "alice", "--data-dir", tmp_path / "data")
    assert done.returncode == 2
    assert done.stderr == "khepri: a distributed node is called name@host:port, not 'alice'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_read_is_told_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    done = khepri("dump", "--data-dir", tmp_path)
    assert done.returncode == 4
    assert done.stderr == f"khepri: no access to {tmp_path / 'registry'}: Is a directory\n"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("read_leases=false", ("read_leases", False)),
        ("read_leases=true", ("read_leases", True)),
        ("snapshot_entries=7", ("snapshot_entries", 7)),
    ],
)
def test_a_setting_of_the_store_is_read_by_its_kind(
    text: str, setting: tuple[str, object]
) -> None:
    assert store_setting(text) == setting


@pytest.mark.parametrize(
    "text", ["read_leases=1", "read_leases=", "snapshot_entries=x", "colour=1"]
)
def test_a_setting_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=text.partition("=")[0]):
        store_setting(text)


@pytest.mark.parametrize(
    "words",
    [
        ("--data-dir", ""),
        ("--data-dir", "new", "--store", ""),
        ("--data-dir", "new", "--join-timeout", "nan"),
        ("--data-dir", "new", "--join-timeout", "-1"),
    ],
)
def test_serve_refuses_wrong_words_before_anything_starts(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(  # in a process of its own, or a fault would serve for ever
        [sys.executable, "-m", "khepri", "serve", "--name", "alice@127.0.0.1:5701", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())
