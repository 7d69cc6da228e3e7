"""Everything a RaServer needs of others, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol

from .log_clock import LogClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.machine.entries import Group
    from khepri.raft.effects import Send
    from khepri.raft.messages import Message
    from khepri.raft.types import Configuration, ServerId, Term

    from .access import StoreAccess
    from .exit_reason import Exit
    from .ra_server_config import RaServerConfig
    from .reference import ActorReference
    from .server_messages import FrameFrom, GroupsFrom, MessageFrom
    from .storage import Storage


class Network(Protocol):
    """The way to other members. Never blocks; what cannot be sent is dropped."""

    def send(self, to: ServerId, message: Message) -> None:
        """Send a Raft message."""
        ...

    def send_groups(self, to: ServerId, groups: Sequence[Group]) -> None:
        """Forward commands to the leader."""
        ...

    def prepare(self, send: Send) -> Callable[[], object]:
        """Give what sends a message when it is called, before the turn is over."""
        ...

    def flush(self, now: float) -> None:
        """Have everything on its way that was sent so far, but for notices of what is committed.

        These may wait for something to go with, until `notices_due`.
        """
        ...

    @property
    def notices_due(self) -> float:
        """When `flush` is to be called for their sake; `inf` if none waits."""
        ...

    def flush_notices(self) -> None:
        """Have them on their way."""
        ...

    def stand_by(self, server: ActorReference, now: float) -> None:
        """Have somebody take this server's turns, should its thread be held up by a disk now."""
        ...

    def set_configuration(self, configuration: Configuration) -> None:
        """Learn the incarnations of the members."""
        ...

    def open(self, frame: FrameFrom, term: Term) -> list[MessageFrom | GroupsFrom]:
        """Unpack what came, in the member's current term.

        Raises:
            EncodingError: it is garbled.
        """
        ...


class NoNetwork:
    """The network of an undistributed node: there is nobody."""

    def send(self, to: ServerId, message: Message) -> None:
        """Drop the message."""

    def send_groups(self, to: ServerId, groups: Sequence[Group]) -> None:
        """Drop the commands; their origin sends them again."""

    def prepare(self, send: Send) -> Callable[[], object]:
        """Give what does nothing."""
        del send
        return bool

    def flush(self, now: float) -> None:
        """Nothing waits."""

    @property
    def notices_due(self) -> float:
        """Nothing waits."""
        return inf

    def flush_notices(self) -> None:
        """Nothing waits."""

    def stand_by(self, server: ActorReference, now: float) -> None:
        """Nobody could go on: the majority is the one whose disk it is."""

    def set_configuration(self, configuration: Configuration) -> None:
        """There are no others."""

    def open(self, frame: FrameFrom, term: Term) -> list[MessageFrom | GroupsFrom]:
        """Give nothing: from whom should it be."""
        del frame, term
        return []


@dataclass(slots=True)
class ServerSetup:
    """One store on one node, before and across restarts of its actors.

    Attributes:
        store_id: the store.
        uid: the incarnation of this member.
        server_id: this member.
        config: the store's settings.
        initial_configuration: of a fresh store; empty for a member that waits to be added.
        storage: the files of the Ra system, and who owns them.
        access: what is published to all threads.
        network: the way to other members.
        random: gives floats in [0, 1).
        registry: gives the node's registry, as of now.
        event_handler: gives the node's EventHandler, as of now.
        on_down: told when the supervisor of the store has ended, and why.
        log_clock: for the time stamps in entries.
        membership_cache: the store's cache; set when it starts, before the server.
    """

    store_id: str
    uid: str
    server_id: ServerId
    config: RaServerConfig
    initial_configuration: Configuration
    storage: Storage
    access: StoreAccess
    network: Network
    random: Callable[[], float]
    registry: Callable[[], ActorReference]
    event_handler: Callable[[], ActorReference]
    on_down: Callable[[Exit], None]
    log_clock: LogClock = field(default_factory=LogClock)
    membership_cache: ActorReference = field(init=False)

    @property
    def wal_writer(self) -> ActorReference:
        """The WalWriter of the Ra system, as of now."""
        return self.storage.wal_writer
