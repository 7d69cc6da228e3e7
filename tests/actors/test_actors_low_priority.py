"""Commands of low priority go behind the normal ones, a share at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from khepri.actors.command_pump import CommandPump
from khepri.actors.future import KhepriFuture
from khepri.actors.low_priority import SHARE_BYTES, SHARE_COMMANDS, LowPriorityQueue

if TYPE_CHECKING:
    from khepri.actors.origin import Origin


def names(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]


def a_pump(low: list[bytes]) -> CommandPump:
    """A pump with an open session and low commands that wait."""
    pump = CommandPump()
    pump.origin.open_session(7)
    for command in low:
        pump.low.add(command, None)
    return pump


def take(pump: CommandPump) -> list[bytes]:
    """What goes into the log next, in order."""
    entries = pump.entries_to_propose(0.0)
    return [command for groups in entries for group in groups for command in group.commands]


def finish(pump: CommandPump, count: int) -> None:
    """Say that the next commands in flight were applied."""
    pump.origin.applied(pump.origin._first_in_flight, [None] * count)


def test_normal_commands_go_before_low_ones_that_came_earlier() -> None:
    pump = a_pump([b"low"])
    pump.origin.add(b"normal", None)
    assert take(pump) == [b"normal", b"low"]


def test_only_one_share_is_on_its_way_and_the_next_comes_when_it_is_applied() -> None:
    low = names("low", 2 * SHARE_COMMANDS + 1)
    pump = a_pump(low)
    assert take(pump) == low[:SHARE_COMMANDS]
    assert not pump.has_work
    finish(pump, SHARE_COMMANDS - 1)
    assert not pump.has_work
    assert take(pump) == []
    finish(pump, 1)
    assert pump.has_work
    assert take(pump) == low[SHARE_COMMANDS : 2 * SHARE_COMMANDS]
    finish(pump, SHARE_COMMANDS)
    assert take(pump) == low[2 * SHARE_COMMANDS :]


def test_a_normal_command_is_at_most_one_share_behind() -> None:
    pump = a_pump(names("low", 10_000))
    take(pump)
    pump.origin.add(b"normal", None)
    assert take(pump) == [b"normal"]
    assert len(pump.origin.tickets()) == SHARE_COMMANDS + 1


def test_low_commands_get_on_however_many_normal_ones_there_are() -> None:
    pump = a_pump(names("low", 3 * SHARE_COMMANDS))
    rounds = 0
    while pump.low:
        for command in names("normal", 100):
            pump.origin.add(command, None)
        finish(pump, len(take(pump)))
        rounds += 1
    assert rounds == 3


def test_large_low_commands_go_in_shares_of_bytes_and_one_too_large_goes_alone() -> None:
    half, whole = bytes(SHARE_BYTES // 2), bytes(2 * SHARE_BYTES)
    pump = a_pump([half, half, half, whole, b"x"])
    shares: list[list[int]] = []
    while pump.has_work:
        shares.append([len(command) for command in take(pump)])
        finish(pump, len(shares[-1]))
    assert shares == [[len(half)] * 2, [len(half)], [len(whole)], [1]]


def test_a_follower_forwards_one_share_too() -> None:
    pump = a_pump(names("low", 10 * SHARE_COMMANDS))
    groups = pump.groups_to_forward(0.0)
    assert [len(group.commands) for group in groups] == [SHARE_COMMANDS]


def test_what_is_lost_on_its_way_is_sent_again_and_holds_the_next_share_back() -> None:
    low = names("low", SHARE_COMMANDS + 1)
    pump = a_pump(low)
    take(pump)
    pump.lost()
    assert take(pump) == low[:SHARE_COMMANDS]


def test_a_share_that_was_dropped_does_not_hold_up_the_next() -> None:
    """A failed disk: the origin forgets what it has not sent."""
    pump = a_pump(names("low", SHARE_COMMANDS + 1))
    pump.low.feed(pump.origin)
    pump.origin.drop_unsent()
    assert pump.low.is_ready(pump.origin)
    assert take(pump) == [f"low{SHARE_COMMANDS}".encode()]


def test_tickets_are_kept_with_their_commands_and_given_back_when_dropped() -> None:
    queue = LowPriorityQueue()
    ticket: KhepriFuture[object] = KhepriFuture()
    queue.add(b"a", ticket)
    queue.add(b"b", None)
    assert queue.tickets() == [ticket, None]
    assert queue.waiting_bytes == 2
    assert queue.drop() == [ticket]
    assert (len(queue), queue.waiting_bytes) == (0, 0)


@given(st.lists(st.sampled_from(["low", "normal", "take", "finish", "lost"]), max_size=300))
def test_whatever_happens_both_kinds_keep_their_order_and_none_is_lost(steps: list[str]) -> None:
    pump = a_pump([])
    sent: dict[str, list[bytes]] = {"low": [], "normal": []}
    applied: list[bytes] = []

    def finish_all(origin: Origin) -> None:
        applied.extend(command for command, _ in list(origin._in_flight)[: origin._sent])
        finish(pump, origin._sent)

    for number, step in enumerate(steps):
        if step in sent:
            sent[step].append(f"{step}{number}".encode())
            (pump.low if step == "low" else pump.origin).add(sent[step][-1], None)
        elif step == "take":
            take(pump)
        elif step == "finish":
            finish_all(pump.origin)
        else:
            pump.lost()
    while pump.has_work or pump.origin.has_something_in_flight:
        take(pump)
        finish_all(pump.origin)
    for kind, commands in sent.items():
        assert [command for command in applied if command.startswith(kind.encode())] == commands


def test_what_nobody_waits_for_any_more_gives_its_room_back() -> None:
    queue = LowPriorityQueue()
    given_up: KhepriFuture[object] = KhepriFuture()
    queue.add(b"nobody's", None)
    queue.add(b"given up", given_up)
    queue.add(b"waited for", KhepriFuture())
    given_up.set(None)
    queue.withdraw_abandoned()
    assert (len(queue), queue.waiting_bytes) == (2, len(b"nobody's") + len(b"waited for"))
