"""``khepri serve`` and ``khepri cluster`` as an operator has them: real processes."""

from __future__ import annotations

import ctypes
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    import pytest

    from tests.cli.cli_site import Site


def test_three_nodes_become_a_cluster_and_a_leader_that_is_stopped_hands_over(site: Site) -> None:
    alice, bob, carol = site.three()
    names = sorted(served.name for served in (alice, bob, carol))
    assert [member["node"] for member in site.members(carol.name)] == names

    moved = site.cluster("transfer", bob.name, "--node", carol.name)
    assert (moved.returncode, moved.stdout) == (0, f"{bob.name} leads\n")
    again = site.cluster("transfer", bob.name, "--node", alice.name)
    assert again.returncode == 0

    assert bob.end(signal.SIGTERM) == 0
    assert bob.wait_for("has handed over")
    assert "SIGTERM" in bob.wait_for("stopping")
    leader = next(member["node"] for member in site.members(alice.name) if member["leads"])
    assert leader in {alice.name, carol.name}

    bob = site.serve(bob.name, "--join", alice.name)
    bob.wait_for("a member already")
    bob.wait_for("ready: ")
    assert not any("joining " in line and "not joining" not in line for line in bob.log)
    assert [served.end(signal.SIGINT) for served in (carol, bob, alice)] == [0, 0, 0]


def test_a_node_resets_joins_again_and_is_removed_when_it_is_dead(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("joined: ")
    assert len(site.members(alice.name)) == 2

    done = site.cluster("reset", "--node", bob.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert site.members(alice.name) == [{"node": alice.name, "leads": True}]
    assert site.members(bob.name) == [{"node": bob.name, "leads": True}]

    done = site.cluster("join", bob.name, "--node", alice.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(site.members(bob.name)) == 2

    carol = site.serve(site.name("carol"), "--join", alice.name)
    carol.wait_for("joined: ")
    carol.end(signal.SIGKILL)
    done = site.cluster("remove", carol.name, "--node", alice.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(site.members(bob.name)) == 2
    done = site.cluster("remove", carol.name, "--node", alice.name)
    assert done.returncode == 1
    assert "is no member" in done.stderr


def test_a_node_may_join_without_a_vote(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    bob = site.serve(site.name("bob"), "--join", alice.name, "--no-vote")
    bob.wait_for("joined: ")
    carol = site.serve(site.name("carol"))
    carol.wait_for("ready: ")
    done = site.cluster("join", alice.name, "--node", carol.name, "--no-vote")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(site.members(alice.name)) == 3
    for served in (bob, carol):
        served.end(signal.SIGKILL)
    assert len(site.members(alice.name)) == 3  # which a majority has confirmed: alice
    done = site.cluster("status", "--node", alice.name, "--output", "json")
    status = json.loads(done.stdout)
    assert status["kind"] == "voter"
    assert [peer["kind"] for peer in status["peers"]] == ["non_voter"] * 2
    told = site.cluster("status", "--node", alice.name).stdout
    assert told.count("knows machine version 1") == 2  # who holds an upgrade up is seen here


def test_status_describes_the_node_asked_also_without_a_majority(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("joined: ")
    alice.end(signal.SIGKILL)

    done = site.cluster("status", "--node", bob.name, "--output", "json")
    status = json.loads(done.stdout)
    assert status["node"] == bob.name
    assert sorted(status["members"]) == sorted([alice.name, bob.name])
    assert "tree_nodes:" in site.cluster("status", "--node", bob.name).stdout

    done = site.cluster("members", "--node", bob.name, "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{bob.name} needs a majority" in done.stderr


def test_the_wrong_cookie_is_refused_and_the_reason_is_told(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    done = site.cluster(
        "members", "--node", alice.name, "--timeout", "2", cookie_file=site.cookie("wrong")
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the cookie there differs" in done.stderr
    assert done.stderr.count("\n") == 1
    alice.wait_for("without the cookie")
    assert len(site.members(alice.name)) == 1  # and others are served as before


def test_a_node_that_is_not_there_is_told(site: Site) -> None:
    done = site.cluster("members", "--node", site.name("nobody"), "--timeout", "1")
    assert done.returncode == 1
    assert "nobody answers at the address" in done.stderr


def test_a_join_that_cannot_succeed_ends_the_daemon_with_the_reason(site: Site) -> None:
    bob = site.serve(site.name("bob"), "--join", site.name("nobody"), "--join-timeout", "1")
    assert bob.wait() == 1
    assert "cannot be reached" in bob.log[-2]


def test_a_signal_ends_a_daemon_that_waits_for_the_node_to_join(site: Site) -> None:
    bob = site.serve(site.name("bob"), "--join", site.name("nobody"))
    bob.wait_for("joining")
    assert bob.end(signal.SIGTERM) == 0


def test_a_signal_ends_a_daemon_whichever_thread_takes_it(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    tasks = Path(f"/proc/{alice.process.pid}/task")
    others = [int(task.name) for task in tasks.iterdir() if int(task.name) != alice.process.pid]
    assert ctypes.CDLL(None).tgkill(alice.process.pid, others[0], signal.SIGTERM) == 0
    assert alice.wait() == 0


def test_a_daemon_whose_terminal_is_closed_stops_in_order(site: Site) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else it is inherited, as after nohup
    try:
        alice = site.serve(site.name("alice"))
    finally:
        signal.signal(signal.SIGHUP, before)
    alice.wait_for("ready: ")
    assert alice.end(signal.SIGHUP) == 0
    assert "has stopped" in alice.wait_for("has stopped")


def test_a_daemon_without_a_leader_can_be_made_to_join(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("joined: ")
    # With her alice has a majority without bob, however long a command takes to start.
    carol = site.serve(site.name("carol"), "--join", alice.name)
    carol.wait_for("joined: ")
    assert bob.end() == 0
    assert site.cluster("remove", bob.name, "--node", alice.name).returncode == 0
    bob = site.serve(bob.name)
    bob.wait_for("is recovered")
    done = site.cluster("join", alice.name, "--node", bob.name)
    assert (done.returncode, done.stderr) == (0, "")
    bob.wait_for("ready: ")
    assert len(site.members(bob.name)) == 3


def test_a_daemon_that_was_removed_does_not_join_again_by_itself(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    bob = site.serve(site.name("bob"), "--join", alice.name)
    bob.wait_for("joined: ")
    assert site.cluster("remove", bob.name, "--node", alice.name).returncode == 0
    eventually(lambda: site.status(bob.name)["members"] == [alice.name], "news of the removal")
    assert bob.end() == 0
    bob = site.serve(bob.name, "--join", alice.name)
    assert alice.name in bob.wait_for("removed from the cluster")
    assert site.members(alice.name) == [{"node": alice.name, "leads": True}]


def test_what_is_to_be_joined_must_have_a_name(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    assert site.cluster("join", "nonsense", "--node", alice.name).returncode == 2
    assert site.serve(site.name("bob"), "--join", "nonsense").wait() == 2


def test_a_cookie_file_that_others_can_read_is_refused(site: Site) -> None:
    site.cookie_file.chmod(0o644)
    alice = site.serve(site.name("alice"))
    assert alice.wait() == 1
    assert "chmod 600" in alice.wait_for("khepri: ")


def test_settings_of_the_store_are_checked_before_anything_starts(site: Site) -> None:
    for wrong in ("snapshot_entrys=5", "snapshot_entries=many", "cluster_name=x"):
        alice = site.serve(site.name("alice"), "--set", wrong)
        assert alice.wait() == 2
        assert "argument --set" in alice.wait_for("khepri: ")
    assert not (site.directory / "alice").exists()


def test_a_daemon_that_ends_leaves_nothing_unclosed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready: ")
    assert alice.end() == 0
    assert not [line for line in alice.log if "Warning" in line]
