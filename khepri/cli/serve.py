"""``khepri serve``: run a node in the foreground until it is told to stop.

The node is started, its store recovered and, if that is wanted, joined in a thread of its own,
so that a signal ends it at any moment. On SIGTERM, SIGINT and SIGHUP a leader hands over first. A
second signal ends the process at once; nothing acknowledged is lost by that.
"""

from __future__ import annotations

import logging
import queue
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from khepri import node
from khepri.actors.default_node import default_node
from khepri.calls import Deadline
from khepri.config import check_store_id, check_timeout, get_default_store_id
from khepri.errors import JoinError, NoSuchServerError, ServerStoppedError
from khepri.management import ClusterManager
from khepri.transport.address import parse_node_name

from .guest import add_vote_argument
from .opening import directory
from .outcomes import CommandError, ExitCode
from .store_setting import store_setting

if TYPE_CHECKING:
    import argparse
    from types import FrameType

_logger = logging.getLogger("khepri.serve")

_JOIN_SECONDS = 60.0
_JOIN_PAUSE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--name", required=True, metavar="NAME@HOST:PORT", help="of this node")
    parser.add_argument("--data-dir", required=True, type=directory, metavar="DIR")
    parser.add_argument("--store", metavar="NAME", help="the store's id (default: khepri)")
    parser.add_argument(
        "--join",
        metavar="NODE",
        help="join the cluster of this node, unless the store is in a cluster already",
    )
    add_vote_argument(parser)
    parser.add_argument(
        "--join-timeout",
        type=float,
        default=_JOIN_SECONDS,
        metavar="SECONDS",
        help="how long to try to join (default: 60)",
    )
    parser.add_argument(
        "--cookie-file", type=Path, metavar="FILE", help="the cluster's cookie (mode 0600)"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="what to bind, if it is not the address in the name"
    )
    parser.add_argument(
        "--set",
        action="append",
        type=store_setting,
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the store, such as snapshot_entries=65536",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is told on standard error (default: info)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes, or the store or the network is down for good."""
    for name in (arguments.name, arguments.join):  # before anything starts
        if name is not None:
            parse_node_name(name)
    if arguments.store is not None:
        check_store_id(arguments.store)
    check_timeout(arguments.join_timeout, "--join-timeout")
    _log_to_standard_error(arguments.log_level)
    end = _End()
    node.start(arguments.name, cookie=arguments.cookie_file, listen=arguments.listen)
    default_node().on_failure = end.has_given_up
    try:
        _logger.info("the node %s has started", arguments.name)
        _BringUp(arguments, end).start()
        end.wait()
    finally:
        _logger.info("stopping: %s", end.reason)
        node.stop()
        _logger.info("the node %s has stopped", arguments.name)
        end.close()
    if end.failure is not None:
        raise end.failure
    return ExitCode.DONE


class _End:
    """The moment to stop, and why. Any thread and any signal may say that it has come."""

    def __init__(self) -> None:
        """Take the signals."""
        self.reason = "an error"
        self.failure: Exception | None = None
        self._lock = threading.Lock()
        self._is_starting = True
        self._early = ""
        # Its put may interrupt its get, as a signal does. The set of an Event may not.
        self._words: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()
        # The kernel may give a signal to any thread, and only the main one runs handlers: what
        # wakes it for sure is a byte that comes with each signal.
        self._bell, self._button = socket.socketpair()
        self._button.settimeout(0)
        signal.set_wakeup_fd(self._button.fileno(), warn_on_full_buffer=False)
        self._numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is after nohup
            self._numbers.append(signal.SIGHUP)
        for number in self._numbers:
            signal.signal(number, self._take_signal)

    def wait(self) -> None:
        """Sleep until it comes. The main thread's."""
        while self._words.empty():
            self._bell.recv(64)
        word = self._words.get()
        self.reason = str(word)
        self.failure = word if isinstance(word, Exception) else None

    def fail(self, failure: Exception) -> None:
        """Stop because of an error."""
        self._words.put(failure)
        # If it would block, it has rung already; if it is closed, nobody listens any more.
        with self._lock, suppress(OSError):
            self._button.send(b"\0")

    def close(self) -> None:
        """Give back what wakes the main thread; it will not wait again."""
        signal.set_wakeup_fd(-1)
        with self._lock:
            self._button.close()
            self._bell.close()

    def has_given_up(self, what: str) -> None:
        """Stop because the store or the network is down; our watcher starts the process again."""
        with self._lock:
            if self._is_starting:  # a store that cannot be started is told by an error of its own
                self._early = what
                return
        self.fail(CommandError(what, ExitCode.FAILED))

    def has_started(self) -> None:
        """Take seriously what has given up, until now too."""
        with self._lock:
            self._is_starting = False
        if self._early:
            self.has_given_up(self._early)

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        for other in self._numbers:
            signal.signal(other, signal.SIG_DFL)  # the next one does not wait for us
        self._words.put(signal.Signals(number).name)


class _BringUp(threading.Thread):
    """Starts the store and joins."""

    def __init__(self, arguments: argparse.Namespace, end: _End) -> None:
        super().__init__(name="khepri-serve", daemon=True)
        self._arguments = arguments
        self._end = end
        given: str | None = arguments.store
        self._store_id = get_default_store_id() if given is None else given
        # Of this node: when it has stopped, the process's default node is another one.
        self._cluster = ClusterManager(default_node())

    def run(self) -> None:
        """Do it; whatever fails ends the process."""
        try:
            self._start_store()
            if self._arguments.join is not None:
                self._join(self._arguments.join)
            _logger.info("ready: the leader is %s", self._wait_for_leader())
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self._end.fail(error)

    def _wait_for_leader(self) -> str | None:
        """Give the leader's node once there is one."""
        while True:
            try:
                self._cluster.wait_for_leader(self._store_id, None)
                leader = self._cluster.status(self._store_id).leader
            except (NoSuchServerError, ServerStoppedError):
                # A command makes it join or begin anew meanwhile: another server takes its place.
                threading.Event().wait(_JOIN_PAUSE_SECONDS)
            else:
                return leader and leader.node

    def _start_store(self) -> None:
        config = {**dict(self._arguments.set), "cluster_name": self._store_id}
        self._cluster.start(self._arguments.data_dir, config, None)
        self._end.has_started()
        _logger.info(
            "the store %s is recovered from %s: %d tree nodes",
            self._store_id,
            self._arguments.data_dir,
            self._cluster.status(self._store_id).tree_nodes,
        )

    def _join(self, remote: str) -> None:
        """Join unless that is done; the other node may be just starting."""
        members = self._cluster.locally_known_nodes(self._store_id)
        if members and self._arguments.name not in members:
            _logger.warning(
                "removed from the cluster of %s: not joining again before a reset",
                ", ".join(members),
            )
            return
        if len(members) > 1:
            _logger.info("a member already, of %s: not joining again", ", ".join(members))
            return
        deadline = Deadline(self._arguments.join_timeout)
        while True:
            _logger.info("joining %s", remote)
            try:
                self._cluster.join(
                    remote, self._store_id, deadline.remaining(), votes=self._arguments.votes
                )
            except (JoinError, NoSuchServerError) as error:
                if deadline.is_over():
                    raise
                _logger.warning("cannot join yet: %s", error)
                threading.Event().wait(_JOIN_PAUSE_SECONDS)  # it cannot tell us when it is there
            else:
                members = self._cluster.locally_known_nodes(self._store_id)
                _logger.info("joined: the members are %s", ", ".join(members))
                return


def _log_to_standard_error(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
