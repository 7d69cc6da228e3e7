"""The story of the demonstration.

A real document goes into a store and is asked questions. Then a second process writes to the
same directory and is killed with SIGKILL in the middle of it, three times over; each time the
directory is opened again and everything that was acknowledged must be there. At last three nodes
share a store, and two of them are killed (`three_nodes`).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from khepri.cli.json_document import flatten
from khepri.cli.load import put_all
from khepri.cli.opening import open_data_dir
from khepri.cli.progress import Progress
from khepri.errors import KhepriError
from khepri.machine.paths import Path as TreePath

from .crash import THREADS, Acknowledged, DemonstrationFailedError, problems, write_and_kill
from .document import TREE_NODES_MIN
from .documents import DOCUMENTS
from .queries import ask
from .story import Story
from .three_nodes import tell_of_three_nodes

if TYPE_CHECKING:
    from .document import Document

_KILLS = 3
_LOST = object()
_ACKNOWLEDGED_MIN, _ACKNOWLEDGED_MAX = 1_000, 4_000


def main() -> int:
    """Tell the story in a temporary directory; give 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="khepri.cli.demo", description="See khepri at work.")
    parser.add_argument("--document", choices=DOCUMENTS, help="default: packages, if any")
    wanted: str | None = parser.parse_args().document
    story = Story()
    try:
        with tempfile.TemporaryDirectory(prefix="khepri-demo-") as temporary:
            data_dir = Path(temporary) / "data"
            kind = wanted or best_document()
            document = DOCUMENTS[kind]()
            _load(data_dir, document, story)
            _query(data_dir, document, story)
            _kill(data_dir, document, story)
            tell_of_three_nodes(Path(temporary) / "nodes", kind, document, story)
    except (DemonstrationFailedError, KhepriError) as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    story.end("The temporary directory is gone.")
    return 0


def best_document() -> str:
    """Choose what the package manager knows, or the characters if that is too little."""
    is_enough = DOCUMENTS["packages"]().payload_count >= TREE_NODES_MIN
    return "packages" if is_enough else "characters"


def _load(data_dir: Path, document: Document, story: Story) -> None:
    story.chapter(f"Load {document.title}")
    progress = Progress("payloads", document.payload_count, quiet_seconds=0.0)
    with open_data_dir(data_dir) as store:
        put_all(store, flatten(document.content), progress)
        progress.end()
        story.tell(f"{progress}, all of them synced to the disk.")
        tree_nodes = store.count("/**")
        story.tell(f"The tree has {tree_nodes:,} tree nodes.")
    if tree_nodes < TREE_NODES_MIN:
        raise DemonstrationFailedError(f"the document has less than {TREE_NODES_MIN:,} tree nodes")


def _query(data_dir: Path, document: Document, story: Story) -> None:
    story.chapter("Close the store, open it again, and ask")
    started = time.monotonic()
    with open_data_dir(data_dir) as store:
        story.tell(f"Opened and recovered in {time.monotonic() - started:.2f} s.")
        for question in document.questions:
            ask(store, question, story)


def _kill(data_dir: Path, document: Document, story: Story) -> None:
    story.chapter(f"Kill a writing process with SIGKILL, {_KILLS} times")
    acknowledged = Acknowledged()
    for number in range(1, _KILLS + 1):
        enough = random.randint(_ACKNOWLEDGED_MIN, _ACKNOWLEDGED_MAX)  # noqa: S311 - not a secret
        write_and_kill(data_dir, enough, acknowledged)
        story.tell(
            f"Kill {number}: {acknowledged.last_round:,} writes were acknowledged"
            f" ({acknowledged.last_rate:,.0f}/s from {THREADS} blocking threads)."
        )
        started = time.monotonic()
        with open_data_dir(data_dir) as store:
            opened_seconds = time.monotonic() - started
            wrong = problems(store, acknowledged)
            everything = store.get_many("/**")
            missing = sum(
                everything.get(TreePath(names), _LOST) != value
                for names, value in flatten(document.content)
            )
        if wrong or missing:
            example = wrong[0] if wrong else ""
            raise DemonstrationFailedError(
                f"{len(wrong)} writes are wrong, {missing} of the document; {example}"
            )
        story.detail(
            f"Opened again in {opened_seconds:.2f} s: all {acknowledged.total:,} acknowledged"
            f" writes and all {document.payload_count:,} payloads of the document are there."
        )


if __name__ == "__main__":
    sys.exit(main())
