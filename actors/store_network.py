"""One store's way to its other members: messages to bytes and back.

A body names the member incarnations it is from and for (their uids), because a member that was
deleted and made again under the same name is another member. The transport has checked the nodes,
the `Postman` the cluster.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from khepri.encoding import EncodingError, pack, unpack
from khepri.machine.entries import Group
from khepri.raft.messages import (
    NO_ANSWER,
    AppendEntriesRequest,
    Heartbeat,
    InstallSnapshotRequest,
    message_from_plain,
)
from khepri.raft.plain import as_bytes, as_list, as_natural, as_sequence, as_text
from khepri.raft.types import ServerId
from khepri.transport.interface import Message as Parcel

from .server_messages import FrameFrom, GroupsFrom, MessageFrom
from .stand_in import STAND_BY_SECONDS, StandBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from khepri.raft.effects import Send
    from khepri.raft.messages import Message
    from khepri.raft.types import Configuration, Term

    from .postman import Postman
    from .reference import ActorReference

T = TypeVar("T")

RAFT: Final = 1
"""Kind of a parcel with Raft messages."""
GROUPS: Final = 2
"""Kind of a parcel with forwarded commands."""


NOTICE_SECONDS: Final = 0.005
"""A follower may learn so late what is committed, if nobody there waits for it."""

PARCEL_BYTES: Final = 256 * 1024
"""Above this size what goes to one member is split; only a single larger message goes as it is.
On a slow link each parcel shows that the leader lives."""

_MESSAGE_OVERHEAD_BYTES: Final = 64
_ENTRY_OVERHEAD_BYTES: Final = 32

_FROM_A_LEADER: Final = (AppendEntriesRequest, Heartbeat, InstallSnapshotRequest)


class StoreNetwork:
    """What a server sends with. The server's thread.

    Messages of one step to the same member travel together, in parcels that a transport takes:
    one that is too large for it would be dropped, and sent again, for ever.
    """

    def __init__(self, postman: Postman, store_id: str, cluster_id: bytes, uid: str) -> None:
        """Make the way for one store.

        Args:
            postman: knows the node's transport, which a restarted Router replaces.
            store_id: the store.
            cluster_id: of its Raft cluster.
            uid: of the local member.
        """
        self._postman = postman
        self._store_id = store_id
        self._cluster_id = cluster_id
        self._uid = uid
        self._uids: dict[ServerId, str] = {}
        self._address_uids: dict[ServerId, str] = {}
        self._answer_uids: dict[ServerId, str] = {}  # for what goes with the next flush only
        self._waiting: dict[ServerId, list[Message]] = {}
        self._notices: dict[ServerId, Heartbeat] = {}
        self._ask_at = -inf  # the StandIn to stand by
        self._has_appended = False  # since the last flush
        self.notices_due = inf
        """When `flush` is to be called for what is held back."""

    def set_configuration(self, configuration: Configuration) -> None:
        """Learn the incarnations of the members."""
        self._uids = {member.server_id: member.uid for member in configuration.members}
        self._address_uids = dict(self._uids)

    def send(self, to: ServerId, message: Message) -> None:
        """Send a Raft message with the next `flush`.

        One that only tells how far is committed is held back: it goes with the next message to
        that member, which mostly says so itself, with `flush_notices`, or with a `flush` once it
        is due. To Raft it is a message that is late; each one that is not sent saves its receiver
        a handful of wake-ups.
        """
        if isinstance(message, Heartbeat) and message.round == NO_ANSWER:
            self._notices[to] = message
            return
        if isinstance(message, AppendEntriesRequest):
            self._notices.pop(to, None)
            self._has_appended = True
        self._waiting.setdefault(to, []).append(message)

    def send_groups(self, to: ServerId, groups: Sequence[Group]) -> None:
        """Forward commands to the leader."""
        for portion in _portions(groups, _size_of_group):
            self._post(to, GROUPS, [list(group) for group in portion])

    def flush(self, now: float) -> None:
        """Hand over what `send` has gathered.

        Args:
            now: of the server's clock.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for to, messages in waiting.items():
                notice = self._notices.pop(to, None)
                if notice is not None:
                    messages.append(notice)
                for portion in _portions(messages, _size_of_message):
                    self._post(to, RAFT, [message.to_plain() for message in portion])
        self._answer_uids.clear()
        if now >= self.notices_due:
            self.flush_notices()
        elif self._notices or self._has_appended:
            # What is appended will be followed by a notice: so its time is known beforehand, and
            # nobody is woken because of it (`lending.py`).
            self.notices_due = min(self.notices_due, now + NOTICE_SECONDS)
        self._has_appended = False

    def flush_notices(self) -> None:
        """Hand over what is held back."""
        self.notices_due = inf
        notices, self._notices = self._notices, {}
        for to, notice in notices.items():
            self._post(to, RAFT, [notice.to_plain()])

    def stand_by(self, server: ActorReference, now: float) -> None:
        """Have the StandIn stand by for this server, for a while."""
        if now >= self._ask_at:
            self._ask_at = now + STAND_BY_SECONDS / 2
            self._postman.stand_in.cast(StandBy(server))

    def prepare(self, send: Send) -> Callable[[], object]:
        """Give what sends a message when it is called, in the same turn: all else is done."""
        parcel = self._parcel(send.to, RAFT, [send.message.to_plain()])
        return partial(self._postman.transport.send, send.to.node, [parcel])

    def _post(self, to: ServerId, kind: int, content: Sequence[object]) -> None:
        self._postman.transport.send(to.node, [self._parcel(to, kind, content)])

    def _parcel(self, to: ServerId, kind: int, content: Sequence[object]) -> Parcel:
        uid = self._answer_uids.get(to) or self._address_uids.get(to, "")
        body = pack([self._uid, uid, content])
        return Parcel(self._cluster_id, self._store_id, kind, body)

    def open(self, frame: FrameFrom, term: Term) -> list[MessageFrom | GroupsFrom]:
        """Unpack what came; nothing if it is from or for another incarnation of a member.

        Args:
            frame: what came.
            term: the current one of the local member.

        Raises:
            EncodingError: it is garbled.
        """
        sender = ServerId(self._store_id, frame.node)
        sender_uid, receiver_uid, content = as_list(unpack(frame.body), 3, "parcel of a store")
        parts = as_sequence(content, "content of a parcel")
        uid = as_text(sender_uid, "uid of a sender")
        if as_text(receiver_uid, "uid of a receiver") not in {"", self._uid}:
            return []
        is_known = self._uids.get(sender) in {None, uid}
        if frame.kind == RAFT:
            # A member that was made again, and leads, is known to us only by what it sends as
            # leader; its term says whether that counts. It must be answered by its new name.
            messages = [
                message
                for message in map(message_from_plain, parts)
                if is_known or isinstance(message, _FROM_A_LEADER)
            ]
            if is_known or any(
                isinstance(message, _FROM_A_LEADER) and message.term >= term
                for message in messages
            ):
                self._address_uids[sender] = uid
            elif messages:  # out of date, or we are: only the answer is for it
                self._answer_uids[sender] = uid
            return [MessageFrom(sender, message, uid) for message in messages]
        if frame.kind == GROUPS:
            return [GroupsFrom(sender, [_group_from_plain(part) for part in parts])]
        raise EncodingError(f"unknown kind {frame.kind}")


def _portions(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Split a sequence where it would become larger than a parcel should be."""
    if len(items) == 1:  # as mostly, and whatever its size
        yield items
        return
    start, size_bytes = 0, 0
    for position, item in enumerate(items):
        item_bytes = size_of(item)
        if position > start and size_bytes + item_bytes > PARCEL_BYTES:
            yield items[start:position]
            start, size_bytes = position, 0
        size_bytes += item_bytes
    yield items[start:]


def _size_of_message(message: Message) -> int:
    if isinstance(message, AppendEntriesRequest):
        return _MESSAGE_OVERHEAD_BYTES + sum(
            [len(entry.data) + _ENTRY_OVERHEAD_BYTES for entry in message.entries]
        )
    if isinstance(message, InstallSnapshotRequest):
        return _MESSAGE_OVERHEAD_BYTES + len(message.data)
    return _MESSAGE_OVERHEAD_BYTES


def _size_of_group(group: Group) -> int:
    return _MESSAGE_OVERHEAD_BYTES + group.size_bytes


def _group_from_plain(plain: object) -> Group:
    session_id, first, below, commands = as_list(plain, 4, "group")
    return Group(
        as_natural(session_id, "session id"),
        as_natural(first, "first sequence"),
        as_natural(below, "acknowledged below"),
        [as_bytes(command, "command") for command in as_sequence(commands, "commands")],
    )
