"""Standard streams as shells leave them: closed, full, of another encoding."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from khepri.cli.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_SECONDS = 60.0


def in_shell(
    words: str, folder: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run ``khepri`` with words and redirections for a shell, in a folder."""
    settings = "".join(f"{name}={value} " for name, value in environment.items())
    command = f"{settings}{shlex.quote(sys.executable)} -m khepri {words}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data directory and a document."""
    made = tmp_path_factory.mktemp("streams")
    (made / "document.json").write_text(json.dumps({"a": "é😀", "b": [1, 2]}), "utf-8")
    assert in_shell("load document.json --data-dir data", made).returncode == 0
    return made


@pytest.mark.parametrize("nowhere", ["2>&-", "2>/dev/full"])
def test_a_command_ends_the_same_if_standard_error_takes_nothing(
    folder: Path, nowhere: str
) -> None:
    done = in_shell(f"get /nope --data-dir data {nowhere}", folder)
    assert (done.returncode, done.stdout) == (3, b"")
    done = in_shell(f"bogus {nowhere}", folder)
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_document_is_loaded_without_standard_error(folder: Path, tmp_path: Path) -> None:
    done = in_shell(f"load document.json --data-dir {tmp_path} 2>&-", folder)
    assert done.returncode == 0
    assert done.stdout.startswith(b"loaded 3 payloads")


def test_progress_that_nobody_can_be_told_does_not_stop_the_work() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            del text
            raise OSError(28, "No space left on device")

    progress = Progress("things", stream=Full(), quiet_seconds=0.0)
    progress.advance(5)
    progress.advance(5)
    progress.end()
    assert progress.done == 10


def test_a_full_standard_output_is_not_taken_for_the_disk_of_the_store(folder: Path) -> None:
    done = in_shell("get /a --data-dir data >/dev/full", folder)
    assert done.returncode == 1
    assert done.stderr == b"khepri: standard output: No space left on device\n"


def test_json_is_json_in_every_encoding_of_the_terminal(folder: Path) -> None:
    for encoding in ("ascii", "latin-1"):
        done = in_shell("dump /a --data-dir data", folder, PYTHONIOENCODING=encoding)
        assert json.loads(done.stdout.decode(encoding)) == {"path": "/a", "data": "é😀"}


def test_a_document_on_standard_input_is_utf_8_whatever_the_terminal_is(folder: Path) -> None:
    document = '{"é": "é"}'.encode()
    done = in_shell("load - --data-dir other", folder, document, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    done = in_shell(
        "put /é - --data-dir other", folder, '"ü"'.encode(), PYTHONIOENCODING="latin-1"
    )
    assert done.returncode == 0, done.stderr
    done = in_shell("dump --data-dir other", folder)
    assert json.loads(done.stdout) == {"path": "/%C3%A9", "data": "ü"}


def test_standard_input_that_is_not_utf_8_changes_nothing(folder: Path, tmp_path: Path) -> None:
    done = in_shell(f"load - --data-dir {tmp_path / 'new'}", folder, b'{"a": 1, "b": "\xff"}')
    assert done.returncode == 1
    assert b"standard input is not UTF-8 text" in done.stderr
    assert not (tmp_path / "new").exists()
