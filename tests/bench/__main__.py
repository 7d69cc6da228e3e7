"""The benchmarks: ``python -m tests.bench [--only NAME] [--runs N] [--quick] [--write]``.

Prints one table per benchmark. With ``--write`` the tables also go into
``docs/explanation/performance.md``.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

from . import performance_page
from .harness import Plan, ProgressLine
from .tables import Table, for_markdown, for_terminal

BENCHMARKS = {
    "puts": "durable puts, as multiples of a write + fdatasync loop",
    "puts_bare": "the same by the barest program of that shape",
    "puts_slow_disk": "the same with slower syncs",
    "puts_one_cpu": "the same by a process that is kept on one CPU",
    "peer": "the same puts and PySyncObj",
    "local_get": "local reads, as multiples of unpacking the value",
    "snapshot": "writes while a snapshot of a million tree nodes is written",
    "restart": "restart, as multiples of unpacking the snapshot file",
    "memory": "memory per tree node",
    "cluster_puts": "durable puts of three members, etcd and PySyncObj",
    "cluster_reads": "linearizable reads of three members, and etcd",
    "transactions": "transactions, beside puts",
    "failover": "from the leader's death to the next write, and etcd",
    "join": "join of an empty node while writes go on",
    "tree_speed": "the tree by depth and by children, wide reads, conditions",
}
_RUNS_MIN = 5


def main() -> None:
    """Run what was asked for."""
    arguments = _parse()
    sections: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="khepri-bench-") as temporary:
        for name in arguments.only or BENCHMARKS:
            table = _measure(
                name, Path(temporary) / name, runs=arguments.runs, quick=arguments.quick
            )
            print(for_terminal(table), end="\n\n", flush=True)
            measured = performance_page.measured_line(arguments.runs, arguments.directory)
            sections[name] = f"{for_markdown(table)}\n\n{measured}"
    if arguments.write:
        performance_page.write_sections(sections)
        print(f"written to {performance_page.PAGE}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure khepri side by side with its yardsticks.",
        epilog="\n".join(f"{name:13} {what}" for name, what in BENCHMARKS.items()),
    )
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--runs", type=int, default=_RUNS_MIN, help="rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="short loops and small trees")
    parser.add_argument("--write", action="store_true", help="update the page in docs/")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path.cwd(),
        help="measure the disk that holds it (default: the current directory)",
    )
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs takes a number from 1 up")
    if arguments.write and (arguments.quick or arguments.runs < _RUNS_MIN):
        parser.error(f"--write wants the full length and at least {_RUNS_MIN} runs")
    return arguments


def _measure(name: str, directory: Path, *, runs: int, quick: bool) -> Table:
    progress = ProgressLine(name)
    directory.mkdir()
    try:
        plan = Plan(directory=directory, runs=runs, quick=quick, say=progress.say)
        table: Table = importlib.import_module(f".{name}", __package__).measure(plan)
        return table
    finally:
        progress.end()


if __name__ == "__main__":
    main()
