"""The benchmarks measure in rounds, compare within a round, and write into their page."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.callers import blocking_calls_per_second, pipelined_calls_per_second
from tests.bench.child import ChildFailedError, in_child
from tests.bench.harness import Plan, Sample, in_rounds
from tests.bench.performance_page import MarkerMissingError, machine_facts, replace_section
from tests.bench.record_loop import records_per_second
from tests.bench.tables import Table, for_markdown, for_terminal, verdict

TABLE = Table("Title", ("what", "figure"), (("short", "1"), ("a longer one", "1,000")), ("Note.",))


def plan(directory: Path, runs: int = 3) -> Plan:
    return Plan(directory=directory, runs=runs, quick=True, say=lambda _what: None)


def fails() -> Sample:
    raise ValueError("as it must")


def adds(*, left: float, right: float) -> Sample:
    return {"sum": left + right}


def test_every_round_measures_every_subject(tmp_path: Path) -> None:
    order: list[str] = []

    def measure(subject: str) -> Sample:
        order.append(subject)
        return {"figure": float(len(order))}

    collected = in_rounds(plan(tmp_path), ["a", "b"], measure)
    assert order == ["a", "b"] * 3
    assert collected["a"].median("figure") == 3.0
    assert collected["b"].worst("figure") == 6.0


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_moment_does_not_count(
    tmp_path: Path,
) -> None:
    slow_and_fast = iter([(10.0, 5.0), (1_000.0, 500.0), (100.0, 50.0)])

    def measure(_subject: str) -> Sample:
        ours, yardstick = next(slow_and_fast)
        return {"ours": ours, "yardstick": yardstick}

    samples = in_rounds(plan(tmp_path), ["it"], measure)["it"]
    assert samples.median_ratio("ours", "yardstick") == 2.0
    assert samples.spread("ours", "yardstick") == "2.00 to 2.00"


def test_a_child_gives_its_sample_back() -> None:
    assert in_child(adds, left=1, right=2) == {"sum": 3}


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(ChildFailedError, match="as it must"):
        in_child(fails)


def test_the_record_loop_leaves_nothing_behind(tmp_path: Path) -> None:
    assert records_per_second(tmp_path, 0.01) > 0
    assert list(tmp_path.iterdir()) == []


def test_blocking_callers_call_from_every_thread() -> None:
    called: set[int] = set()
    rate = blocking_calls_per_second(
        lambda thread, _number: called.add(thread), threads=4, seconds=0.05
    )
    assert called == {0, 1, 2, 3}
    assert rate > 0


def test_a_failing_call_is_not_counted_but_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        blocking_calls_per_second(lambda _thread, _number: 1 / 0, threads=2, seconds=0.05)


def test_a_pipelining_caller_has_so_many_calls_in_flight_and_waits_for_all() -> None:
    in_flight: set[int] = set()
    most = 0

    def send(number: int) -> int:
        nonlocal most
        in_flight.add(number)
        most = max(most, len(in_flight))
        return number

    assert pipelined_calls_per_second(send, in_flight.remove, seconds=0.05, in_flight=7) > 0
    assert most == 7
    assert not in_flight


def test_a_table_is_aligned_for_a_terminal() -> None:
    assert for_terminal(TABLE).splitlines() == [
        "Title",
        "=====",
        "what          figure",
        "short              1",
        "a longer one   1,000",
        "Note.",
    ]


def test_a_table_is_markdown_for_the_page() -> None:
    assert for_markdown(TABLE).splitlines() == [
        "**Title**",
        "",
        "| what | figure |",
        "|---|---:|",
        "| short | 1 |",
        "| a longer one | 1,000 |",
        "",
        "Note.",
    ]


def test_a_verdict_tells_a_missed_target() -> None:
    assert verdict(4.4, 4.5, at_least=True) == "≥ 4.5: NO"
    assert verdict(4.5, 4.5, at_least=True) == "≥ 4.5: yes"
    assert verdict(6.1, 6, at_least=False) == "≤ 6: NO"


def test_a_section_is_replaced_and_the_rest_left_alone() -> None:
    page = "Before.\n<!-- bench:puts begin -->\nold\n<!-- bench:puts end -->\nAfter.\n"
    assert replace_section(page, "puts", "new") == page.replace("old", "new")


@pytest.mark.parametrize(
    "page", ["", "<!-- bench:puts begin -->", "<!-- bench:puts end --><!-- bench:puts begin -->"]
)
def test_a_page_without_a_place_is_not_touched(page: str) -> None:
    with pytest.raises(MarkerMissingError):
        replace_section(page, "puts", "new")


def test_the_machine_is_described(tmp_path: Path) -> None:
    assert "cores" in machine_facts(tmp_path)


@pytest.mark.parametrize("name", ["snapshot", "restart", "memory", "tree_speed"])
def test_what_nothing_else_runs_can_be_measured(name: str, tmp_path: Path) -> None:
    """What it measures here says nothing: a small tree, once."""
    words = ("--only", name, "--quick", "--runs", "1", "--directory", str(tmp_path))
    subprocess.run(
        [sys.executable, "-m", "tests.bench", *words],
        cwd=Path(__file__).parent.parent,
        check=True,
        timeout=120,
    )
