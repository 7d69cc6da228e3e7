"""The states that members of a small world can be in, and the steps between them, each made once.

Here: everything that can happen to one member. Not here: when it happens (`small_worlds.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.raft.events import MessageReceived
from khepri.raft.messages import PreVoteRequest, RequestVoteRequest
from tests.raft.raft_notation import sid
from tests.raft.small_world import Letter, Step
from tests.raft.small_world_checks import Facts, Ghost, facts_of
from tests.raft.small_world_essence import copy_of, essence
from tests.raft.small_world_member import SmallMember

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.raft.small_world import World


_BALLOTS = (PreVoteRequest, RequestVoteRequest)


_ALONE: dict[str, Callable[[SmallMember], object]] = {
    "sends heartbeats": SmallMember.send_heartbeats,
    "hears nobody and gives up": SmallMember.hear_nobody,
    "writes": SmallMember.write_next,
    "hears of its disk": SmallMember.hear_of_disk,
    "works on a snapshot": SmallMember.do_next_work,
    "takes a snapshot": SmallMember.take_snapshot,
    "crashes": SmallMember.crash_and_restart,
    "crashes amid installing": SmallMember.crash_amid_installation,
}


class KnownSteps:
    """Numbers for members, messages and ghosts, so that states of a world are small."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._timed = bool(world.clock_rates)
        self._members: list[SmallMember] = []
        self._facts: list[Facts] = []
        self._numbers: dict[object, int] = {}
        self._steps: dict[tuple[int, str, Any], Step] = {}
        self._letters: list[Letter] = []
        self._letter_numbers: dict[Letter, int] = {}
        self._ghosts: list[Ghost] = [Ghost()]
        self._ghost_numbers: dict[Ghost, int] = {Ghost(): 0}

    # --- one step of one member ------------------------------------------------------------

    def _step(self, number: int, kind: str, detail: Any) -> Step:
        key = (number, kind, detail)
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = self._new_step(number, kind, detail)
        return known

    def _new_step(self, number: int, kind: str, detail: Any) -> Step:
        member: SmallMember = copy_of(self._members[number])
        try:
            self._act(member, kind, detail)
            while member.unsynced and not self.world.disk_waits:
                member.write_next()
                member.hear_of_disk()
        except AssertionError as error:
            return Step(number, (), f"{member.name}: {error}")
        outbox, member.outbox = member.outbox, []
        sender = self.world.names.index(member.name)
        mail = [
            self._letter_number(Letter(sender, self.world.names.index(send.to.node), send.message))
            for send in outbox
            if send.to.node in self.world.names
        ]
        return Step(self._number(member), tuple(mail), "")

    def _act(self, member: SmallMember, kind: str, detail: Any) -> None:
        if kind == "receives":
            if not self._timed and any(isinstance(m, _BALLOTS) for _, m in detail):
                member.forget_promise()
            names = self.world.names
            member.step(*(MessageReceived(sid(names[sender]), m) for sender, m in detail))
        elif kind == "runs out of patience":
            member.run_out_of_patience(timed=self._timed)
        elif kind == "time goes on":
            member.now += detail
        elif kind in _ALONE:
            _ALONE[kind](member)
        else:
            member.step(detail)

    # --- numbers for what is known ---------------------------------------------------------

    def _number(self, member: SmallMember) -> int:
        state = essence(member, timed=self._timed)
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._members)
            self._members.append(member)
            self._facts.append(facts_of(member))
        return number

    def _letter_number(self, letter: Letter) -> int:
        number = self._letter_numbers.get(letter)
        if number is None:
            number = self._letter_numbers[letter] = len(self._letters)
            self._letters.append(letter)
        return number

    def _ghost_number(self, ghost: Ghost) -> int:
        number = self._ghost_numbers.get(ghost)
        if number is None:
            number = self._ghost_numbers[ghost] = len(self._ghosts)
            self._ghosts.append(ghost)
        return number
