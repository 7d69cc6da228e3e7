"""Speaks to a running node: this process becomes a node itself, for a moment.

It has a free port and the cluster's cookie, runs no store and joins nothing; it only calls.
"""

from __future__ import annotations

import math
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from khepri.actors.node import Node
from khepri.asking import ask_cluster
from khepri.calls import Deadline
from khepri.config import get_default_store_id, get_max_command_bytes
from khepri.errors import JoinError, KhepriTimeoutError
from khepri.transport.address import parse_node_name
from khepri.transport.settings import TransportSettings
from khepri.transport.zmq_transport import ZmqTransport

from .outcomes import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

    from khepri.transport.interface import OnFailure, Receiver, Transport

_TIMEOUT_SECONDS = 30.0
_GREETING_SECONDS = 5.0


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take the node to ask."""
    parser.add_argument("--node", required=True, metavar="NODE", help="the running node to ask")
    parser.add_argument("--store", metavar="NAME", help="the store's id (default: khepri)")
    add_guest_arguments(parser)


def add_guest_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take what a guest needs beside the node."""
    parser.add_argument(
        "--cookie-file",
        type=Path,
        metavar="FILE",
        help="the cluster's cookie (default: KHEPRI_COOKIE, or the user's cookie)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="for the whole command (default: 30)",
    )


def add_vote_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command say what kind of member a node becomes."""
    parser.add_argument(
        "--no-vote",
        dest="votes",
        action="store_false",
        help="as a member that no majority waits for, and that never leads",
    )


_ASK_A_MAJORITY: Final = frozenset({"has_quorum", "reset_store", "write_store", "apply_in_store"})
"""What a node cannot answer alone, though it answers."""


class Guest:
    """A connection to one node."""

    def __init__(self, node: Node, asked: str, store_id: str, deadline: Deadline) -> None:
        """Ask a node about a store until a deadline."""
        self._node = node
        self.asked = asked
        self.store_id = store_id
        self._deadline = deadline

    def ask(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - it decides
        """Have the node itself do something to the store.

        Raises:
            KhepriError: what it answers, or no answer in time.
        """
        try:
            return self._node.call(
                self.asked, function, (self.store_id, *arguments), self._deadline.remaining()
            )
        except KhepriTimeoutError as error:
            if function not in _ASK_A_MAJORITY:
                raise
            text = f"{error}: {self.asked} needs a majority of the members for that"
            raise KhepriTimeoutError(text, **error.facts) from error

    def ask_about_node(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - it decides
        """Like `ask`, for what is not about the store."""
        return self._node.call(self.asked, function, arguments, self._deadline.remaining())

    def ask_leader(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - it decides
        """Have the leader do something; the node says who that is.

        Raises:
            KhepriError: what it answers, or no answer in time.
        """
        return ask_cluster(
            self._node, self.store_id, self.asked, function, arguments, self._deadline
        )

    def ask_for_long(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - it decides
        """Like `ask`, for what takes the budget as its last argument.

        The node gets a little less than there is: its own answer that time ran out says more.
        """
        rest = self._deadline.remaining()
        budget_seconds = math.inf if rest is None else rest - min(0.5, rest / 5)
        return self.ask(function, *arguments, budget_seconds)

    def greet(self) -> None:
        """Check that the node can be reached.

        Raises:
            CommandError: it cannot; says why, as far as the connection tells.
        """
        rest = self._deadline.remaining()
        seconds = _GREETING_SECONDS if rest is None else min(rest, _GREETING_SECONDS)
        try:
            self._node.call(self.asked, "ping", (), seconds)
        except (JoinError, KhepriTimeoutError) as error:
            link = next(iter(self._node.transport.peers()), None)
            why = None if link is None else link.last_error
            raise CommandError(
                f"the node {self.asked} cannot be reached: {why or 'it does not answer'}"
            ) from error


@contextmanager
def guest_at(arguments: argparse.Namespace) -> Generator[Guest]:
    """Be a guest at the node that a command line names, for as long as the block lasts.

    Raises:
        CommandError: the node cannot be reached.
        KhepriError: a wrong name, or no usable cookie.
    """
    asked: str = arguments.node
    timeout = arguments.timeout
    deadline = Deadline(_TIMEOUT_SECONDS if timeout is None else timeout)
    own_host = _host_that_reaches(parse_node_name(asked).host)

    def make_transport(
        name: str, incarnation: bytes, receiver: Receiver, on_failure: OnFailure
    ) -> Transport:
        return ZmqTransport(
            name,
            incarnation,
            receiver,
            cookie=arguments.cookie_file,
            settings=TransportSettings.for_commands_of(get_max_command_bytes()),
            on_failure=on_failure,
        )

    name = f"cli-{os.getpid()}@{_bracketed(own_host)}:{_free_port(own_host)}"
    node = Node(name, make_transport=make_transport)
    try:
        node.start()
        guest = Guest(node, asked, arguments.store or get_default_store_id(), deadline)
        guest.greet()
        yield guest
    finally:
        node.stop()


def _host_that_reaches(host: str) -> str:
    """Give the address of this machine by which the other one can answer."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # a datagram socket: nothing is sent
            own: str = probe.getsockname()[0]
            return own
    except OSError as error:
        raise CommandError(f"the host {host} is not known: {error}") from error


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
