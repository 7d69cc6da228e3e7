"""The way of one server's entries to the disk: in its own thread, or by the WalWriter.

Which of the two is said in `command_flow.py`; who writes the log when is in `shared_log.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.events import LogRecovered, LogWritten

from .wal_writer import WriteEntries
from .written_notice import WrittenNotice

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from khepri.raft.core import RaftCore
    from khepri.raft.effects import AppendEntries
    from khepri.raft.events import Event

    from .command_flow import CommandFlow
    from .reference import ActorReference
    from .server_setup import ServerSetup


class ServerLog:
    """What a server has written, and what the WalWriter has for it. The server's thread."""

    def __init__(self, setup: ServerSetup, flow: CommandFlow) -> None:
        """Begin with nothing written.

        Args:
            setup: of the server.
            flow: told what is durable.
        """
        self._setup = setup
        self._flow = flow
        self._notice = WrittenNotice()
        self._has_written = False

    def news(self) -> list[Event]:
        """Give the event, if the WalWriter has made something durable since the last time."""
        written = self._notice.take()
        if written is None:
            return []
        self._flow.written(written.sequence)
        return [written]

    def write(
        self,
        append: AppendEntries,
        server: ActorReference,
        meanwhile: Callable[[], object] | None,
        absence: AbstractContextManager[object],
    ) -> LogWritten | LogRecovered | None:
        """Make entries durable here and now; None if the WalWriter will do it after all.

        What confirms them to a leader is made while the disk writes, and leaves before anything
        else is done: the leader waits for it.

        Args:
            append: what to write.
            server: told when the WalWriter has done it.
            meanwhile: called while the disk writes, or not at all; must not raise.
            absence: as for `SharedLog.write_now`.
        """
        confirmation = append.confirmation
        confirm: Callable[[], object] | None = None

        def prepare() -> None:
            nonlocal confirm
            assert confirmation is not None
            confirm = self._setup.network.prepare(confirmation)
            if meanwhile is not None:
                meanwhile()

        shared_log = self._setup.storage.shared_log
        in_between = meanwhile if confirmation is None else prepare
        if not shared_log.write_now(self._setup.uid, append.entries, in_between, absence):
            if not self._flow.is_newest(append.sequence):
                # In the absence more was appended. Behind that this would void it: all that is
                # not durable is written anew, as the log is now.
                return LogRecovered()
            self.hand_on(append, server)
            return None
        if confirm is not None:
            confirm()
        self._has_written = True
        self._flow.written(append.sequence)
        last = append.entries[-1]
        return LogWritten(last.index, last.term, append.sequence, is_confirmed=confirm is not None)

    def hand_on(self, append: AppendEntries, server: ActorReference) -> None:
        """Have the WalWriter make entries durable."""
        self._setup.wal_writer.cast(
            WriteEntries(self._setup.uid, append.entries, append.sequence, server, self._notice)
        )

    def end_turn(self, core: RaftCore) -> bool:
        """Confirm what was written here, now that who waited for it has the reply.

        Returns:
            whether the WalWriter has left something that the server has to look at before it
            sleeps: it was left before it was awaited.
        """
        if self._has_written:
            self._has_written = False
            self._setup.storage.shared_log.confirm()
        self._notice.is_awaited = awaited = self._flow.awaits_disk(core)
        return awaited and self._notice.is_there
