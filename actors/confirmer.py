"""The Confirmer: asks other members whether they have applied what was applied here.

A write is answered by the member it was given to. Whoever wants to read it at another member at
once has that one asked too (``reply_from``): "answer when you have applied this place in the log".
Questions and answers may be lost, members restart, the leader changes; so a question is asked
again until it is answered or its asker has given up. One actor per node, so that waiting costs no
thread per call.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from khepri.errors import KhepriError, KhepriTimeoutError, NotAMemberError

from .actor import KhepriActor
from .refusals import value_or_error
from .router import RemoteCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from khepri.raft.types import ServerId

    from .access import StoreAccess
    from .envelope import Envelope
    from .future import KhepriFuture
    from .label import ActorLabel
    from .reference import ActorReference

ANSWER_MILLISECONDS: Final = 2_000
"""A question without an answer for so long may be lost, and is asked again."""

PAUSE_SECONDS: Final = 0.1
"""After an answer that helps nobody: the member is being started, or nobody leads."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Reply None once a member has applied a place in the log.

    The reply is a `NotAMemberError` if it is no member, a `KhepriTimeoutError` if it is too late.

    Attributes:
        access: the local face of the store.
        member: which member; None for whichever leads, as known here.
        index: the log index.
        term: its term.
        give_up_at: monotonic seconds when nobody waits any more; None if never.
    """

    access: StoreAccess
    member: ServerId | None
    index: int
    term: int
    give_up_at: float | None


@dataclass(frozen=True, slots=True)
class Limit:
    """Let a write that is to be applied here first, before anybody is asked, end in time.

    Attributes:
        future: of the reply from here.
        give_up_at: monotonic seconds when nobody waits any more.
        make_late: makes the error.
    """

    future: KhepriFuture[Any]
    give_up_at: float
    make_late: Callable[[], KhepriTimeoutError]


@dataclass(slots=True, eq=False)
class _Question:
    """What is under way for one `Confirm`."""

    wanted: Confirm
    reply_to: KhepriFuture[Any]
    attempt: int = 0
    ask_at: float = 0.0  # when it is asked (again), on the actor's clock

    def due_at(self) -> float:
        give_up_at = self.wanted.give_up_at
        return self.ask_at if give_up_at is None else min(self.ask_at, give_up_at)


@dataclass(frozen=True, slots=True)
class _Answered:
    """An attempt has come to an end (the answering thread says so)."""

    question: _Question
    attempt: int
    has_applied: bool


class Confirmer(KhepriActor):
    """The questions of one node."""

    def __init__(self, label: ActorLabel, router: Callable[[], ActorReference | None]) -> None:
        """Make the actor.

        Args:
            label: who it is.
            router: gives the node's Router, which may be another one after a restart; None if
                the node is not distributed.
        """
        super().__init__(label)
        self._router = router
        self._questions: list[_Question] = []
        self._limits: list[tuple[float, int, Limit]] = []  # a heap
        self._numbers = itertools.count()

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Ask what is new, answer what is answered."""
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, Confirm):
                assert envelope.reply_to is not None, "somebody waits for the answer"
                question = _Question(message, envelope.reply_to)
                self._questions.append(question)
                self._ask(question)
            elif isinstance(message, Limit):
                self._add_limit(message)
            elif isinstance(message, _Answered):
                self._answered(message)
            else:
                raise TypeError(f"not a message for a Confirmer: {message!r}")

    def next_deadline(self) -> float | None:
        """Give the time of the next question, or of giving one up."""
        due = [question.due_at() for question in self._questions]
        due += [give_up_at for give_up_at, _, _ in self._limits[:1]]
        return min(due, default=None)

    def on_deadline(self) -> None:
        """Ask again what is due; give up what is too late."""
        now = self.clock()
        while self._limits and self._limits[0][0] <= now:
            _, _, limit = heapq.heappop(self._limits)
            if not limit.future.done():
                limit.future.fail(limit.make_late())
        for question in tuple(self._questions):
            give_up_at = question.wanted.give_up_at
            if question.reply_to.done():  # its asker has given up
                self._questions.remove(question)
            elif give_up_at is not None and give_up_at <= now:
                self._settle(question, _too_late())
            elif question.ask_at <= now:
                self._ask(question)

    def owed_replies(self) -> Iterable[KhepriFuture[Any]]:
        """Those who wait for another member, and those who would wait on without their limit."""
        asked = [question.reply_to for question in self._questions]
        return [*asked, *(limit.future for _, _, limit in self._limits)]

    def _add_limit(self, limit: Limit) -> None:
        while self._limits and self._limits[0][2].future.done():
            heapq.heappop(self._limits)
        heapq.heappush(self._limits, (limit.give_up_at, next(self._numbers), limit))

    def _ask(self, question: _Question) -> None:
        access, wanted = question.wanted.access, question.wanted
        known = access.membership
        leader = None if known is None else known.leader
        member = leader if wanted.member is None else wanted.member
        if member == access.server_id:
            self._settle(question, None)  # it has applied it, or this would not be asked
            return
        if wanted.member is not None and known is not None and member not in known.members:
            self._settle(question, not_a_member(wanted.member, access, "applied"))
            return
        now, router = self.clock(), self._router()
        question.attempt += 1
        if member is None or router is None:
            question.ask_at = now + PAUSE_SECONDS
            return
        question.ask_at = now + ANSWER_MILLISECONDS / 1000
        place = (wanted.index, wanted.term)
        arguments = (access.store_id, *place, ANSWER_MILLISECONDS, access.cluster_id)
        call = RemoteCall(member.node, "wait_until_applied", arguments)
        answer = router.request(call, value_or_error)
        answer.add_done_callback(partial(self._report, question, question.attempt))

    def _report(self, question: _Question, attempt: int, answer: KhepriFuture[Any]) -> None:
        # In the thread of whoever has resolved it.
        try:
            answer.get(timeout=0)
        except KhepriError:
            self.reference.cast(_Answered(question, attempt, has_applied=False))
        else:
            self.reference.cast(_Answered(question, attempt, has_applied=True))

    def _answered(self, answered: _Answered) -> None:
        question = answered.question
        if answered.has_applied:
            self._settle(question, None)
        elif answered.attempt == question.attempt:
            question.ask_at = self.clock() + PAUSE_SECONDS

    def _settle(self, question: _Question, outcome: KhepriError | None) -> None:
        if question in self._questions:
            self._questions.remove(question)
        question.reply_to.resolve(outcome)


def _too_late() -> KhepriTimeoutError:
    return KhepriTimeoutError(
        "the write is applied here, but the other member has not said so within the time",
        operation="confirmation by another member",
        outcome="applied",
    )


def not_a_member(member: ServerId, access: StoreAccess, outcome: str) -> NotAMemberError:
    """Make the error for a member that is none of a store.

    Args:
        member: which.
        access: the local face of the store.
        outcome: what became of the write, ``"applied"`` or ``"not_applied"``.
    """
    members = [known.node for known in access.known_members()]
    return NotAMemberError(
        f"{member.node} is no member of the store {access.store_id!r}; members are on "
        f"{', '.join(members)}",
        store_id=access.store_id,
        member=member.node,
        members=members,
        outcome=outcome,
    )
