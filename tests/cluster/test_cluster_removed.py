"""A member that was removed while it ran can be started again: it serves reads of the past."""

from __future__ import annotations

from khepri.actors.actor_errors import ActorStoppedError
from khepri.actors.remote_calls import Answer
from khepri.errors import ServerStoppedError
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import eventually


def test_a_member_that_was_removed_from_a_cluster_of_two_starts_at_once() -> None:
    with LocalCluster(2) as cluster:
        cluster.store(1).put("/a", 1)
        cluster.store(1).fence()
        cluster.manager(0).remove_member(cluster.node(1).name)
        manager = cluster.manager(1)
        place = cluster.node(1).store_setup("khepri")[0].storage.path
        name = cluster.node(0).name
        eventually(lambda: manager.locally_known_nodes() == [name], "news of the removal")
        manager.stop()
        manager.start(place, timeout=5.0)
        assert cluster.store(1).get("/a") == 1


def test_an_error_of_an_actor_keeps_its_public_class_between_nodes() -> None:
    answer = Answer(1, None, ActorStoppedError("it ended", outcome="unknown"))
    error = Answer.decode(answer.encode()).error
    assert type(error) is ServerStoppedError
    assert error.facts["outcome"] == "unknown"
