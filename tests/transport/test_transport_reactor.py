"""The I/O thread's loop: tasks of other threads, timers, sockets."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import zmq

from khepri.transport.reactor import Reactor

if TYPE_CHECKING:
    from khepri.transport.sockets import Socket


def nothing() -> None:
    """Do nothing."""


def test_tasks_from_many_threads_all_run_on_the_loops_thread_in_order() -> None:
    reactor = Reactor()
    loop = threading.Thread(target=reactor.run)
    loop.start()
    ran: dict[int, list[int]] = {number: [] for number in range(4)}
    threads_seen: set[threading.Thread] = set()

    def give(number: int) -> None:
        for count in range(1000):
            reactor.call_soon(partial(note, number, count))

    def note(number: int, count: int) -> None:
        ran[number].append(count)
        threads_seen.add(threading.current_thread())

    givers = [threading.Thread(target=give, args=(number,)) for number in ran]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    reactor.end()
    loop.join()
    reactor.close()

    assert all(counts == list(range(1000)) for counts in ran.values())
    assert threads_seen == {loop}


def test_a_lone_task_wakes_a_sleeping_loop_every_time() -> None:
    reactor = Reactor()
    loop = threading.Thread(target=reactor.run)
    loop.start()
    for _ in range(1000):
        is_done = threading.Event()
        reactor.call_soon(is_done.set)
        assert is_done.wait(20)
    reactor.end()
    loop.join()
    reactor.close()
    reactor.call_soon(nothing)  # too late, and harmless


def test_timers_run_when_due_unless_cancelled() -> None:
    reactor = Reactor()
    ran: list[str] = []
    reactor.call_later(0.02, lambda: ran.append("late"))
    reactor.call_later(0.0, lambda: ran.append("early"))
    reactor.call_later(0.01, lambda: ran.append("cancelled")).cancel()
    reactor.call_later(0.03, reactor.end)
    reactor.run()
    reactor.close()
    assert ran == ["early", "late"]


def test_a_socket_closed_by_one_handler_is_not_given_to_the_next() -> None:
    reactor = Reactor()
    with zmq.Context[zmq.Socket[bytes]]() as context:
        pairs: list[tuple[Socket, Socket]] = []
        for number in range(2):
            receiver, sender = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            receiver.bind(f"inproc://{number}")
            sender.connect(f"inproc://{number}")
            sender.send(b"x")
            pairs.append((receiver, sender))
        called: list[int] = []

        def handle(number: int) -> None:
            called.append(number)
            for receiver, _sender in pairs:
                reactor.unwatch(receiver)
            reactor.unwatch(pairs[0][0])  # twice is harmless
            reactor.end()

        reactor.watch(pairs[0][0], lambda: handle(0))
        reactor.watch(pairs[1][0], lambda: handle(1))
        reactor.run()
        reactor.close()
        assert called == [0]
        context.destroy(linger=0)
