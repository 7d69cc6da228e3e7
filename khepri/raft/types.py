"""The nouns of Raft: terms, indexes, entries, members, configurations, snapshots.

Here: immutable values that the core, the log, the transport and the actors share, and how those
that are stored become bytes. Not here: what happens to them (`core.py`), the wire messages
(`messages.py`), what goes in and comes out of the core (`events.py`, `effects.py`).

Everything here may be used from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple, NewType

from khepri.encoding import EncodingError, pack, unpack

from .machine_versions import FIRST_VERSION, as_machine_version, decode_version
from .plain import as_bytes, as_extended_list, as_list, as_natural, as_sequence, as_text

Term = NewType("Term", int)
"""A period with at most one leader; starts at 0, only grows (Raft §5.1)."""

Index = NewType("Index", int)
"""A position in the log; the first entry has index 1, 0 means "before the log" (Raft §5.3)."""


UNDISTRIBUTED: Final = "nonode@nohost"
"""The name of every node that has none, as in Erlang: it speaks to no other."""


class ServerId(NamedTuple):
    """One store on one node: a member of one Raft cluster.

    Attributes:
        store_id: the name of the store, the same on all members.
        node: the name of the node it runs on.
    """

    store_id: str
    node: str

    @classmethod
    def from_plain(cls, plain: object) -> ServerId:
        """Give the server id from a list of two texts.

        Raises:
            EncodingError: it is something else.
        """
        store_id, node = as_list(plain, 2, "server id")
        return cls(as_text(store_id, "store id"), as_text(node, "node"))


class EntryKind(IntEnum):
    """What the bytes of an entry are. The values are stored: never renumber."""

    COMMANDS = 0
    """A payload for the machine."""
    NOOP = 1
    """What a new leader appends first (Raft §8): empty, or a version of the machine."""
    MEMBERSHIP = 2
    """An encoded `Configuration` (dissertation §4.1)."""


class Entry(NamedTuple):
    """One position of the log.

    A tuple, so that msgpack packs it as it is and making one costs little.

    Attributes:
        index: its position.
        term: the term of the leader that created it.
        kind: what `data` is.
        data: the bytes; those of `EntryKind.COMMANDS` are never looked into by the core.
    """

    # The paper's name wins over tuple.index, which nobody needs on an entry.
    index: Index  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]
    term: Term
    kind: EntryKind
    data: bytes

    @classmethod
    def from_plain(cls, plain: object) -> Entry:
        """Give the entry from a list of four.

        Raises:
            EncodingError: it is something else.
        """
        index, term, kind, data = as_list(plain, 4, "entry")
        try:
            entry_kind = _ENTRY_KINDS[as_natural(kind, "entry kind")]
        except IndexError:
            raise EncodingError(f"unknown entry kind {kind}") from None
        entry = cls(
            Index(as_natural(index, "entry index")),
            Term(as_natural(term, "entry term")),
            entry_kind,
            as_bytes(data, "entry data"),
        )
        # What is refused here cannot fail in the core.
        if entry_kind is EntryKind.MEMBERSHIP:
            Configuration.decode(entry.data)
        elif entry_kind is EntryKind.NOOP:
            decode_version(entry.data)
        return entry


_ENTRY_KINDS = tuple(EntryKind)


class HardState(NamedTuple):
    """What must be on disk before a message that rests on it leaves (Raft figure 2).

    Term and vote are one record: a crash leaves either the old pair or the new one.

    Attributes:
        term: the latest term this member has seen.
        voted_for: who got this member's vote in `term`; None if nobody.
    """

    term: Term
    voted_for: ServerId | None


NO_HARD_STATE = HardState(Term(0), None)
"""What a member has that was never started before."""


class MemberKind(IntEnum):
    """How a member takes part. The values are stored: never renumber."""

    VOTER = 0
    """Votes, campaigns, counts for the commit."""
    NON_VOTER = 1
    """Receives the log, nothing else, for ever."""
    PROMOTABLE = 2
    """A non-voter that the leader makes a voter once it has caught up."""


class Member(NamedTuple):
    """One line of a configuration.

    Attributes:
        server_id: who.
        uid: which incarnation of it: a member deleted and created again has another uid.
        kind: how it takes part.
    """

    server_id: ServerId
    uid: str
    kind: MemberKind


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who belongs to the cluster; takes effect when it is in the log, committed or not.

    Attributes:
        members: sorted by server id, each server id once.
        voters: the server ids of the voters, made from `members`.
    """

    members: tuple[Member, ...] = ()
    voters: frozenset[ServerId] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the members and look for doubles.

        Raises:
            ValueError: a server id stands there twice.
        """
        members = tuple(sorted(self.members))
        if len({member.server_id for member in members}) != len(members):
            raise ValueError("a configuration names each server once")
        voters = frozenset(m.server_id for m in members if m.kind is MemberKind.VOTER)
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "voters", voters)

    def find(self, server_id: ServerId) -> Member | None:
        """Give the member of that id, or None."""
        for member in self.members:
            if member.server_id == server_id:
                return member
        return None

    def with_member(self, member: Member) -> Configuration:
        """Give the configuration with `member` added, in place of one with the same id."""
        others = self.without(member.server_id)
        return Configuration((*others.members, member))

    def without(self, server_id: ServerId) -> Configuration:
        """Give the configuration without that member."""
        return Configuration(tuple(m for m in self.members if m.server_id != server_id))

    def to_plain(self) -> list[object]:
        """Give lists, text and numbers, for msgpack."""
        return [
            [[m.server_id.store_id, m.server_id.node], m.uid, int(m.kind)] for m in self.members
        ]

    @classmethod
    def from_plain(cls, plain: object) -> Configuration:
        """Give back what `to_plain` was called on.

        Raises:
            EncodingError: it is something else.
        """
        members: list[Member] = []
        for line in as_sequence(plain, "configuration"):
            server_id, uid, kind = as_list(line, 3, "member")
            try:
                member_kind = MemberKind(as_natural(kind, "member kind"))
            except ValueError:
                raise EncodingError(f"unknown member kind {kind}") from None
            members.append(
                Member(ServerId.from_plain(server_id), as_text(uid, "uid"), member_kind)
            )
        try:
            return cls(tuple(members))
        except ValueError as error:
            raise EncodingError(str(error)) from error

    def encode(self) -> bytes:
        """Give the data of an entry of kind `EntryKind.MEMBERSHIP`."""
        return pack([_CONFIGURATION_VERSION, self.to_plain()])

    @classmethod
    def decode(cls, data: bytes) -> Configuration:
        """Give back what `encode` was called on.

        Raises:
            EncodingError: the bytes are something else, or of an unknown version.
        """
        version, plain = as_list(unpack(data), 2, "configuration record")
        if version != _CONFIGURATION_VERSION:
            raise EncodingError(f"unknown configuration version {version}")
        return cls.from_plain(plain)


_CONFIGURATION_VERSION = 1


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot stands for (Raft §7).

    Attributes:
        index: the last index it covers.
        term: the term of the entry there.
        configuration: the configuration *as of that index*, not the newest one: a later change
            may never be committed.
        machine_version: that of the machine as of that index.
    """

    index: Index
    term: Term
    configuration: Configuration
    machine_version: int = FIRST_VERSION

    def to_plain(self) -> list[object]:
        """Give lists, text and numbers, for msgpack."""
        plain: list[object] = [self.index, self.term, self.configuration.to_plain()]
        # A release that knows no versions reads what has the first one.
        return plain if self.machine_version == FIRST_VERSION else [*plain, self.machine_version]

    @classmethod
    def from_plain(cls, plain: object) -> SnapshotMeta:
        """Give back what `to_plain` was called on.

        Raises:
            EncodingError: it is something else.
        """
        index, term, configuration, version = as_extended_list(
            plain, 3, [FIRST_VERSION], "snapshot meta"
        )
        return cls(
            Index(as_natural(index, "snapshot index")),
            Term(as_natural(term, "snapshot term")),
            Configuration.from_plain(configuration),
            as_machine_version(version),
        )


class Role(Enum):
    """What a member is at the moment (Raft §5.1, dissertation §9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"
