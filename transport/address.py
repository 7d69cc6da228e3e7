"""Names of nodes and the addresses in them: ``alice@10.0.0.1:5701``, ``bob@[::1]:5702``.

The name carries the address, so there is no port mapper. What is listened on may differ from it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from khepri.errors import InvalidOptionError, ListenError, WrongTypeError

NODE_NAME_BYTES = 200
"""The longest node name. ZAP carries it as the User-Id, which ends at 255 bytes."""

_HOST = r"\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:@\[\]*]+"
_NODE = re.compile(rf"[A-Za-z0-9_.+-]+@(?P<host>{_HOST}):(?P<port>[0-9]+)")
_LISTEN = re.compile(rf"(?P<host>\*|{_HOST}):(?P<port>[0-9]+)")
_LAST_PORT = 65_535


class Address(NamedTuple):
    """A host (name or IP literal, without brackets) and a TCP port."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """The address as ZeroMQ writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def parse_node_name(node: str) -> Address:
    """Give the address inside the name of a node.

    Raises:
        WrongTypeError: the name is no text.
        InvalidOptionError: it is not ``name@host:port``, or too long, or nobody can reach it.
    """
    if not isinstance(node, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a user's word
        raise WrongTypeError(
            f"the name of a node is a str, not {node!r:.200}", option="node", value=node
        )
    match = _NODE.fullmatch(node)
    if match is None or len(node.encode()) > NODE_NAME_BYTES:
        raise InvalidOptionError(
            f"a distributed node is called name@host:port, not {node!r}", option="node", value=node
        )
    address = _address(match, "node", node)
    if address.port == 0 or _is_every_interface(address.host):
        raise InvalidOptionError(
            f"nobody can reach {node!r}: the name has the address that others connect to; what to "
            "bind is said by listen",
            option="node",
            value=node,
        )
    return address


def _is_every_interface(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def is_node_name(text: str) -> bool:
    """Say whether `parse_node_name` would take it."""
    try:
        parse_node_name(text)
    except InvalidOptionError:
        return False
    return True


def parse_listen_address(listen: str) -> Address:
    """Give the address to listen on; the host ``*`` means every interface, port 0 any free port.

    Raises:
        WrongTypeError: the address is no text.
        InvalidOptionError: the text is not ``host:port``.
    """
    if not isinstance(listen, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a user's word
        raise WrongTypeError(
            f"listen is a str, not {listen!r:.200}", option="listen", value=listen
        )
    match = _LISTEN.fullmatch(listen)
    if match is None:
        raise InvalidOptionError(
            f"listen must be host:port, not {listen!r}", option="listen", value=listen
        )
    return _address(match, "listen", listen)


def _address(match: re.Match[str], option: str, text: str) -> Address:
    port = int(match["port"])
    if port > _LAST_PORT:
        raise InvalidOptionError(f"there is no port {port}", option=option, value=text)
    return Address(match["host"].strip("[]"), port)


def resolve(listen: Address) -> list[Address]:
    """Give the IP addresses to bind, for libzmq binds no host names.

    ``localhost`` may be two of them, and both are wanted: peers may come over either.

    Raises:
        ListenError: the host is not known.
    """
    if listen.host == "*":
        return [listen]
    try:
        found = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(
            f"cannot listen on {listen.host}:{listen.port}: {error}",
            address=f"{listen.host}:{listen.port}",
            reason=str(error),
        ) from error
    return list(dict.fromkeys(Address(str(info[4][0]), listen.port) for info in found))


def is_loopback(addresses: list[Address]) -> bool:
    """Say whether no other machine can reach any of these addresses."""
    return all(
        address.host != "*" and ipaddress.ip_address(address.host).is_loopback
        for address in addresses
    )
