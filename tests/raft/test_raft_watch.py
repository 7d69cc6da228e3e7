"""The invariant checks of the tests see a violation when there is one."""

from __future__ import annotations

import pytest

from khepri.raft.types import HardState, Index, Term
from tests.raft.raft_cluster import Cluster, Watch
from tests.raft.raft_helpers import make_leader, make_node
from tests.raft.raft_notation import entry, sid


def test_two_leaders_of_a_term_are_seen() -> None:
    watch = Watch()
    watch.stepped(make_leader("A"))
    with pytest.raises(AssertionError, match="I1"):
        watch.stepped(make_leader("B", supporters="AC"))


def test_a_second_vote_in_a_term_is_seen() -> None:
    watch = Watch()
    node = make_node("A", term=3)
    node.disk.hard_state = HardState(Term(3), sid("B"))
    watch.stepped(node)
    node.disk.hard_state = HardState(Term(3), sid("C"))
    with pytest.raises(AssertionError, match="I2"):
        watch.stepped(node)


def test_a_term_that_goes_back_is_seen() -> None:
    watch = Watch()
    watch.stepped(make_node("A", term=3))
    with pytest.raises(AssertionError, match="I3"):
        watch.stepped(make_node("A", term=2))
    with pytest.raises(AssertionError, match="I3"):
        watch.restarted(make_node("A", term=2))


def test_two_commands_at_one_index_are_seen() -> None:
    watch = Watch()
    for name, data in (("A", b"one"), ("B", b"other")):
        node = make_node(name, term=3)
        node.machine = [entry(1, 1, data)]
        if name == "A":
            watch.stepped(node)
        else:
            with pytest.raises(AssertionError, match="I7"):
                watch.stepped(node)


def test_a_commit_index_that_goes_back_is_seen() -> None:
    watch = Watch()
    node = make_node("A", entries="1:1", term=1)
    node.core._server.commit_to(Index(1))
    watch.stepped(node)
    node.core._server.commit_index = Index(0)
    with pytest.raises(AssertionError, match="I8"):
        watch.stepped(node)


def test_waiting_for_what_never_comes_fails() -> None:
    cluster = Cluster("ABC")
    with pytest.raises(AssertionError):
        cluster.wait_for_leader(1.0)
