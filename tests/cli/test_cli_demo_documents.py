"""The documents of the demonstration are read as they are on the machine."""

from pathlib import Path

from khepri.cli.demo.characters import read_characters
from khepri.cli.demo.document import TREE_NODES_MIN
from khepri.cli.demo.packages import read_packages

STATUS = """\
Package: bash
Status: install ok installed
Installed-Size: 7164
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1) | other
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.
 .
 Included in the bash package.
Version: 5.2

Package: libc6
Architecture: amd64
Version: 2.36

Package: libc6
Architecture: i386
Version: 2.36
"""


def dpkg(folder: Path) -> Path:
    """Lay out what dpkg keeps."""
    (folder / "status").write_text(STATUS)
    (folder / "info").mkdir()
    (folder / "info" / "bash.list").write_text("/.\n/bin\n/bin/bash\n/usr\n/usr/share\n")
    (folder / "info" / "libc6:amd64.list").write_text("/.\n/bin\n/lib\n/lib/libc.so.6\n")
    return folder


def test_packages_become_a_tree_of_fields(tmp_path: Path) -> None:
    document = read_packages(dpkg(tmp_path))
    packages = document.content["packages"]
    assert isinstance(packages, dict)
    assert packages["bash"] == {
        "Status": "install ok installed",
        "Installed-Size": 7164,
        "Depends": {
            "base-files": "base-files (>= 2.1.12)",
            "debianutils": "debianutils (>= 5.6-0.1) | other",
            "other": "debianutils (>= 5.6-0.1) | other",
        },
        "Description": "GNU Bourne Again SHell\n"
        " Bash is an sh-compatible command language interpreter.\n"
        " .\n"
        " Included in the bash package.",
        "Version": "5.2",
    }


def test_a_second_architecture_has_a_name_of_its_own(tmp_path: Path) -> None:
    document = read_packages(dpkg(tmp_path))
    packages = document.content["packages"]
    assert isinstance(packages, dict)
    assert list(packages) == ["bash", "libc6", "libc6:i386"]


def test_files_become_a_tree_that_says_who_owns_them(tmp_path: Path) -> None:
    document = read_packages(dpkg(tmp_path))
    assert document.content["files"] == {
        "bin": {"bash": "bash"},
        "lib": {"libc.so.6": "libc6:amd64"},
        "usr": {"share": "bash"},
    }


def test_a_machine_without_dpkg_has_no_packages(tmp_path: Path) -> None:
    assert read_packages(tmp_path).payload_count == 1  # the empty object


def test_every_machine_has_more_than_enough_characters() -> None:
    document = read_characters()
    assert document.payload_count >= 2 * TREE_NODES_MIN
    greek = document.content["characters"]
    assert isinstance(greek, dict)
    assert isinstance(greek["GREEK"], dict)
    assert greek["GREEK"]["03B1"] == {
        "name": "GREEK SMALL LETTER ALPHA",
        "category": "Ll",
        "bidirectional": "L",
    }
