"""The small worlds that are explored, and what each of them is for.

A world with few messages on their way can be explored to its end; the same world with one more
goes on for long. `KHEPRI_SMALL_WORLDS` says how many states to look at then.
"""

from __future__ import annotations

from khepri.raft.events import AddMember, RemoveMember, TransferLeadership
from khepri.raft.settings import RaftSettings
from khepri.raft.types import MemberKind
from tests.raft.raft_notation import member, sid
from tests.raft.small_world import Budget, World

_A_LEADS = ("A campaigns with the vote of B", "all settles")
_A_WRITES = (*_A_LEADS, "A is asked to write 99")
_SECOND_ENTRY = (
    "A's AppendEntriesRequest(term=1, previous_log_index=1, previous_log_term=1,"
    " commit_index=1, entries=2:1)"
)
_THIRD_ENTRY = (
    "A's AppendEntriesRequest(term=1, previous_log_index=2, previous_log_term=1,"
    " commit_index=1, entries=3:1)"
)
_CONFIRMED_BY_C = (
    "C's AppendEntriesResponse(term=1, success=True, previous_log_index=0, last_index=2,"
    " last_term=1)"
)
_REFUSED_BY_B = (
    "B's AppendEntriesResponse(term=1, success=False, previous_log_index=2, last_index=1,"
    " last_term=1)"
)

_ADD_B = ("add B", AddMember(member("B", MemberKind.PROMOTABLE), "add"))
_ADD_C = ("add C", AddMember(member("C", MemberKind.PROMOTABLE), "add"))
_REMOVE_A = ("remove A", RemoveMember(sid("A"), "remove"))
_REMOVE_B = ("remove B", RemoveMember(sid("B"), "remove"))
_REMOVE_C = ("remove C", RemoveMember(sid("C"), "remove"))
_REMOVE_D = ("remove D", RemoveMember(sid("D"), "remove"))
_HAND_OVER = ("hand over to B", TransferLeadership(sid("B"), "hand over"))

# A lease lasts two ticks of the leader's slow clock, a promise two of the others' fast ones: as
# far apart as leases allow, but for a hair, since a lease of two seconds is one bit longer.
_TIMED = RaftSettings(
    heartbeat_interval_seconds=1.0,
    election_timeout_min_seconds=3.0,
    election_timeout_max_seconds=3.5,
)
_SLOW_LEADER = (1 + 2**-40, 1.5, 1.5)

WORLDS = {
    "two members elect, message by message, with slow disks": World(
        "AB",
        Budget(elections=2, crashes=1),
        elections="by message",
        disk_waits=True,
        letters=1,
    ),
    "two members write and crash, with slow disks": World(
        "AB", Budget(elections=1, proposals=1, crashes=1), _A_LEADS, disk_waits=True, letters=2
    ),
    "three members vote and crash": World(
        "ABC", Budget(elections=2, crashes=1), elections="by vote", crashing="B"
    ),
    "three members write while another campaigns": World(
        "ABC", Budget(elections=1, proposals=1, batches=1), _A_LEADS
    ),
    "a leader gives up and candidates of its term are left": World(
        "ABC", Budget(elections=2, silences=1), elections="by vote", campaigning="AC"
    ),
    "votes of four arrive twice": World(
        "ABCD",
        Budget(doubles=2),
        ("A campaigns with the pre-vote of B", "C campaigns with the pre-vote of D"),
        elections="by vote",
    ),
    "an entry of an old term reaches a majority (Raft figure 8)": World(
        "ABC",
        Budget(elections=2),
        (*_A_WRITES, "C campaigns with the vote of B", "A crashes"),
        campaigning="AC",
    ),
    "a deposed leader has what was never committed": World(
        "ABC",
        Budget(elections=1, heartbeats=1),
        (*_A_WRITES, "C campaigns with the vote of B"),
        campaigning="A",
    ),
    "a leader loses what it has not written": World(
        "ABC",
        Budget(elections=1, crashes=1),
        _A_WRITES,
        disk_waits=True,
        campaigning="C",
        crashing="A",
    ),
    "a confirmation outlives its term": World(
        "ABC",
        Budget(elections=1, crashes=1),
        (
            *_A_WRITES,
            f"B receives {_SECOND_ENTRY}",
            "B writes",
            "B hears of its disk",
            "A crashes",
            "C campaigns with the vote of A",
        ),
        disk_waits=True,
        keeps_old_answers=True,
        campaigning="A",
        crashing="C",
    ),
    "somebody reads while another campaigns": World(
        "ABC", Budget(elections=1, proposals=1, reads=1), _A_LEADS, campaigning="B"
    ),
    "somebody reads from a new leader": World(
        "ABC", Budget(elections=1, reads=1), _A_WRITES, campaigning="B"
    ),
    "one member becomes two": World(
        "AB",
        Budget(elections=1, changes=1, crashes=1),
        ("all settles",),
        voters="A",
        changes=(_ADD_B,),
        letters=2,
    ),
    "two members become three": World(
        "ABC",
        Budget(elections=1, changes=1, crashes=1),
        _A_LEADS,
        voters="AB",
        changes=(_ADD_C,),
    ),
    "three members become two, the leader may be the one that leaves": World(
        "ABC",
        Budget(elections=1, changes=1, crashes=1),
        _A_LEADS,
        changes=(_REMOVE_C, _REMOVE_A),
    ),
    "three members become one": World(
        "ABC", Budget(elections=1, changes=2), _A_LEADS, changes=(_REMOVE_C, _REMOVE_B)
    ),
    "a change of members is undone": World(
        "ABC", Budget(elections=1, changes=1), _A_LEADS, changes=(_REMOVE_C,), campaigning="B"
    ),
    "two leaders of four change the members": World(
        "ABCD",
        Budget(elections=1, changes=1),
        (*_A_LEADS, "A is asked to remove D", "B campaigns with the vote of D"),
        changes=(_REMOVE_D, _REMOVE_A),
        campaigning="A",
    ),
    "a leader hands over": World(
        "ABC", Budget(changes=1, proposals=1, crashes=1), _A_LEADS, changes=(_HAND_OVER,)
    ),
    "two members take snapshots": World(
        "AB", Budget(elections=1, snapshots=1, crashes=1, heartbeats=1), _A_LEADS, letters=2
    ),
    "a new member needs a snapshot": World(
        "ABC",
        Budget(changes=1, snapshots=1, crashes=1),
        (*_A_WRITES, "all settles"),
        voters="AB",
        changes=(_ADD_C,),
        crashing="C",
    ),
    "a snapshot comes late": World(
        "ABC",
        Budget(),
        (
            *_A_WRITES,
            "A is asked to write 98",
            f"C receives {_SECOND_ENTRY}",
            f"A receives {_CONFIRMED_BY_C}",
            "A takes a snapshot",
            f"B receives, not for the last time, {_THIRD_ENTRY}",
            f"A receives {_REFUSED_BY_B}",
            "A works on a snapshot",
        ),
        letters=2,
    ),
    "a leader has a lease while another campaigns": World(
        "ABC",
        Budget(elections=1, heartbeats=1, ticks=3, crashes=1),
        _A_LEADS,
        settings=_TIMED,
        clock_rates=_SLOW_LEADER,
        campaigning="B",
        crashing="C",
    ),
    "a leader has a lease and hands over": World(
        "ABC",
        Budget(heartbeats=1, changes=1, ticks=1),
        _A_LEADS,
        settings=_TIMED,
        clock_rates=_SLOW_LEADER,
        changes=(_HAND_OVER,),
    ),
}
