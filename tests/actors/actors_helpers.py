"""What the tests of the actors share: small actors, a clock that is set, and a way to wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from khepri.actors.actor import KhepriActor
from khepri.actors.label import ActorLabel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.actors.child_spec import Siblings
    from khepri.actors.envelope import Envelope
    from khepri.actors.exit_reason import Exit
    from khepri.actors.reference import ActorReference

WAIT_SECONDS = 10.0
"""How long a test waits for what must come; it never waits for what must not."""


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Echo(KhepriActor):
    """Answers with what it is told; ``"crash"``, ``"exit"`` and ``"stop"`` do what they say."""

    def on_receive(self, message: object) -> object:
        if message == "crash":
            raise ValueError("told to crash")
        if message == "exit":
            raise SystemExit(1)
        if message == "stop":
            self.stop()
        return message


class Hoarder(KhepriActor):
    """Keeps every batch and answers nothing until it is told to give."""

    def __init__(self, label: ActorLabel) -> None:
        super().__init__(label)
        self.envelopes: list[Envelope] = []
        self.batch_lengths: list[int] = []

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        self.batch_lengths.append(len(envelopes))
        for envelope in envelopes:
            if envelope.message == "give":
                for kept in self.envelopes:
                    if kept.reply_to is not None:
                        kept.reply_to.resolve(kept.message)
                self.envelopes.clear()
            else:
                self.envelopes.append(envelope)

    def owed_replies(self) -> list[Any]:
        return [envelope.reply_to for envelope in self.envelopes]


class Gate:
    """A point at which an actor stands until a test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self._open.wait(WAIT_SECONDS)

    def open(self) -> None:
        self._open.set()

    def await_reached(self) -> None:
        assert self.reached.wait(WAIT_SECONDS)


class Journal:
    """What happened, in order, as told by many threads."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        self._grown = threading.Condition()

    def add(self, entry: str) -> None:
        with self._grown:
            self._entries.append(entry)
            self._grown.notify_all()

    def entries(self) -> list[str]:
        with self._grown:
            return list(self._entries)

    def await_entries(self, *expected: str) -> None:
        """Wait until there are as many entries as expected; they must be these."""
        with self._grown:
            self._grown.wait_for(lambda: len(self._entries) >= len(expected), WAIT_SECONDS)
            assert self._entries == list(expected)

    def clear(self) -> None:
        with self._grown:
            self._entries.clear()


class Worker(KhepriActor):
    """A child that writes its life into a journal and does what it is told."""

    def __init__(
        self,
        name: str,
        journal: Journal,
        *,
        on_start: Callable[[], None] | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(ActorLabel(name, "orders", "alice"))
        self._name = name
        self._journal = journal
        self._do_on_start = on_start
        self._do_on_stop = on_stop

    def on_start(self) -> None:
        self._journal.add(f"{self._name} starts")
        if self._do_on_start is not None:
            self._do_on_start()

    def on_receive(self, message: object) -> object:
        if isinstance(message, BaseException):
            raise message
        if message == "stop":
            self.stop()
        return message

    def on_terminate(self, reason: Exit) -> None:
        if self._do_on_stop is not None:
            self._do_on_stop()
        self._journal.add(f"{self._name} ends: {reason.kind.value}")


def worker(
    name: str,
    journal: Journal,
    *,
    on_start: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> Callable[[Siblings], ActorReference]:
    """Give the start function of a `Worker`."""

    def start(_siblings: Siblings) -> ActorReference:
        return Worker.start(name, journal, on_start=on_start, on_stop=on_stop)

    return start
