"""Short ways to write what the cases of Raft write: ``"1:1 2:1 3:2"``, voters ``"ABC"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.messages import (
    AppendEntriesRequest,
    AppendEntriesResponse,
    PreVoteRequest,
    RequestVoteRequest,
)
from khepri.raft.types import (
    Configuration,
    Entry,
    EntryKind,
    Index,
    Member,
    MemberKind,
    ServerId,
    Term,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

STORE = "store"


def sid(name: str) -> ServerId:
    """The server id of node `name`."""
    return ServerId(STORE, name)


def uid(name: str) -> str:
    return f"uid-{name}"


def member(name: str, kind: MemberKind = MemberKind.VOTER, its_uid: str | None = None) -> Member:
    return Member(sid(name), its_uid or uid(name), kind)


def voters(names: Iterable[str]) -> Configuration:
    return Configuration(tuple(member(name) for name in names))


def entry(index: int, term: int, data: bytes | None = None) -> Entry:
    text = f"{index}:{term}".encode() if data is None else data
    return Entry(Index(index), Term(term), EntryKind.COMMANDS, text)


def membership_entry(index: int, term: int, configuration: Configuration) -> Entry:
    return Entry(Index(index), Term(term), EntryKind.MEMBERSHIP, configuration.encode())


def log(text: str) -> list[Entry]:
    """Entries from the notation of the cases: ``"1:1 2:1 3:2"``."""
    return [entry(int(i), int(t)) for i, t in (word.split(":") for word in text.split())]


def as_text(entries: Iterable[Entry]) -> str:
    """The notation of the cases from entries."""
    return " ".join(f"{e.index}:{e.term}" for e in entries)


def append_entries(
    term: int, previous: tuple[int, int], entries: str | list[Entry] = "", commit: int = 0
) -> AppendEntriesRequest:
    """An AppendEntriesRequest, short."""
    listed = log(entries) if isinstance(entries, str) else entries
    return AppendEntriesRequest(
        Term(term), Index(previous[0]), Term(previous[1]), Index(commit), tuple(listed)
    )


def confirmed(index: int, index_term: int = 1, term: int | None = None) -> AppendEntriesResponse:
    """A follower of `term` has the entry (index, term of the index) on disk, and all before."""
    own_term = Term(index_term if term is None else term)
    return AppendEntriesResponse(own_term, True, Index(0), Index(index), Term(index_term))


def request_vote(
    term: int, last: tuple[int, int], *, transfer: bool = False
) -> RequestVoteRequest:
    return RequestVoteRequest(Term(term), Index(last[0]), Term(last[1]), transfer)


def pre_vote(next_term: int, last: tuple[int, int], round_id: int = 1) -> PreVoteRequest:
    return PreVoteRequest(Term(next_term), round_id, Index(last[0]), Term(last[1]))
