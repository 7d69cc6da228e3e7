"""Names of nodes, addresses to listen on, and what counts as loopback."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest

from khepri.errors import InvalidOptionError, ListenError, WrongTypeError
from khepri.transport.address import (
    Address,
    is_loopback,
    is_node_name,
    parse_listen_address,
    parse_node_name,
    resolve,
)


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("alice@127.0.0.1:5701", Address("127.0.0.1", 5701)),
        ("a.b_c-1@db1.example.org:1", Address("db1.example.org", 1)),
        ("bob@[::1]:5702", Address("::1", 5702)),
        ("bob@[fe80::1%eth0]:5702", Address("fe80::1%eth0", 5702)),
    ],
)
def test_a_node_name_carries_its_address(node: str, address: Address) -> None:
    assert parse_node_name(node) == address


@pytest.mark.parametrize(
    "node",
    [
        "",
        "?",
        "alice",
        "alice@host",
        "@host:1",
        "alice@:1",
        "alice@host:",
        "alice@host:x",
        "alice@host:65536",
        "alice@::1:5702",
        "alice@*:1",
        "al ice@host:1",
        "alice@ho st:1",
        "alice@bob@host:1",
        "alice@host:1\n",
        "a" * 200 + "@host:1",
    ],
)
def test_a_name_without_an_address_is_refused(node: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"name@host:port|no port"):
        parse_node_name(node)
    assert not is_node_name(node)


@pytest.mark.parametrize("node", ["a@127.0.0.1:0", "a@0.0.0.0:5701", "a@[::]:5701"])
def test_a_name_by_which_nobody_can_reach_the_node_is_refused(node: str) -> None:
    with pytest.raises(InvalidOptionError, match="nobody can reach"):
        parse_node_name(node)


@pytest.mark.parametrize("node", [5, None, b"alice@127.0.0.1:5701"])
def test_a_name_that_is_no_text_is_refused(node: Any) -> None:
    with pytest.raises(WrongTypeError, match="is a str"):
        parse_node_name(node)


def test_an_address_to_listen_on_has_no_name() -> None:
    assert parse_listen_address("*:0") == Address("*", 0)
    assert parse_listen_address("[::]:5701") == Address("::", 5701)
    assert parse_listen_address("0.0.0.0:5701") == Address("0.0.0.0", 5701)  # noqa: S104 - parsed
    with pytest.raises(InvalidOptionError, match="host:port"):
        parse_listen_address("alice@127.0.0.1:5701")


def test_an_address_to_listen_on_that_is_no_text_is_refused() -> None:
    with pytest.raises(WrongTypeError, match="is a str"):
        parse_listen_address(cast("Any", 5701))


def test_zeromq_sees_brackets_around_ipv6_only() -> None:
    assert Address("::1", 5).endpoint == "tcp://[::1]:5"
    assert Address("127.0.0.1", 5).endpoint == "tcp://127.0.0.1:5"


def test_a_host_name_is_bound_at_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 5701, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 5701)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 5701)),
    ]

    def find(*_arguments: object, **_options: object) -> object:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", find)

    assert resolve(Address("localhost", 5701)) == [
        Address("::1", 5701),
        Address("127.0.0.1", 5701),
    ]


def test_an_unknown_host_to_listen_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ListenError, match=r"nowhere\.invalid:5701"):
        resolve(Address("nowhere.invalid", 5701))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["127.0.0.1"], True),
        (["127.8.8.8", "::1"], True),
        (["*"], False),
        (["0.0.0.0"], False),  # noqa: S104 - not bound
        (["::"], False),
        (["10.0.0.1"], False),
        (["127.0.0.1", "10.0.0.1"], False),
    ],
)
def test_only_what_no_other_machine_can_reach_is_loopback(
    hosts: list[str], expected: bool
) -> None:
    assert is_loopback([Address(host, 1) for host in hosts]) is expected
