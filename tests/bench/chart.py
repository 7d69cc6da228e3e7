"""Small line charts as SVG text: nothing to install, and pictures that can be compared by line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

PICTURE = (
    Path(__file__).resolve().parent.parent.parent / "docs" / "explanation" / "performance-tree.svg"
)

_WIDTH, _HEIGHT = 360, 260
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 30, 70, 40
_COLOURS = ("#4477aa", "#228833", "#aa3377", "#ccbb44", "#66ccee")

Series = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: lines of microseconds over one quantity."""

    title: str
    series: Series
    logarithmic: bool


def write(path: Path, panels: list[Panel]) -> None:
    """Write panels side by side."""
    path.write_text(drawn(panels), "utf-8")


def drawn(panels: list[Panel]) -> str:
    """Give the SVG of panels side by side."""
    width = _WIDTH * len(panels)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
            'font-family="sans-serif" font-size="10">'
        ),
        f'<rect width="{width}" height="{_HEIGHT}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        lines.append(f'<g transform="translate({number * _WIDTH} 0)">')
        lines += _panel(panel)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.series.values() for point in line]
    highest = max(y for _x, y in points) * 1.05
    places = [_place(x, panel) for x, _y in points]
    low, high = min(places), max(places)
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        share = (_place(x, panel) - low) / ((high - low) or 1)
        return _LEFT + share * inner_width, _TOP + (1 - y / highest) * inner_height

    lines = [
        f'<text x="{_LEFT}" y="18" font-size="12">microseconds by {panel.title}</text>',
        (
            f'<path d="M{_LEFT} {_TOP}V{_TOP + inner_height}H{_LEFT + inner_width}" '
            'fill="none" stroke="#333"/>'
        ),
    ]
    for quarter in range(5):
        value = highest * quarter / 4
        _x, y = at(points[0][0], value)
        lines.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{value:.0f}</text>')
    for tick in sorted({x for x, _y in points}):
        x, _y = at(tick, 0)
        lines.append(
            f'<text x="{x:.1f}" y="{_TOP + inner_height + 14}" text-anchor="middle">'
            f"{_short(tick)}</text>"
        )
    for (name, line), colour in zip(panel.series.items(), _COLOURS, strict=True):
        corners = [at(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        x, y = corners[-1]
        lines.append(f'<text x="{x + 4:.1f}" y="{y + 3:.1f}" fill="{colour}">{name}</text>')
    return lines


def _place(x: float, panel: Panel) -> float:
    return math.log10(x) if panel.logarithmic else x


def _short(number: float) -> str:
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number / 1_000:g}k" if number >= 1_000 else f"{number:g}"
