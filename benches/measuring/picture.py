"""The report as one picture: an SVG that needs nothing beside itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from measuring.contestant import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measuring.results import Results
    from measuring.scenario import Scenario

WIDTH, LEFT, RIGHT, TOP, LINE = 1000, 240, 30, 96, 24
COLOURS = ("#d1495b", "#2e86ab", "#3d9970", "#8e6bbf", "#e08e2b", "#6b705c", "#c06c84", "#457b9d")
#: The axis never shows less than this, so that small differences look small.
LOWEST, HIGHEST = 0.5, 2.0


def picture(results: Results) -> str:
    """An SVG: for each scenario every contestant's ratio and interval, the A/A interval as a grey band."""
    rows = [one for one in results.scenarios if one.compared and has_ratio(results, one)]
    names = [
        one.name
        for one in results.contestants
        if not one.name.endswith(AGAIN) and one.name != results.reference
    ]
    axis = Axis(results, rows)
    height = TOP + LINE * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600">CPU time (or memory) against '
        f"{escape(results.reference)}: to the right is better</text>",
        f'<text x="16" y="42" fill="#555">{escape(machine_line(results))}</text>',
        *legend(names),
        *axis.drawn(height),
    ]
    for line, scenario in enumerate(rows):
        parts += row(results, scenario, names, axis, TOP + LINE * line + LINE / 2)
    return "\n".join([*parts, "</svg>", ""])


def has_ratio(results: Results, scenario: Scenario) -> bool:
    """Whether anybody has a ratio in this scenario."""
    return any(results.row(scenario, one.name).ratio for one in results.contestants)


def machine_line(results: Results) -> str:
    """Where and how it was measured, in one line."""
    machine, settings = results.machine, results.settings
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['kernel']}, {machine['python']}, "
        f"{settings['rounds']} rounds; dots: medians of paired ratios, lines: intervals, grey: A/A noise"
    )


class Axis:
    """A logarithmic axis wide enough for every interval."""

    def __init__(self, results: Results, rows: list[Scenario]) -> None:
        ratios = [
            ratio
            for row in rows
            for one in results.contestants
            if (ratio := results.row(row, one.name).ratio)
        ]
        self.low = min([LOWEST, *(one.low for one in ratios)]) * 0.9
        self.high = max([HIGHEST, *(one.high for one in ratios)]) * 1.1

    def place(self, ratio: float) -> float:
        """Where a ratio is drawn."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def drawn(self, height: float) -> Iterator[str]:
        """Its lines and figures."""
        for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
            if self.low <= tick <= self.high:
                place = self.place(tick)
                colour, wide = ("#333", 1.5) if tick == 1 else ("#ddd", 1)
                yield (
                    f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{TOP - 6}" y2="{height - 34}" '
                    f'stroke="{colour}" stroke-width="{wide}"/>'
                )
                yield (
                    f'<text x="{place:.1f}" y="{height - 16}" text-anchor="middle" fill="#555">'
                    f"{tick:g}</text>"
                )


def legend(names: list[str]) -> Iterator[str]:
    """Which colour is whose."""
    place = 16.0
    for index, name in enumerate(names):
        yield f'<circle cx="{place + 5:.0f}" cy="62" r="5" fill="{colour(index)}"/>'
        yield f'<text x="{place + 15:.0f}" y="66">{escape(name)}</text>'
        place += 34 + 7.2 * len(name)


def colour(index: int) -> str:
    """The colour of a contestant."""
    return COLOURS[index % len(COLOURS)]


def row(results: Results, scenario: Scenario, names: list[str], axis: Axis, middle: float) -> Iterator[str]:
    """One scenario."""
    yield f'<text x="{LEFT - 12}" y="{middle + 4:.1f}" text-anchor="end">{escape(scenario.name)}</text>'
    noise = results.noise(scenario)
    if noise:
        left, right = axis.place(noise.low), axis.place(noise.high)
        yield (
            f'<rect x="{left:.1f}" y="{middle - LINE / 2 + 1:.1f}" width="{max(1, right - left):.1f}" '
            f'height="{LINE - 2}" fill="#e8e8e8"/>'
        )
    step = (LINE - 8) / max(1, len(names) - 1)
    for index, name in enumerate(names):
        ratio = results.row(scenario, name).ratio
        if ratio is None:
            continue
        height = middle - (LINE - 8) / 2 + step * index if len(names) > 1 else middle
        low, mid, high = axis.place(ratio.low), axis.place(ratio.median), axis.place(ratio.high)
        told = f"{scenario.name}, {name}: {ratio.median:.2f} [{ratio.low:.2f} to {ratio.high:.2f}]"
        yield (
            f'<g stroke="{colour(index)}" fill="{colour(index)}"><title>{escape(told)}</title>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{height:.1f}" y2="{height:.1f}" stroke-width="1.5"/>'
            f'<circle cx="{mid:.1f}" cy="{height:.1f}" r="3.2" stroke="none"/></g>'
        )
