"""All that was measured, and what it comes to."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from measuring.contestant import AGAIN, Contestant
from measuring.interval import Interval, around_median, paired_ratios

if TYPE_CHECKING:
    from measuring.cell import Outcome
    from measuring.scenario import Scenario

FORMAT = 1
#: An interval surer than this is called faster or slower. Five rounds reach it.
VERDICT_COVERAGE = 0.9


@dataclass
class Results:
    """A whole run.

    Args:
        reference: the contestant that ratios compare with.
        contestants: who took part, in the order of the report.
        scenarios: what was measured, in the order of the report.
        machine: what it was measured on.
        settings: how it was measured.
        absent: contestants that could not be had, with the reason.
        versions: the contestants' versions.
        outcomes: by scenario, contestant and round.
    """

    reference: str
    contestants: list[Contestant]
    scenarios: list[Scenario]
    machine: dict[str, Any]
    settings: dict[str, Any]
    absent: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, dict[str, dict[int, Outcome]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )

    def add(self, scenario: Scenario, contestant: Contestant, turn: int, outcome: Outcome) -> None:
        """Notes one cell."""
        self.outcomes[scenario.name][contestant.name][turn] = outcome

    def failures(self, scenario: Scenario, contestant: Contestant) -> int:
        """How often this cell has gone wrong so far."""
        return sum(
            one.status in ("failed", "unsupported")
            for one in self.outcomes[scenario.name][contestant.name].values()
        )

    def values(self, scenario: str, contestant: str, metric: str) -> dict[int, float]:
        """A metric by round, of the rounds that succeeded."""
        rounds = self.outcomes[scenario][contestant]
        return {turn: one.metrics[metric] for turn, one in rounds.items() if metric in one.metrics}

    def row(self, scenario: Scenario, contestant: str) -> Row:
        """What one contestant did in one scenario."""
        rounds = self.outcomes[scenario.name][contestant]
        bad = [one for one in rounds.values() if one.status != "ok"]
        values = self.values(scenario.name, contestant, scenario.primary)
        row = Row(
            scenario.name, contestant, "ok" if values and not bad else bad[0].status if bad else "not run"
        )
        if bad:
            row.reason = bad[0].reason
            if row.status == "failed":
                row.status, row.reason = "failed", f"{len(bad)} of {len(rounds)} rounds: {bad[0].reason}"
            return row
        ordered = sorted(values.values())
        if ordered:
            row.median, row.minimum, row.maximum = statistics.median(ordered), ordered[0], ordered[-1]
        row.metrics = {
            metric: statistics.median(self.values(scenario.name, contestant, metric).values())
            for metric in (next(iter(rounds.values())).metrics if rounds else {})
        }
        row.said = next((one.said for one in rounds.values() if one.said), "")
        if contestant != self.reference and scenario.compared:
            row.ratio = self.ratio(scenario, contestant, scenario.primary)
            row.wall_ratio = self.ratio(scenario, contestant, "wall_ns")
        return row

    def ratio(self, scenario: Scenario, contestant: str, metric: str) -> Interval | None:
        """How many times less than the reference this contestant needs."""
        mine = self.values(scenario.name, contestant, metric)
        ratios = paired_ratios(self.values(scenario.name, self.reference, metric), mine)
        return around_median(ratios) if ratios else None

    def noise(self, scenario: Scenario) -> Interval | None:
        """What the reference differs from itself."""
        return self.row(scenario, self.reference + AGAIN).ratio

    def verdict(self, scenario: Scenario, row: Row) -> str:
        """`faster` or `slower` if the interval is clear of 1 and of noise, else `same`; empty if unsure."""
        if row.ratio is None or row.ratio.coverage < VERDICT_COVERAGE:
            return ""
        noise = self.noise(scenario)
        if row.ratio.above(max(1.0, noise.high if noise else 1.0)):
            return "faster"
        if row.ratio.below(min(1.0, noise.low if noise else 1.0)):
            return "slower"
        return "same"

    def to_json(self) -> dict[str, Any]:
        """Everything, every sample included."""
        return {
            "format": FORMAT,
            "reference": self.reference,
            "machine": self.machine,
            "settings": self.settings,
            "contestants": [
                {**asdict(one), "version": self.versions.get(one.name, "")} for one in self.contestants
            ],
            "absent": self.absent,
            "scenarios": [describe(one) for one in self.scenarios],
            "rows": [
                {**asdict(row), "verdict": self.verdict(scenario, row)}
                for scenario in self.scenarios
                for row in (self.row(scenario, one.name) for one in self.contestants)
            ],
            "outcomes": {
                scenario: {
                    name: {str(turn): asdict(one) for turn, one in rounds.items()}
                    for name, rounds in by.items()
                }
                for scenario, by in self.outcomes.items()
            },
        }


@dataclass
class Row:
    """One contestant in one scenario, over all rounds.

    Args:
        scenario: its name.
        contestant: its name.
        status: as an `Outcome`'s.
        reason: why it is not `ok`.
        median: of the rounds' values of the primary metric.
        minimum: the smallest of them.
        maximum: the largest of them.
        metrics: the median of every metric.
        ratio: of the primary metric, reference / this; above 1 is better than the reference.
        wall_ratio: the same of wall time.
        said: what the measured process wrote to standard error.
    """

    scenario: str
    contestant: str
    status: str
    reason: str = ""
    median: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    ratio: Interval | None = None
    wall_ratio: Interval | None = None
    said: str = ""

    @property
    def spread(self) -> float:
        """Largest less smallest, as a share of the median."""
        return (self.maximum - self.minimum) / self.median if self.median else 0.0


def describe(scenario: Scenario) -> dict[str, Any]:
    """A scenario's settings, for the report."""
    described = {name: value for name, value in asdict(scenario).items() if name != "body"}
    described["uses"] = sorted(scenario.uses)
    described["tier"] = scenario.tier.name.lower()
    described["text"] = (scenario.body.__doc__ or "").strip()
    return described
