"""The node of this process: its name, and the way to other nodes (Erlang's net_kernel).

A node has a name that carries its address, ``alice@127.0.0.1:5701``, so no port mapper is needed.
Nodes that share a cookie can talk; see docs/explanation/transport.md for what that protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.actors.default_node import default_node, distribute, undistribute
from khepri.config import get_max_command_bytes
from khepri.transport.address import parse_node_name
from khepri.transport.settings import TransportSettings
from khepri.transport.zmq_transport import ZmqTransport

from .asking import ping as ping_node
from .calls import DEFAULT, Deadline, Timeout
from .remote_management import offer_management

if TYPE_CHECKING:
    from khepri.transport.cookie import CookieArgument
    from khepri.transport.interface import OnFailure, Receiver, Transport

__all__ = ["counters", "name", "ping", "start", "stop"]


def start(node_name: str, *, cookie: CookieArgument = None, listen: str | None = None) -> None:
    """Make this process a distributed node.

    Args:
        node_name: ``name@host:port``, by which other nodes reach it.
        cookie: the cluster's secret: 32 bytes, 64 hexadecimal digits, or, as a `pathlib.Path`, a
            file that only you can read. Left out: ``KHEPRI_COOKIE``, else the user's cookie file,
            which is created on first use.
        listen: ``host:port`` to bind if it is not the address in the name.

    Raises:
        WrongTypeError: a name or an address that is no text, or a cookie of another type.
        InvalidOptionError: a malformed name or address; or the process has a named node, or runs
            stores without a name.
        ListenError: the address cannot be bound.
        CookieError: there is no usable cookie; beyond loopback one must be set on purpose.
        CurveUnavailableError: the installed libzmq cannot encrypt.
        TransportError: there are too few descriptors, or too little memory, for sockets.
    """

    def make_transport(
        name: str, incarnation: bytes, receiver: Receiver, on_failure: OnFailure
    ) -> Transport:
        return ZmqTransport(
            name,
            incarnation,
            receiver,
            cookie=cookie,
            listen=listen,
            settings=TransportSettings.for_commands_of(get_max_command_bytes()),
            on_failure=on_failure,
        )

    parse_node_name(node_name)  # before anything is called by it
    offer_management(distribute(node_name, make_transport))


def stop() -> None:
    """Stop the node and everything on it; data stay. The process has no named node then."""
    undistribute()


def name() -> str:
    """Give the name of this process's node, ``nonode@nohost`` if it is not distributed."""
    return default_node().name


def ping(node_name: str, timeout: Timeout = DEFAULT) -> bool:
    """Tell whether a node answers.

    Args:
        node_name: which.
        timeout: seconds to wait, at most five.

    Raises:
        WrongTypeError, InvalidOptionError: not the name of a node, or not a timeout.
    """
    return ping_node(default_node(), node_name, Deadline(timeout))


def counters() -> dict[str, int]:
    """Give what the transport has carried, dropped and refused, by reason; empty without one."""
    node = default_node()
    return node.transport.counters.snapshot() if node.is_distributed else {}
