"""What may happen next in a small world, and how that is said in a line.

Not here: what comes of it (`small_worlds.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.effects import InstallSnapshot
from khepri.raft.events import Propose, ReadRequest
from khepri.raft.types import Role
from tests.raft.small_world import Budget, Choice, State, World, in_words
from tests.raft.small_world_steps import KnownSteps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.raft.small_world_member import SmallMember


class Choices(KnownSteps):
    """Gives the choices in every state, and the lines that stand for them."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._searching = False

    # --- what may happen -------------------------------------------------------------------

    def choices(self, state: State) -> Iterator[Choice]:
        """Give everything that may happen next, always in the same order."""
        budget = state.budget
        for number in state.mail:
            letter = self._letters[number]
            yield Choice("receives", letter.to, (number,))
            if budget.doubles:
                yield Choice("receives, not for the last time,", letter.to, (number,), "doubles")
            if budget.batches:
                for other in state.mail:
                    if other != number and self._letters[other].to == letter.to:
                        yield Choice("receives", letter.to, (number, other), "batches")
        for index, number in enumerate(state.members):
            yield from self._disk_choices(index, self._members[number], budget)
            yield from self._timer_choices(index, number, budget)
            yield from self._request_choices(state, index, number)
        if budget.ticks:
            yield Choice("time goes on", -1, None, "ticks")

    def _disk_choices(self, index: int, member: SmallMember, budget: Budget) -> Iterator[Choice]:
        may_crash = budget.crashes and (not self._searching or member.name in self.world.crashing)
        if member.unsynced:
            yield Choice("writes", index)
        if member.notices:
            yield Choice("hears of its disk", index)
        if member.work_waiting:
            yield Choice("works on a snapshot", index)
            if may_crash and isinstance(member.work_waiting[0], InstallSnapshot):
                yield Choice("crashes amid installing", index, None, "crashes")
        if may_crash and not member.core._server.is_fresh:
            yield Choice("crashes", index, None, "crashes")
        if budget.snapshots and member.may_take_snapshot:
            yield Choice("takes a snapshot", index, None, "snapshots")

    def _timer_choices(self, index: int, number: int, budget: Budget) -> Iterator[Choice]:
        member, facts = self._members[number], self._facts[number]
        fresh = member.core._server.is_fresh
        is_due = not self._timed or fresh or member.now >= member.core.next_deadline()
        if facts.role is Role.LEADER:
            if budget.heartbeats and is_due and len(facts.matches):
                yield Choice("sends heartbeats", index, None, "heartbeats")
            if budget.silences and len(facts.voters) > 1 and not self._timed:
                yield Choice("hears nobody and gives up", index, None, "silences")
        elif self._searching and member.name not in self.world.campaigning:
            pass
        elif budget.elections and is_due and member.core._server.may_campaign:
            if self.world.elections == "by message" or len(facts.voters) == 1:
                yield Choice("runs out of patience", index, None, "elections")
            else:
                for voter, name in enumerate(self.world.names):
                    if voter != index and name in facts.voters:
                        yield Choice("campaigns with", index, voter, "elections")

    def _request_choices(self, state: State, index: int, number: int) -> Iterator[Choice]:
        budget, core = state.budget, self._members[number].core
        if budget.reads and core.leader is not None:
            ticket = len(self._ghosts[state.ghost].committed)
            yield Choice("is asked for a read", index, ReadRequest(ticket), "reads")
        if core.role is not Role.LEADER:
            return
        if budget.proposals:
            data = b"%d" % budget.proposals
            yield Choice("is asked to write", index, Propose(data, data), "proposals")
        if budget.changes:
            for _, event in self.world.changes:
                yield Choice("is asked to", index, event, "changes")

    # --- telling ---------------------------------------------------------------------------

    def line(self, choice: Choice) -> str:
        """Give a line that says what happens, and that `follow` understands."""
        kind, index, detail, _ = choice
        if index < 0:
            return kind
        name = self.world.names[index]
        if kind.startswith("receives"):
            numbers: tuple[int, ...] = detail
            letters = [self._letters[number] for number in numbers]
            what = " and, in the same step, ".join(
                f"{self.world.names[item.sender]}'s {in_words(item.message)}" for item in letters
            )
        elif kind == "campaigns with":
            what = f"the vote of {self.world.names[detail]}"
            if self.world.elections == "by vote":
                what = f"the pre-vote of {self.world.names[detail]}"
        elif kind == "is asked to":
            what = next(label for label, event in self.world.changes if event == detail)
        elif kind == "is asked to write":
            what = detail.data.decode()
        else:
            what = ""
        return f"{name} {kind} {what}".rstrip()
