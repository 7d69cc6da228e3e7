"""What must hold between the members of a small world, after every step of any of them.

Here: the invariants, looked at from outside, with what a god would remember (`Ghost`). Not here:
what a member must not do by itself (`small_world_member.py`), the search (`small_worlds.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.raft.leader import Leader
from khepri.raft.quorum import quorum_size
from khepri.raft.types import Entry, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.raft.small_world_member import SmallMember

Log = tuple[Entry, ...]


class Facts(NamedTuple):
    """What the invariants need to know about one member."""

    name: str
    role: Role
    term: int
    log: Log
    committed_index: int
    applied: Log
    durable: Log
    voters: frozenset[str]
    has_lease: bool
    matches: tuple[tuple[str, int], ...]


def facts_of(member: SmallMember) -> Facts:
    core = member.core
    role = core._server.role
    peers = role.peers.all if isinstance(role, Leader) else {}
    return Facts(
        name=member.name,
        role=core.role,
        term=core.term,
        log=member.whole_log,
        committed_index=core.commit_index,
        applied=tuple(member.machine),
        durable=member.durable,
        voters=frozenset(voter.node for voter in core.configuration.voters),
        has_lease=member.now < core.lease_until,
        matches=tuple((peer.server_id.node, peer.match_index) for peer in peers.values()),
    )


class Ghost(NamedTuple):
    """What has ever happened, and no crash undoes.

    Attributes:
        committed: the log that was committed anywhere.
        commit_terms: the term of who committed each entry of it first.
        deciders: the voters by whose majority the last of it was committed; two sets if they
            changed in that step, since it may have counted before or after.
        leaders: who has led which term.
    """

    committed: Log = ()
    commit_terms: tuple[int, ...] = ()
    deciders: frozenset[frozenset[str]] = frozenset()
    leaders: frozenset[tuple[int, str]] = frozenset()


def remember(ghost: Ghost, before: Facts, member: Facts) -> Ghost:
    """Add what a step of `member` has brought; it must agree with what was."""
    if member.role is Role.LEADER and (member.term, member.name) not in ghost.leaders:
        others = [name for term, name in ghost.leaders if term == member.term]
        assert not others, f"election safety: {member.name} and {others} lead term {member.term}"
        ghost = ghost._replace(leaders=ghost.leaders | {(member.term, member.name)})
    known = ghost.committed
    ours = member.applied + member.log[len(member.applied) : member.committed_index]
    both = min(len(ours), len(known))
    assert ours[:both] == known[:both], (
        f"state machine safety: {member.name} has {_text(ours)} committed, others {_text(known)}"
    )
    if len(ours) > len(known):
        more = (member.term,) * (len(ours) - len(known))
        ghost = ghost._replace(
            committed=ours,
            commit_terms=ghost.commit_terms + more,
            deciders=frozenset({before.voters, member.voters}),
        )
    return ghost


def check(ghost: Ghost, members: Sequence[Facts]) -> None:
    """Fail if what the members are now does not fit together."""
    for member in members:
        if member.role is Role.LEADER:
            _check_leader(ghost, member, members)
    committed = ghost.committed
    held_at = {m.name for m in members if m.durable[: len(committed)] == committed}
    assert not committed or any(
        len(held_at & voters) >= quorum_size(len(voters)) for voters in ghost.deciders
    ), f"durability: {_text(committed)} is committed, and on disk only at {sorted(held_at)}"


def _check_leader(ghost: Ghost, leader: Facts, members: Sequence[Facts]) -> None:
    must_have = sum(term < leader.term for term in ghost.commit_terms)
    assert leader.log[:must_have] == ghost.committed[:must_have], (
        f"leader completeness: {leader.name} leads term {leader.term} with {_text(leader.log)},"
        f" committed is {_text(ghost.committed)}"
    )
    matches = dict(leader.matches)
    for other in members:
        if leader.has_lease and other.role is Role.LEADER:
            assert other.term <= leader.term, (
                f"lease: {leader.name} has one, and {other.name} leads term {other.term}"
            )
        index = matches.get(other.name, 0)
        if other.term == leader.term:
            assert other.durable[:index] == leader.log[:index], (
                f"match index: {leader.name} counts {other.name} for {index}, on its disk is"
                f" {_text(other.durable)}"
            )


def check_logs(one: Log, other: Log) -> None:
    """Log matching: from the last place where the terms are equal, all before is equal."""
    index = min(len(one), len(other))
    while index and one[index - 1].term != other[index - 1].term:
        index -= 1
    assert one[:index] == other[:index], f"log matching: {_text(one)} and {_text(other)}"


def _text(log: Log) -> str:
    return " ".join(f"{e.index}:{e.term}" for e in log) or "nothing"
