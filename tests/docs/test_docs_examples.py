"""The Python examples of the documents run, as a reader pastes them, one document at a time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from khepri import config
from khepri.actors.default_node import default_node

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "```python" in path.read_text("utf-8")
)
# A block of doctests is run by its own room (tests/machine/test_machine_documents.py).
BLOCK = re.compile(r"^```python\n(?!>>>)(.*?)^```", re.MULTILINE | re.DOTALL)


def examples_of(text: str) -> str:
    """Give the examples of a document as one program, each line at its place in the document."""
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for number, line in enumerate(block.group(1).splitlines(), first):
            lines[number] = line
    return "\n".join(lines)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config.reload()
    program = compile(examples_of(document.read_text("utf-8")), str(document), "exec")
    try:
        exec(program, {"__name__": "__example__"})  # noqa: S102 - our own documents
    finally:
        default_node().stop()


def test_an_example_that_fails_is_noticed_at_its_line() -> None:
    text = "# A\n\n```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n"
    program = examples_of(text)
    assert program.splitlines()[9] == "assert x == 2"
    with pytest.raises(AssertionError):
        exec(program, {})  # noqa: S102
