"""Tables: what a benchmark gives back, drawn for a terminal and for Markdown.

Nothing here measures; `harness` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """The result of one benchmark: a headline, rows of text, and what a reader must know."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self


def for_terminal(table: Table) -> str:
    """Draw with aligned columns: the first to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    lines = [table.title, "=" * len(table.title)]
    for row in (table.columns, *table.rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *table.notes])


def for_markdown(table: Table) -> str:
    """Draw as Markdown, one sentence per source line."""
    lines = [
        f"**{table.title}**",
        "",
        "| " + " | ".join(table.columns) + " |",
        "|---" + "|---:" * (len(table.columns) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in table.rows),
    ]
    if table.notes:
        lines += ["", *table.notes]
    return "\n".join(lines)


def rate(per_second: float) -> str:
    """Write a rate without digits that no run could repeat."""
    if per_second >= 10_000:
        return f"{round(per_second, -2):,.0f}"
    return f"{per_second:,.0f}"


def ratio(value: float) -> str:
    """Write a ratio with about three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def verdict(value: float, target: float, *, at_least: bool) -> str:
    """Say what was asked for and whether it was reached."""
    reached = value >= target if at_least else value <= target
    sign = "≥" if at_least else "≤"
    return f"{sign} {target:g}: {'yes' if reached else 'NO'}"
