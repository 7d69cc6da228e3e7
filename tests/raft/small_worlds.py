"""Every run of a small world: all orders in which what can happen does happen.

A world is a few members and a budget: so many elections, proposals, crashes, doubled messages.
Messages are a set. Any of them may arrive next, or never, so that loss and reordering cost
nothing. The search is breadth first, so that the path to a violation is a shortest one, and
deterministic. A path is a list of lines; `Explorer.follow` takes such lines back.

What keeps it small, none of which adds a run that could not be:

- a state of a member, and a step from it, is computed once (`small_world_member.py`);
- an arrival that changes nothing and is answered by nothing leads nowhere new: the same world with
  the message still on its way can do all that and more;
- the same world with less mail is not looked at again, for the same reason;
- never more than `letters` messages are on their way: of more, any are lost, in all ways;
- an answer from a term that is over is taken off the network, unless `keeps_old_answers`;
- with `elections="at once"` one voter answers before anything else happens, and what was asked of
  the others is lost; with `"by vote"` that goes for the pre-votes only;
- with `disk_waits` off, everything is durable as soon as it is handed out.

Time is free unless `clock_rates` are given: any timer may run out at any time, and promises not to
vote are over when somebody asks. Leases rest on time; worlds with leases have a clock.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from khepri.raft.messages import (
    Message,
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)
from khepri.raft.types import Configuration, Role
from tests.raft.raft_notation import voters
from tests.raft.small_world import (
    Budget,
    Choice,
    Report,
    State,
    Step,
    Violation,
    World,
    is_void,
)
from tests.raft.small_world_checks import check, check_logs, remember
from tests.raft.small_world_choices import Choices
from tests.raft.small_world_member import SmallMember

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_ANSWERS: dict[type[Message], type[Message]] = {
    PreVoteRequest: PreVoteResponse,
    RequestVoteRequest: RequestVoteResponse,
}


class Explorer(Choices):
    """Knows the states of one world, and finds others."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._matching_logs: set[tuple[int, int]] = set()
        self._seen: dict[tuple[object, ...], list[frozenset[int]]] = {}

    # --- searching -------------------------------------------------------------------------

    def search(self, max_states: int) -> Report:
        """Look at all states, nearest first, or at `max_states` of them."""
        try:
            start = self.begin()
        except Violation as violation:
            return Report(0, False, 0, str(violation), self.world.history)
        self._searching = True
        came_from: dict[State, tuple[State, Choice] | None] = {start: None}
        frontier, depth = [start], 0
        while frontier:
            reached: list[State] = []
            for state in frontier:
                for choice in self.choices(state):
                    try:
                        after = self.perform(state, choice)
                    except Violation as violation:
                        path = (*_path_to(self, came_from, state), self.line(choice))
                        history = self.world.history
                        found = str(violation)
                        return Report(len(came_from), False, depth + 1, found, (*history, *path))
                    for kept in self._losing(after):
                        if not self._is_covered(kept):
                            came_from[kept] = (state, choice)
                            reached.append(kept)
                if len(came_from) >= max_states:
                    return Report(len(came_from), False, depth)
            frontier = reached
            depth += bool(reached)
        return Report(len(came_from), True, depth)

    def _losing(self, state: State | None) -> Iterator[State]:
        """Lose as many messages as must be lost, in all ways."""
        if state is None:
            return
        limit = self.world.letters
        if len(state.mail) <= limit:
            yield state
        else:
            for mail in combinations(state.mail, limit):
                yield state._replace(mail=mail)

    def _is_covered(self, state: State) -> bool:
        """Whether the same was seen with the same mail or more: it can do all this one can."""
        mail = frozenset(state.mail)
        others = self._seen.setdefault((state.members, state.ghost, state.budget), [])
        if any(mail <= other for other in others):
            return True
        others[:] = [other for other in others if not other <= mail]
        others.append(mail)
        return False

    def begin(self) -> State:
        """Give the state in which the search begins."""
        world = self.world
        members: list[int] = []
        for name in world.names:
            is_member = name in (world.voters or world.names)
            initial = voters(world.voters or world.names) if is_member else Configuration()
            member = SmallMember(name, initial, world.settings)
            member.step()
            members.append(self._number(member))
        state = State(tuple(members), (), 0, Budget(*[99] * len(Budget._fields)))
        return self.follow(state, world.history)._replace(budget=world.budget)

    def follow(self, state: State, lines: Iterable[str]) -> State:
        """Let happen what the lines say."""
        for line in lines:
            if line == "all settles":
                state = self._settled(state)
                continue
            possible = {self.line(choice): choice for choice in self.choices(state)}
            assert line in possible, f"{line!r} is none of {sorted(possible)}"
            after = self.perform(state, possible[line])
            assert after is not None, f"{line!r} changes nothing"
            state = after
        return state

    def _settled(self, state: State) -> State:
        """Let all arrive that is on its way to somebody, or to a disk."""
        while True:
            for choice in self.choices(state):
                after = None if choice.cost else self.perform(state, choice)
                if after is not None:
                    state = after
                    break
            else:
                return state._replace(mail=())

    # --- letting it happen -----------------------------------------------------------------

    def perform(self, state: State, choice: Choice) -> State | None:
        """Give the state afterwards; None if nothing has changed, or it is not possible.

        Raises:
            Violation: something that must not be has happened.
        """
        kind, index, detail, cost = choice
        if kind == "time goes on":
            return self._tick(state)
        if kind == "campaigns with":
            return self._campaign(state, choice)
        number = state.members[index]
        if kind.startswith("receives"):
            numbers: tuple[int, ...] = detail
            letters = [self._letters[letter] for letter in numbers]
            mail = tuple((item.sender, item.message) for item in letters)
            step = self._step(number, "receives", mail)
            if step.after == number and not step.mail and not step.violation:
                return None
            if kind == "receives":
                state = state._replace(mail=tuple(m for m in state.mail if m not in detail))
        else:
            step = self._step(number, kind, detail)
        return self._after(state, [(index, step)], step.mail, cost)

    def _campaign(self, state: State, choice: Choice) -> State | None:
        """Let pre-votes, and with "at once" the vote too, be answered before anything else.

        What nobody is said to answer is lost, but for the requests for votes with "by vote".
        """
        _, index, voter, cost = choice
        begun = step = self._step(state.members[index], "runs out of patience", None)
        others = [other for other in range(len(state.members)) if other != index]
        for other in sorted(others, key=lambda other: other != voter):
            asked = self._said(begun, other, PreVoteRequest)
            heard = self._heard(step, index, other, state.members[other], asked)
            if heard is None and other == voter:
                return None
            step = step if heard is None else heard[0]
            if self._said(step, voter, RequestVoteRequest) is not None:
                break
        if self.world.elections == "by vote":
            return self._after(state, [(index, step)], step.mail, cost)
        steps, asking = [(index, step)], step
        for other in sorted(others, key=lambda other: other != voter):
            asked = self._said(asking, other, RequestVoteRequest)
            heard = self._heard(step, index, other, state.members[other], asked)
            if heard is not None:
                step = heard[0]
                steps = [(index, step), *steps[1:], (other, heard[1])]
            elif other == voter:
                return None
            if self._facts[step.after].role is Role.LEADER:
                break
        return self._after(state, steps, step.mail, cost)

    def _heard(
        self, step: Step, index: int, voter: int, theirs: int, asked: Message | None
    ) -> tuple[Step, Step] | None:
        """Give what a yes of `voter` brings about, and what the voter is then."""
        if asked is None:
            return None
        reply = self._step(theirs, "receives", ((index, asked),))
        answered = self._said(reply, index, _ANSWERS[type(asked)])
        if answered is None or not answered.granted:
            return None
        after = self._step(step.after, "receives", ((voter, answered),))
        return after, Step(reply.after, (), reply.violation)

    def _said(self, step: Step, to: int, kind: type[Message]) -> Any:
        if step.violation:
            raise Violation(step.violation)
        for number in step.mail:
            letter = self._letters[number]
            if letter.to == to and isinstance(letter.message, kind):
                return letter.message
        return None

    def _tick(self, state: State) -> State:
        members = list(state.members)
        for index, number in enumerate(members):
            members[index] = self._step(
                number, "time goes on", self.world.clock_rates[index]
            ).after
        budget = state.budget._replace(ticks=state.budget.ticks - 1)
        after = state._replace(members=tuple(members), budget=budget)
        self._check(after, -1)
        return after

    def _after(
        self, state: State, steps: list[tuple[int, Step]], more_mail: tuple[int, ...], cost: str
    ) -> State | None:
        members, mail, ghost, budget = state
        changed = list(members)
        for index, step in steps:
            if step.violation:
                raise Violation(step.violation)
            changed[index] = step.after
            try:
                before, after = self._facts[members[index]], self._facts[step.after]
                known = self._ghosts[ghost]
                ghost = self._ghost_number(remember(known, before, after))
            except AssertionError as error:
                raise Violation(str(error)) from None
        members = tuple(changed)
        mail = tuple(sorted({*mail, *more_mail}))
        if not self.world.keeps_old_answers:
            mail = tuple([m for m in mail if not self._is_void(m, members)])
        if cost:
            budget = budget._replace(**{cost: getattr(budget, cost) - 1})
        result = State(members, mail, ghost, budget)
        if result == state:
            return None
        for index, _ in steps:
            self._check(result, index)
        return result

    def _is_void(self, number: int, members: tuple[int, ...]) -> bool:
        letter = self._letters[number]
        return is_void(letter.message, self._facts[members[letter.to]])

    def _check(self, state: State, changed: int) -> None:
        facts = [self._facts[number] for number in state.members]
        try:
            check(self._ghosts[state.ghost], facts)
            if changed < 0:
                return
            ours = state.members[changed]
            for other in state.members:
                if other != ours and (ours, other) not in self._matching_logs:
                    check_logs(self._facts[ours].log, self._facts[other].log)
                    self._matching_logs.add((ours, other))
        except AssertionError as error:
            raise Violation(str(error)) from None


def _path_to(
    explorer: Explorer, came_from: dict[State, tuple[State, Choice] | None], state: State
) -> list[str]:
    lines: list[str] = []
    step = came_from[state]
    while step is not None:
        state, choice = step
        lines.append(explorer.line(choice))
        step = came_from[state]
    return lines[::-1]
