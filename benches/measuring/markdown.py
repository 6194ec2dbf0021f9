"""The report as Markdown tables."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from measuring.contestant import AGAIN
from measuring.lateness import BOUNDS_US
from measuring.results import VERDICT_COVERAGE, Results, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measuring.scenario import Scenario

MARKS = {"faster": "**{}**", "slower": "{} ▼", "same": "{}", "": "{}"}


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [head(results), noise(results)]
    groups: dict[str, list[Scenario]] = {}
    for one in results.scenarios:
        groups.setdefault(one.group, []).append(one)
    parts += [
        table(results, group, found) for group, found in groups.items() if any(one.compared for one in found)
    ]
    parts += [wall(results), lateness(results), losses(results), troubles(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(results: Results) -> str:
    """What was measured where, and how to read it."""
    machine, settings = results.machine, results.settings
    names = [f"{one.name} {results.versions.get(one.name, '')}".strip() for one in results.contestants]
    lines = [
        "# Benchmarks",
        "",
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['kernel']}, {machine['python']} "
        f"({machine['python_build']}). Load average {machine['load_average']:.2f} before, "
        f"{settings['load_average_after']:.2f} after. {settings['rounds']} rounds, "
        f"{settings['minutes']:.0f} minutes, scale {settings['scale']:g}.",
        "",
        f"Contestants: {', '.join(names)}.",
    ]
    lines += [f"Not measured: {name}: {reason}." for name, reason in results.absent.items()]
    lines += [
        "",
        f"Cells: how many times less CPU time (or memory) than {results.reference}: the median of the "
        "rounds' paired ratios, its interval in brackets; above 1 is better. **Bold**: all of the interval "
        "lies above 1 and above what the reference differs from itself. ▼: all of it lies below both. "
        "Neither is said of an interval that holds the true median with a probability of less than "
        f"{VERDICT_COVERAGE:.0%}.",
    ]
    return "\n".join(lines)


def noise(results: Results) -> str:
    """What the reference differs from itself, over all scenarios."""
    seen = [ratio for one in results.scenarios if one.compared and (ratio := results.noise(one))]
    if not seen:
        return "No A/A row: nothing tells the noise of this run."
    coverage = max(one.coverage for one in seen)
    apart = sorted(abs(one.median - 1) for one in seen)
    return (
        f"Noise: {results.reference} against itself differs by {statistics.median(apart):.1%} at the "
        f"median of {len(apart)} scenarios and by {apart[-1]:.1%} at most. With this number of rounds an "
        f"interval holds the true median with a probability of {coverage:.0%}."
    )


def table(results: Results, group: str, scenarios: list[Scenario]) -> str:
    """One group: a row for each scenario, a column for each contestant."""
    columns = [one for one in results.contestants if one.name != results.reference]
    shown = [
        one
        for one in columns
        if any(results.row(row, one.name).status != "does not apply" for row in scenarios)
    ]
    lines = [
        f"## {group}",
        "",
        "| scenario | " + " | ".join([f"{results.reference}", *(one.name for one in shown)]) + " |",
        "|---|" + "---|" * (len(shown) + 1),
    ]
    for scenario in (one for one in scenarios if one.compared):
        cells = [absolute(scenario, results.row(scenario, results.reference))]
        cells += [relative(results, scenario, results.row(scenario, one.name)) for one in shown]
        lines.append(f"| `{scenario.name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def absolute(scenario: Scenario, row: Row) -> str:
    """The reference's own figure."""
    if row.status != "ok":
        return row.status
    return f"{amount(scenario, row.median)} / {scenario.unit} ± {row.spread / 2:.0%}"


def amount(scenario: Scenario, value: float) -> str:
    """A figure with its unit."""
    if scenario.primary == "bytes":
        return f"{value:,.0f} B"
    return duration(value)


def duration(value_ns: float) -> str:
    """Nanoseconds in the unit that reads best.

    >>> duration(317.4), duration(12_340.0), duration(4_500_000.0)
    ('317 ns', '12.3 µs', '4.50 ms')
    """
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if value_ns >= size:
            scaled = value_ns / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{value_ns:.0f} ns"


def relative(results: Results, scenario: Scenario, row: Row) -> str:
    """A contestant's ratio to the reference."""
    if row.status != "ok":
        return "" if row.status == "does not apply" else row.status
    if row.ratio is None:
        return amount(scenario, row.median)
    text = f"{row.ratio.median:.2f} [{row.ratio.low:.2f}-{row.ratio.high:.2f}]"
    return MARKS[results.verdict(scenario, row)].format(text)


def wall(results: Results) -> str:
    """Wall time, which other programs on the machine disturb far more."""
    columns = [one for one in results.contestants if one.name != results.reference]
    lines = []
    for scenario in (one for one in results.scenarios if one.compared):
        ratios = [results.row(scenario, one.name).wall_ratio for one in columns]
        if any(ratios):
            cells = [f"{ratio.median:.2f}" if ratio else "" for ratio in ratios]
            mine = results.row(scenario, results.reference).metrics.get("wall_ns", 0.0)
            lines.append(f"| `{scenario.name}` | {duration(mine)} | " + " | ".join(cells) + " |")
    if not lines:
        return ""
    title = "| scenario | " + " | ".join([results.reference, *(one.name for one in columns)]) + " |"
    return "\n".join(["## Wall time", "", title, "|---|" + "---|" * (len(columns) + 1), *lines])


def lateness(results: Results) -> str:
    """When timers fire."""
    found = [one for one in results.scenarios if one.primary == "late_p50_us"]
    lines = [
        f"| `{scenario.name}` | {one.name} | {lateness_cells(results, scenario, one.name)} |"
        for scenario in found
        for one in results.contestants
        if results.values(scenario.name, one.name, "early")
    ]
    if not lines:
        return ""
    names = ["early", "p50 µs", "p90 µs", "p99 µs", "max µs", *(f"< {bound}" for bound in BOUNDS_US), "later"]
    title = "| scenario | loop | " + " | ".join(names) + " |"
    text = (
        "Microseconds after the deadline (medians of the rounds; the largest of all), and how many timers of "
        "all rounds fell into each band. A timer must never fire early."
    )
    return "\n".join(["## Timer lateness", "", text, "", title, "|---|---|" + "---|" * len(names), *lines])


def lateness_cells(results: Results, scenario: Scenario, contestant: str) -> str:
    """One loop's row of the lateness table."""

    def seen(metric: str) -> list[float]:
        return list(results.values(scenario.name, contestant, metric).values())

    early = sum(seen("early"))
    cells = [f"**{early:.0f}**" if early else "0"]
    cells += [f"{statistics.median(seen(f'late_{which}_us')):,.0f}" for which in ("p50", "p90", "p99")]
    cells.append(f"{max(seen('late_max_us')):,.0f}")
    cells += [
        f"{sum(seen(name)):.0f}" for name in (*(f"late_under_{bound}us" for bound in BOUNDS_US), "late_over")
    ]
    return " | ".join(cells)


def losses(results: Results) -> str:
    """Where a contestant is clearly slower than the reference, worst first."""
    lines = []
    for one in results.contestants:
        if one.name in (results.reference, results.reference + AGAIN):
            continue
        slower = [
            (row.ratio.median, scenario.name)
            for scenario in results.scenarios
            if (row := results.row(scenario, one.name)).ratio and results.verdict(scenario, row) == "slower"
        ]
        if slower:
            listed = ", ".join(f"`{name}` {ratio:.2f}" for ratio, name in sorted(slower))
            lines.append(f"- {one.name}: {listed}")
    return "\n".join([f"## Slower than {results.reference}", "", *lines]) if lines else ""


def troubles(results: Results) -> str:
    """Everything that did not run, went wrong, or complained."""
    lines = [*trouble_lines(results)]
    return "\n".join(["## Not run, failed, complained", "", *lines]) if lines else ""


def trouble_lines(results: Results) -> Iterator[str]:
    """One line for each trouble; the same reason for several contestants is one line."""
    for scenario in results.scenarios:
        reasons: dict[tuple[str, str], list[str]] = {}
        for one in results.contestants:
            row = results.row(scenario, one.name)
            if row.status == "does not apply":
                continue
            if row.status != "ok":
                reasons.setdefault((row.status, row.reason), []).append(one.name)
            elif row.said:
                last = row.said.strip().splitlines()[-1]
                reasons.setdefault(("complained", last), []).append(one.name)
        for (status, reason), names in reasons.items():
            yield f"- `{scenario.name}`: {', '.join(names)}: {status}: {reason}"
