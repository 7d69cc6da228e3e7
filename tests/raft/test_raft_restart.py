"""What a member remembers over a restart beyond term, vote, log and snapshot."""

from __future__ import annotations

from khepri.raft.core import RaftCore
from khepri.raft.effects import ApplyEntries
from khepri.raft.events import MessageReceived
from khepri.raft.settings import RaftSettings
from khepri.raft.types import HardState, Index, Term
from tests.raft.raft_helpers import make_node
from tests.raft.raft_notation import append_entries, log, sid, uid, voters


def restarted(entries: str, committed: tuple[int, int]) -> RaftCore:
    """A, with that log on disk, and a note of what was committed."""
    return RaftCore(
        server_id=sid("A"),
        uid=uid("A"),
        hard_state=HardState(Term(3), None),
        snapshot=None,
        entries=log(entries),
        configuration=voters("ABC"),
        settings=RaftSettings(),
        random=lambda: 0.5,
        committed=(Index(committed[0]), Term(committed[1])),
    )


def test_what_was_committed_is_applied_without_waiting_for_a_leader() -> None:
    core = restarted("1:1 2:1 3:3", (2, 1))
    (applied,) = [e for e in core.step([], 0.0) if isinstance(e, ApplyEntries)]
    assert [entry.index for entry in applied.entries] == [1, 2]
    assert core.commit_index == 2


def test_a_note_about_an_entry_that_is_not_there_counts_for_nothing() -> None:
    for committed in ((2, 2), (4, 3)):
        core = restarted("1:1 2:1 3:3", committed)
        assert [e for e in core.step([], 0.0) if isinstance(e, ApplyEntries)] == []


def test_what_was_committed_cannot_be_cut_any_more() -> None:
    core = restarted("1:1 2:1 3:1", (2, 1))
    core.step([], 0.0)
    core.step([MessageReceived(sid("B"), append_entries(4, (2, 1), "3:4", commit=3))], 0.0)
    assert (core.last_index, core.commit_index) == (3, 3)


def test_the_note_is_about_what_is_applied_and_durable() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    node.receive("B", append_entries(1, (2, 1), "3:1", commit=3))
    assert node.core.last_applied == 3
    assert node.core.committed_and_durable == (2, 1)
    node.sync()
    assert node.core.committed_and_durable == (3, 1)
