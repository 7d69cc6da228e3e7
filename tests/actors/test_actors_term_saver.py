"""What rests on a term and vote is done after the disk has them, and not before."""

from __future__ import annotations

import math

import pytest

from khepri.actors.term_saver import TermSaver
from khepri.actors.wal_writer import RETRY_SECONDS
from khepri.errors import DiskFullError
from khepri.raft.effects import Completed, PersistHardState, ReadReady, Send
from khepri.raft.events import LogWritten, MessageReceived, TimePassed
from khepri.raft.messages import TimeoutNow
from khepri.raft.types import HardState, Index, Term
from tests.raft.raft_notation import sid

VOTE = HardState(Term(3), sid("B"))
SPEAK = Send(sid("B"), TimeoutNow(Term(3)))
WRITTEN = LogWritten(Index(1), Term(3), 1)


class Disk:
    """Takes a term, or does not."""

    def __init__(self) -> None:
        self.is_full = False
        self.saved: list[HardState] = []

    def write(self, hard_state: HardState) -> None:
        if self.is_full:
            raise DiskFullError("no space", path="meta")
        self.saved.append(hard_state)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def saver(disk: Disk) -> TermSaver:
    return TermSaver(disk.write, "server")


def test_what_is_saved_at_once_holds_nothing_up(disk: Disk, saver: TermSaver) -> None:
    assert list(saver.save([PersistHardState(VOTE), SPEAK], 1.0)) == [SPEAK]
    assert (disk.saved, saver.is_done, saver.due) == ([VOTE], True, math.inf)


def test_nothing_is_said_before_the_disk_takes_the_vote(disk: Disk, saver: TermSaver) -> None:
    disk.is_full = True
    assert not saver.save([PersistHardState(VOTE), SPEAK], 1.0)
    assert (saver.is_done, saver.due) == (False, 1.0 + RETRY_SECONDS)
    assert not saver.hold([], 1.0)  # too early to try again
    assert not saver.hold([], 1.0 + RETRY_SECONDS)
    disk.is_full = False
    assert not saver.hold([], 1.0 + RETRY_SECONDS)
    assert list(saver.hold([], 1.0 + 2 * RETRY_SECONDS)) == [SPEAK]
    assert (disk.saved, saver.is_done, saver.due) == ([VOTE], True, math.inf)


def test_what_comes_meanwhile_is_kept_but_for_what_comes_again(
    disk: Disk, saver: TermSaver
) -> None:
    disk.is_full = True
    saver.save([PersistHardState(VOTE)], 0.0)
    message = MessageReceived(sid("C"), TimeoutNow(Term(3)), "uid")
    saver.hold([message, WRITTEN, TimePassed()], 0.0)
    disk.is_full = False
    saver.hold([], RETRY_SECONDS)
    assert saver.due == -math.inf  # the core is to hear of it at once
    assert saver.take_held() == [WRITTEN]
    assert saver.due == math.inf


def test_those_whose_answers_are_held_back_are_known(disk: Disk, saver: TermSaver) -> None:
    disk.is_full = True
    saver.save(
        [PersistHardState(VOTE), Completed("a", Index(1)), ReadReady("b", Index(1)), SPEAK], 0.0
    )
    assert saver.tickets() == ["a", "b"]


def test_the_same_refusal_is_logged_once(
    disk: Disk, saver: TermSaver, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full = True
    saver.save([PersistHardState(VOTE)], 0.0)
    for number in range(1, 5):
        saver.hold([], number * 1.0)
    assert [record.message for record in caplog.records] == [
        "server cannot save its term and will try again: no space"
    ]
