"""A forked child is told that the stores are its parent's; nothing hangs in it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PREAMBLE = """
import os, sys, threading, traceback
import pykka
from khepri.actors.label import ActorLabel
from khepri.errors import ForkedProcessError
from tests.actors.actors_helpers import Echo, Hoarder
from tests.fork_helpers import in_child, refused
"""


def run(scenario: str) -> None:
    """Run a scenario in a process of its own: a fork copies all that pytest has."""
    subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PREAMBLE + textwrap.dedent(scenario),
        ],
        check=True,
        timeout=30,
    )


def test_every_use_in_the_child_is_refused_and_the_parent_goes_on() -> None:
    run("""
        echo = Echo.start(ActorLabel("echo"))
        hoarder = Hoarder.start(ActorLabel("hoarder"))
        pending = hoarder.request("kept")

        def child():
            refused(lambda: echo.ask("hello"))
            refused(lambda: echo.tell("hello"))
            refused(lambda: echo.request("hello").get())
            refused(lambda: pending.get())
            refused(lambda: echo.down.get())
            echo.cast("hello")
            assert not echo.is_alive()

        in_child(child)
        assert echo.ask("hello", timeout=10) == "hello"
        hoarder.cast("give")
        assert pending.get(timeout=10) == "kept"
    """)


def test_stopping_all_actors_in_the_child_does_not_hang() -> None:
    run("""
        Echo.start(ActorLabel("echo"))
        def child():
            assert pykka.ActorRegistry.stop_all() == [False]
        in_child(child)
        assert pykka.ActorRegistry.stop_all() == [True]
    """)


def test_the_child_does_not_answer_in_the_name_of_the_parent() -> None:
    run("""
        gate = threading.Event()
        class Slow(Echo):
            def on_start(self):
                gate.wait(10)
        slow = Slow.start(ActorLabel("slow"))
        called = []
        waiting = slow.request("waiting")
        waiting.add_done_callback(lambda _: called.append(os.getpid()))
        def child():
            refused(lambda: slow.ask("hello"))
            assert called == []
        in_child(child)
        gate.set()
        assert waiting.get(timeout=10) == "waiting"
    """)


def test_the_child_may_start_its_own_actors() -> None:
    run("""
        Echo.start(ActorLabel("echo"))
        def child():
            own = Echo.start(ActorLabel("own"))
            assert own.ask("hello", timeout=10) == "hello"
            own.stop(timeout=10)
        in_child(child)
    """)


def test_a_forgotten_actor_does_not_keep_the_interpreter_alive() -> None:
    run("""
        echo = Echo.start(ActorLabel("echo"))
        assert echo.ask("hello", timeout=10) == "hello"
    """)
