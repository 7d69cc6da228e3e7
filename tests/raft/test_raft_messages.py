"""What goes over the wire comes back the same, and what does not belong there is refused."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.encoding import EncodingError, pack, unpack
from khepri.raft.messages import (
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    Message,
    PreVoteRequest,
    PreVoteResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    TimeoutNow,
    message_from_plain,
)
from khepri.raft.types import (
    Configuration,
    Entry,
    EntryKind,
    Index,
    MemberKind,
    ServerId,
    SnapshotMeta,
    Term,
)
from tests.raft.raft_notation import append_entries, entry, log, member, membership_entry, voters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

META = SnapshotMeta(
    Index(9), Term(3), voters("AB").with_member(member("C", MemberKind.PROMOTABLE))
)
MESSAGES: list[Message] = [
    PreVoteRequest(Term(5), 77, Index(4), Term(3)),
    PreVoteResponse(Term(5), 77, granted=True),
    RequestVoteRequest(Term(5), Index(4), Term(3), leadership_transfer=True),
    RequestVoteResponse(Term(5), granted=False),
    append_entries(5, (3, 2), [*log("4:2 5:5"), membership_entry(6, 5, voters("AB"))], commit=3),
    append_entries(0, (0, 0)),
    AppendEntriesResponse(Term(5), True, Index(0), Index(4), Term(3)),
    Heartbeat(Term(5), Index(4), 12),
    HeartbeatResponse(Term(5), 12, Index(5), Index(4), Term(3), 600),
    InstallSnapshotRequest(Term(5), 8, META, 100, b"piece", done=False),
    InstallSnapshotResponse(Term(5), 8, 105, accepted=True),
    TimeoutNow(Term(5)),
    ReadIndexRequest(2**62),
    ReadIndexResponse(2**62, Index(4)),
    ReadIndexResponse(1, None),
]
ids: Callable[[Message], str] = lambda message: type(message).__name__  # noqa: E731 - for pytest


@pytest.mark.parametrize("message", MESSAGES, ids=ids)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert message_from_plain(unpack(pack(message.to_plain()))) == message


def test_every_kind_of_message_is_tried_here() -> None:
    assert {type(m) for m in MESSAGES} == set(get_args(Message))


WRONG: list[object] = [None, -1, 2**63, 1.5, "text", b"bytes", [], {}, [1], True, 99]


@pytest.mark.parametrize("message", MESSAGES, ids=ids)
def test_a_wrong_field_is_refused_or_harmless(message: Message) -> None:
    """Any field replaced by anything: an EncodingError, or a message that is well typed."""
    plain = unpack(pack(message.to_plain()))
    for position in range(len(plain)):
        for wrong in WRONG:
            garbled = [*plain[:position], wrong, *plain[position + 1 :]]
            try:
                taken = message_from_plain(garbled)
            except EncodingError:
                continue
            assert message_from_plain(unpack(pack(taken.to_plain()))) == taken


@pytest.mark.parametrize("message", MESSAGES, ids=ids)
def test_a_missing_or_additional_field_is_refused(message: Message) -> None:
    plain = unpack(pack(message.to_plain()))
    for wrong in (plain[:-1], [*plain, 0]):
        with pytest.raises(EncodingError):
            message_from_plain(wrong)


json_like: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def tagged(rest: Sequence[object]) -> st.SearchStrategy[list[object]]:
    """The tag of a message, real or not, before anything."""
    return st.integers(0, 14).map(lambda tag: [tag, *rest])


@given(json_like | st.lists(json_like).flatmap(tagged))
def test_n11_garbage_never_raises_anything_else(plain: object) -> None:
    with contextlib.suppress(EncodingError):
        message_from_plain(plain)


NO_MEMBERS: list[object] = []
UNKNOWN_VERSION = pack([2, NO_MEMBERS])


@pytest.mark.parametrize(
    "entries",
    [
        [[5, 1, 0, b""]],  # a gap
        [[4, 1, 0, b""], [4, 1, 0, b""]],  # the same index twice
        [[4, 1, 7, b""]],  # an unknown kind
        [[4, 9, 0, b""]],  # of a later term than the leader's
        [[4, 2, 0, b""], [5, 1, 0, b""]],  # terms that go back
        [[4, 1, 2, b"no configuration"]],
        [[4, 1, 2, UNKNOWN_VERSION]],  # a configuration of an unknown version
        [[4, 1, 0]],
        "entries",
    ],
    ids=str,
)
def test_entries_that_no_leader_sends_are_refused(entries: object) -> None:
    with pytest.raises(EncodingError):
        AppendEntriesRequest.from_plain([5, 2, 3, 1, 0, entries])


def test_entries_are_packed_as_they_are() -> None:
    request = append_entries(1, (0, 0), "1:1")
    assert request.to_plain()[-1] is request.entries


@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(MemberKind)), max_size=7))
def test_a_configuration_survives_the_log(lines: list[tuple[str, str, MemberKind]]) -> None:
    configuration = Configuration()
    for node, its_uid, kind in lines:
        configuration = configuration.with_member(member(node, kind, its_uid or "u"))
    again = Configuration.decode(configuration.encode())
    assert again == configuration
    assert again.voters == configuration.voters


def test_a_configuration_names_each_server_once() -> None:
    twice = (member("A"), member("A", its_uid="other"))
    with pytest.raises(ValueError, match="once"):
        Configuration(twice)
    plain = [[list(m.server_id), m.uid, int(m.kind)] for m in twice]
    with pytest.raises(EncodingError):
        Configuration.from_plain(plain)


def test_a_configuration_is_equal_whatever_the_order() -> None:
    assert voters("ABC") == voters("CBA")
    assert voters("ABC").find(ServerId("store", "X")) is None


def test_an_entry_is_a_tuple_that_msgpack_takes_as_it_is() -> None:
    item = entry(3, 2, b"data")
    assert unpack(pack(item)) == [3, 2, 0, b"data"]
    assert Entry.from_plain([3, 2, 0, b"data"]) == item
    assert Entry.from_plain([3, 2, 0, b"data"]).kind is EntryKind.COMMANDS
