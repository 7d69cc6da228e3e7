"""The SegmentWriter when the disk refuses: nothing crashes, nothing is forgotten."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from khepri.actors.label import ActorLabel
from khepri.actors.segment_writer import FlushFile, ReleaseEntries, SegmentWriter
from khepri.errors import (
    DataCorruptionError,
    DirectoryAccessError,
    DiskFailedError,
    DiskFullError,
    StorageError,
)
from khepri.log.interface import ClosedFile
from khepri.raft.types import Index
from tests.actors.actors_helpers import WAIT_SECONDS
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("segment-writer", None, "alice")
FILE = ClosedFile(1, "path", 2)


class _Segments:
    """Segment files that refuse what they are told to refuse."""

    def __init__(self) -> None:
        self.refusal: StorageError | None = None
        self.refuses_to_release: set[str] = set()
        self.done: list[object] = []
        self.refused: list[str] = []

    def release(self, uid: str, snapshot_index: Index) -> None:
        if self.refusal is not None:
            self.refused.append("release")
            raise self.refusal
        if uid in self.refuses_to_release:
            raise DirectoryAccessError("no", path=uid, reason="denied")
        self.done.append((uid, snapshot_index))

    def flush(self, closed_file: ClosedFile) -> None:
        if self.refusal is not None:
            self.refused.append("flush")
            raise self.refusal
        self.done.append(closed_file)


@pytest.fixture
def segments(monkeypatch: pytest.MonkeyPatch) -> _Segments:
    monkeypatch.setattr("khepri.actors.segment_writer.RETRY_SECONDS", 0.01)
    return _Segments()


@pytest.fixture
def writer(segments: _Segments) -> Iterator[ActorReference]:
    left: list[ClosedFile] = []
    storage: Any = SimpleNamespace(take_segments=lambda: (segments, left))
    reference = SegmentWriter.start(LABEL, storage)
    reference.started.get(timeout=WAIT_SECONDS)
    yield reference
    reference.stop(timeout=WAIT_SECONDS)


def test_a_refusal_is_told_once_until_it_works_again(
    segments: _Segments, writer: ActorReference, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        segments.refused.clear()
        caplog.clear()
        segments.done.clear()
        segments.refusal = DiskFullError("no", path="here")
        writer.cast(FlushFile(FILE))
        eventually(lambda: len(segments.refused) >= 3, "several attempts")
        segments.refusal = None
        eventually(lambda: bool(segments.done), "it is done")
        assert len([it for it in caplog.records if it.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize("error", [DiskFullError, DiskFailedError, DirectoryAccessError])
def test_what_the_disk_refuses_is_done_when_it_works_again(
    segments: _Segments, writer: ActorReference, error: type[StorageError]
) -> None:
    segments.refusal = error("no", path="here")
    writer.cast(ReleaseEntries("uid", Index(7)))
    writer.cast(FlushFile(FILE))
    # A release that fails does not keep the files from being moved.
    eventually(lambda: {"release", "flush"} <= set(segments.refused), "both were tried")
    assert writer.is_alive()
    segments.refusal = None
    eventually(lambda: len(segments.done) == 2, "both are done")
    assert segments.done == [("uid", Index(7)), cast("object", FILE)]


def test_of_several_releases_of_a_store_the_newest_stands_for_all(
    segments: _Segments, writer: ActorReference
) -> None:
    segments.refusal = DiskFailedError("no", path="here")
    for index in (3, 5, 4):
        writer.cast(ReleaseEntries("uid", Index(index)))
    eventually(lambda: segments.refused, "it was tried")
    writer.cast(ReleaseEntries("other", Index(4)))
    segments.refusal = None
    eventually(lambda: ("other", Index(4)) in segments.done, "it is done")
    assert ("uid", Index(5)) in segments.done
    assert not {("uid", Index(3)), ("uid", Index(4))} & set(segments.done)


def test_damaged_segments_of_one_store_do_not_keep_the_others_from_theirs(
    segments: _Segments, writer: ActorReference
) -> None:
    segments.refusal = DataCorruptionError("no", path="here", offset=0, reason="damaged")
    writer.cast(ReleaseEntries("uid", Index(3)))
    eventually(lambda: segments.refused, "it was tried")
    segments.refusal = None
    writer.cast(ReleaseEntries("other", Index(4)))
    eventually(lambda: segments.done, "the other is done")
    assert segments.done == [("other", Index(4))]
    assert writer.is_alive()


def test_a_store_whose_folder_refuses_does_not_keep_the_others_from_dropping_segments(
    segments: _Segments, writer: ActorReference
) -> None:
    segments.refuses_to_release.add("uid")
    writer.cast(ReleaseEntries("uid", Index(3)))
    writer.cast(ReleaseEntries("other", Index(4)))
    eventually(lambda: segments.done, "the other is done")
    assert segments.done == [("other", Index(4))]
    segments.refuses_to_release.clear()
    eventually(lambda: len(segments.done) == 2, "both are done")
    assert segments.done[1] == ("uid", Index(3))
