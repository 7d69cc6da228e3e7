"""What an operator's command line may have a node write, and what it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from khepri.config import get_max_command_bytes
from khepri.errors import (
    CommandFailedError,
    KhepriTimeoutError,
    MismatchingNodeError,
    NoSuchServerError,
    ValueTooLargeError,
    WrongTypeError,
)
from khepri.machine import commands
from khepri.machine.paths import Path
from khepri.machine.values import encode_value
from khepri.remote_management import offer_management
from khepri.testing import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

A = Path("/a")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2) as cluster:
        offer_management(cluster.node(0))
        yield cluster


def write(
    cluster: LocalCluster, command: Any, store_id: str = "khepri", seconds: Any = 5.0
) -> Any:
    node = cluster.node(0)
    return node.call(node.name, "write_store", (store_id, command, seconds), 20.0)


def test_a_command_is_applied_before_it_is_answered(cluster: LocalCluster) -> None:
    command = commands.encode(commands.put(A, encode_value(1)))
    assert write(cluster, command) is None
    assert cluster.store(0).get("/a") == 1
    assert write(cluster, command, seconds=float("inf")) is None


def test_what_the_tree_refuses_is_told(cluster: LocalCluster) -> None:
    cluster.store(0).put("/a", 1)
    with pytest.raises(MismatchingNodeError):
        write(cluster, commands.encode(commands.create(A, encode_value(2))))
    assert cluster.store(0).get("/a") == 1


def test_what_is_no_command_is_refused_and_harms_nothing(cluster: LocalCluster) -> None:
    for command, error in (
        ("text", WrongTypeError),
        (None, WrongTypeError),
        (b"\xc1 garbage", CommandFailedError),
        (commands.encode(commands.open_session(b"token")), CommandFailedError),
        (bytes(get_max_command_bytes() + 1), ValueTooLargeError),
    ):
        with pytest.raises(error):
            write(cluster, command)
    with pytest.raises(WrongTypeError):
        write(cluster, b"", seconds="soon")
    with pytest.raises(NoSuchServerError):
        write(cluster, b"", store_id="other")
    cluster.store(0).put("/a", 1)


def test_without_a_majority_it_ends_in_time(cluster: LocalCluster) -> None:
    cluster.kill(1)
    with pytest.raises(KhepriTimeoutError, match="the write was not answered"):
        write(cluster, commands.encode(commands.put(A, encode_value(1))), seconds=0.5)
