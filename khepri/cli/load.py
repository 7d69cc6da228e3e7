"""``khepri load FILE.json``: put a JSON document into a store.

The document goes in batches, of which several are under way at once: the disk syncs one while the
next is made. Each batch is all or nothing; the document as a whole is not, so after an error the
message says how much is in.
"""

from __future__ import annotations

import pathlib
from collections import deque
from typing import TYPE_CHECKING, Any

from khepri.config import get_max_command_bytes
from khepri.errors import InvalidValueError, KhepriError, MisuseError, ValueTooLargeError
from khepri.machine.paths import Path

from .json_document import Json, Names, flatten, parse
from .outcomes import CommandError, ExitCode, complain
from .progress import Progress
from .reading import add_source_arguments
from .rendering import as_json
from .standard_input import read_standard_input
from .writing import open_for_writing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from khepri.actors.future import KhepriFuture

    from .writing import Writable

BATCH_OPERATIONS = 500
BATCHES_IN_FLIGHT = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("file", metavar="FILE.json", help="the document; - is standard input")
    add_source_arguments(parser)
    parser.add_argument(
        "--under", default="/", metavar="PATH", help="where the document's root goes (default: /)"
    )
    parser.add_argument(
        "--output",
        choices=("plain", "json"),
        default="plain",
        help="how much was loaded, for people (default) or as JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Load it; the whole document is read first, so a broken file changes nothing."""
    document = _read(arguments.file)
    under = Path(arguments.under)
    progress = Progress("payloads")
    try:
        with open_for_writing(arguments, create=True) as store:
            put_all(store, flatten(document, under), progress)
    except (KhepriError, KeyboardInterrupt):
        if progress.done:
            complain(f"at least the first {progress.done:,} payloads are in the store")
        raise
    finally:
        progress.end()
    _report(progress, arguments.output)
    return ExitCode.DONE


def put_all(store: Writable, payloads: Iterable[tuple[Names, Json]], progress: Progress) -> None:
    """Put payloads in batches; when it returns, all are on disk.

    Args:
        store: where to.
        payloads: places and what to put there.
        progress: is advanced by what is on disk.

    Raises:
        KhepriError: a batch was refused; what `progress` has counted is in the store.
    """
    waiting: deque[tuple[int, KhepriFuture[list[Any]]]] = deque()

    def wait_for_oldest() -> None:
        operations, future = waiting.popleft()
        future.get()
        progress.advance(operations)

    for chunk in _chunks(payloads, get_max_command_bytes() // 8):
        try:
            future = _send(store, chunk)
        except MisuseError:
            while waiting:
                wait_for_oldest()  # so that what is in the store is counted
            raise
        waiting.append((len(chunk), future))
        if len(waiting) >= BATCHES_IN_FLIGHT:
            wait_for_oldest()
    while waiting:
        wait_for_oldest()


def _send(store: Writable, chunk: list[tuple[Names, Json]]) -> KhepriFuture[list[Any]]:
    """Send one batch; what is wrong with a payload is told with its place.

    What is wrong with a path names it already.
    """
    batch = store.batch()
    for names, value in chunk:
        try:
            batch.put(names, value)
        except InvalidValueError as error:
            raise InvalidValueError(f"{Path(names)}: {error}", **error.facts) from error
    try:
        return batch.commit(async_=True)
    except ValueTooLargeError as error:  # so it came alone
        raise ValueTooLargeError(f"{Path(chunk[0][0])}: {error}", **error.facts) from error


def _chunks(
    payloads: Iterable[tuple[Names, Json]], most_characters: int
) -> Iterator[list[tuple[Names, Json]]]:
    """Cut payloads into batches that are no larger than a command may be.

    A character has four bytes at most; what is too large by itself comes alone, to be refused.
    """
    chunk: list[tuple[Names, Json]] = []
    characters = 0
    for names, value in payloads:
        size = 32 + sum(len(name) + 8 for name in names)
        size += len(value) if isinstance(value, str) else 0
        if chunk and (len(chunk) == BATCH_OPERATIONS or characters + size > most_characters):
            yield chunk
            chunk, characters = [], 0
        chunk.append((names, value))
        characters += size
    if chunk:
        yield chunk


def _read(file: str) -> Json:
    """Read and parse the document."""
    if file == "-":
        return parse(read_standard_input(is_json=True), "standard input")
    try:
        return parse(pathlib.Path(file).read_text("utf-8"), file)
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text: {error}") from error


def _report(progress: Progress, output: str) -> None:
    """Say how much was loaded and how fast."""
    seconds, rate = progress.elapsed_seconds, round(progress.rate)
    if output == "json":
        figures = {"payloads": progress.done, "seconds": seconds, "payloads_per_second": rate}
        print(as_json(figures))
    else:
        print(f"loaded {progress.done:,} payloads in {seconds:.1f} s ({rate:,}/s)")
