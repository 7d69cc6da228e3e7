"""A supervisor with workers, and words to say what happens to them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from khepri.actors.child_spec import (
    ChildSpec,
    Restart,
    Siblings,
    Strategy,
    SupervisorFlags,
    supervisor_spec,
)
from khepri.actors.child_table import ChildStatus
from khepri.actors.label import ActorLabel
from khepri.actors.supervision import (
    which_children,
)
from khepri.actors.supervisor import Supervisor
from tests.actors.actors_helpers import WAIT_SECONDS, Journal, SetClock, worker

if TYPE_CHECKING:
    from khepri.actors.reference import ActorReference

LABEL = ActorLabel("store-supervisor", "orders", "alice")


class House:
    """A supervisor with workers a, b, c, and words to say what happens to them."""

    def __init__(
        self,
        flags: SupervisorFlags | None = None,
        *specs: ChildSpec,
        restart: Restart = Restart.PERMANENT,
        clock: SetClock | None = None,
    ) -> None:
        self.journal = Journal()
        self.clock = clock or SetClock()
        self.supervisor = Supervisor.start(
            LABEL,
            flags or SupervisorFlags(intensity=5),
            specs or [self.spec(name, restart=restart) for name in "abc"],
            clock=self.clock,
        )

    def spec(self, name: str, restart: Restart = Restart.PERMANENT) -> ChildSpec:
        return ChildSpec(name, worker(name, self.journal), restart)

    def await_started(self) -> None:
        self.supervisor.started.get(timeout=WAIT_SECONDS)

    def child(self, name: str) -> ActorReference:
        """Give the running child; the supervisor has noted what was told to it before."""
        infos = which_children(self.supervisor).get(timeout=WAIT_SECONDS)
        reference = next(info.reference for info in infos if info.id == name)
        assert reference is not None
        return reference

    def statuses(self) -> dict[str, ChildStatus]:
        infos = which_children(self.supervisor).get(timeout=WAIT_SECONDS)
        return {info.id: info.status for info in infos}

    def crash(self, name: str) -> None:
        reference = self.child(name)
        reference.cast(ValueError("boom"))
        reference.down.get(timeout=WAIT_SECONDS)

    def end_normally(self, name: str) -> None:
        reference = self.child(name)
        reference.cast("stop")
        reference.down.get(timeout=WAIT_SECONDS)

    def await_statuses(self, **wanted: ChildStatus) -> None:
        """Ask until the children are in these states."""
        give_up_at = time.monotonic() + WAIT_SECONDS
        while self.statuses() != wanted:
            assert time.monotonic() < give_up_at, f"{self.statuses()} instead of {wanted}"


def started_house(
    flags: SupervisorFlags | None = None, restart: Restart = Restart.PERMANENT
) -> House:
    """Give a house whose start is over and whose journal is empty."""
    house = House(flags, restart=restart)
    house.await_started()
    house.journal.await_entries("a starts", "b starts", "c starts")
    house.journal.clear()
    return house


RUNNING, STOPPED = ChildStatus.RUNNING, ChildStatus.STOPPED


def strategy(kind: Strategy) -> SupervisorFlags:
    return SupervisorFlags(kind, intensity=5)


def fails(_siblings: Siblings) -> NoReturn:
    raise OSError("no such device")


def fails_to_start() -> NoReturn:
    raise OSError("no such device")


def tower(inner_restart: Restart) -> tuple[House, Journal]:
    """Give a supervisor with a supervisor that allows no restart, which has one worker."""
    journal = Journal()

    def start_inner(_siblings: Siblings) -> ActorReference:
        return Supervisor.start(
            ActorLabel("inner"),
            SupervisorFlags(intensity=0),
            [ChildSpec("leaf", worker("leaf", journal))],
        )

    outer = House(
        SupervisorFlags(intensity=1), supervisor_spec("inner", start_inner, inner_restart)
    )
    outer.await_started()
    return outer, journal


def crash_leaf(house: House) -> None:
    inner = house.child("inner")
    (leaf,) = which_children(inner).get(timeout=WAIT_SECONDS)
    assert leaf.reference is not None
    leaf.reference.cast(ValueError("boom"))
    inner.down.get(timeout=WAIT_SECONDS)
