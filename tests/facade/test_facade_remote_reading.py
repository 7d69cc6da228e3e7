"""A walk that another node asks for: pages of one tree, bounded in size, number and time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.node import Node
from khepri.encoding import pack
from khepri.errors import NodeNotFoundError, NoSuchServerError, NotDoneError, WrongTypeError
from khepri.log.shared_file_system import SharedFileSystem
from khepri.machine.command_codes import pattern_to_plain
from khepri.machine.conditions import IfNodeExists
from khepri.machine.paths import resolve_path
from khepri.machine.values import decode_value
from khepri.management import ClusterManager
from khepri.remote_reading import PAGE_BYTES, WALKS_MAX, RemoteReading
from khepri.store import Store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_SECONDS = 30.0


class Reader:
    """Asks as another node would."""

    def __init__(self, node: Node) -> None:
        self.reading = RemoteReading(node)

    def begin(self, pattern: str, *, is_one: bool = False, seconds: Any = 60.0) -> Any:
        plain = pattern_to_plain(resolve_path(pattern))
        return self.reading.read_store("khepri", plain, is_one, seconds).get(
            timeout=DEADLINE_SECONDS
        )

    def go_on(self, walk_id: Any, number: int) -> Any:
        return self.reading.read_on(walk_id, number).get(timeout=DEADLINE_SECONDS)


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node(file_system=SharedFileSystem())
    ClusterManager(made).start("/data")
    yield made
    made.stop()


@pytest.fixture
def large(node: Node) -> Reader:
    """A store that takes several pages."""
    with Store("khepri", node).batch() as batch:
        for number in range(10):
            batch.put(["many", str(number)], str(number) * (PAGE_BYTES // 4))
    return Reader(node)


def test_the_pages_fit_together_whatever_is_written_between_them(
    node: Node, large: Reader
) -> None:
    walk_id, rows, goes_on = large.begin("/many/*")
    pages = 1
    while goes_on:
        Store("khepri", node).delete_many("/many/*")
        _, more, goes_on = large.go_on(walk_id, pages)
        assert sum(len(payload) for _, payload in more) <= PAGE_BYTES
        rows += more
        pages += 1
    assert pages > 2
    assert [names for names, _ in rows] == [["many", str(number)] for number in range(10)]
    assert all(decode_value(payload)[0] == names[1] for names, payload in rows)


def test_conditions_count_in_the_size_of_a_page_of_an_export(node: Node) -> None:
    store = Store("khepri", node)
    many = {f"/{'x' * 500}/{number}": IfNodeExists(exists=False) for number in range(40)}
    for number in range(50):
        store.put(["many", str(number)], 1, keep_while=many)
    reader = Reader(node)
    first = reader.reading.export_store("khepri", None, 60.0).get(timeout=DEADLINE_SECONDS)
    walk_id, rows, goes_on, *_place = first
    pages = [rows]
    while goes_on:
        _, rows, goes_on = reader.go_on(walk_id, len(pages))
        pages.append(rows)
    assert sum(map(len, pages)) == 50
    assert all(len(pack(page)) < 1.1 * PAGE_BYTES for page in pages)


def test_a_walk_that_is_over_is_forgotten(large: Reader) -> None:
    walk_id, _, goes_on = large.begin("/many/*")
    number = 0
    while goes_on:
        number += 1
        _, _, goes_on = large.go_on(walk_id, number)
    with pytest.raises(NotDoneError, match="does not keep this walk"):
        large.go_on(walk_id, number + 1)


def test_a_walk_is_forgotten_when_the_time_of_its_reader_is_over(large: Reader) -> None:
    walk_id, _, _ = large.begin("/many/*", seconds=0.5)

    def is_forgotten() -> bool:
        large.begin("/many/1", is_one=True)  # somebody else reads
        return not large.reading._walks

    eventually(is_forgotten, "the end of the walk")
    with pytest.raises(NotDoneError, match="does not keep this walk"):
        large.go_on(walk_id, 1)


def test_a_page_that_is_not_the_next_one_is_refused(large: Reader) -> None:
    walk_id, _, _ = large.begin("/many/*")
    large.go_on(walk_id, 1)
    with pytest.raises(NotDoneError, match="page 2 is next, not 1"):
        large.go_on(walk_id, 1)


def test_one_walk_too_many_is_refused_and_the_others_go_on(large: Reader) -> None:
    walks = [large.begin("/many/*", seconds=600)[0] for _ in range(WALKS_MAX)]
    with pytest.raises(NotDoneError, match="are under way"):
        large.begin("/many/*")
    assert large.begin("/many/1")[1]  # what fits into one page needs no place
    assert all(large.go_on(walk_id, 1)[1] for walk_id in walks)


def test_what_cannot_be_read_is_told(node: Node, large: Reader) -> None:
    with pytest.raises(NodeNotFoundError):
        large.begin("/nothing", is_one=True)
    assert large.begin("/nothing/**")[1:] == [[], False]
    with pytest.raises(WrongTypeError):
        large.begin("/many", seconds="soon")
    with pytest.raises(NoSuchServerError):
        RemoteReading(node).read_store("other", [], False, 1.0).get(timeout=DEADLINE_SECONDS)


def test_what_is_shown_to_a_person_comes_in_pages_too(large: Reader, node: Node) -> None:
    with Store("khepri", node).batch() as batch:
        for number in range(3_000):
            batch.put(["more", str(number)], "x" * 500)
    first = large.reading.show_store("khepri", None, "all", True, False, 300, 60.0)
    walk_id, rows, goes_on = first.get(timeout=DEADLINE_SECONDS)
    number = 0
    while goes_on:
        number += 1
        _, more, goes_on = large.go_on(walk_id, number)
        rows += more
    assert number > 1
    file = io.StringIO()
    Store("khepri", node).info(limit=None, file=file)
    lines = file.getvalue().splitlines()
    assert [line[:40] for ((line,),) in rows] == [line[:40] for line in lines]
    with pytest.raises(WrongTypeError, match="limit"):
        large.reading.show_store("khepri", "3", "all", True, False, 80, 60.0)
