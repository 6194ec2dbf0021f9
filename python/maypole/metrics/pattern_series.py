"""What is exported of a pattern, and how it is called; Prometheus and OpenTelemetry are two spellings of this
list.

A pattern is known by what its ``describe()`` says: its kind, its name, and its numbers under the names that
its ``stats()`` have. Patterns that mean the same by different words have one series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maypole.metrics.catalogue import Unit


@dataclass(frozen=True, slots=True)
class PatternSeries:
    """A number that some kinds of pattern have.

    Attributes:
        name: how it is called.
        text: what it is.
        counts: whether it only grows.
        fields: for each kind of pattern that has it, its name there; a dot leads into a part.
        unit: its unit; times that are kept in milliseconds (their names end in ``_ms``) become seconds.
        label: where the value is a word: the label that the word is given by, and the number is 1.
    """

    name: str
    text: str
    counts: bool
    fields: Mapping[str, str]
    unit: Unit = ""
    label: str | None = None

    def value(self, description: Mapping[str, Any]) -> tuple[str, float] | None:
        """Return the word for the label, "" without one, and the number; None where there is none now."""
        field = self.fields.get(description["kind"])
        if field is None:
            return None
        found: Any = description
        for part in field.split("."):
            found = found[part]
        if found is None:
            return None
        if self.label is not None:
            return str(found), 1.0
        return "", found / 1000 if field.endswith("_ms") else float(found)


def _counter(name: str, text: str, unit: Unit = "", /, **fields: str) -> PatternSeries:
    return PatternSeries(name, text, True, _by_kind(fields), unit)


def _gauge(name: str, text: str, unit: Unit = "", /, **fields: str) -> PatternSeries:
    return PatternSeries(name, text, False, _by_kind(fields), unit)


def _by_kind(kinds_of: dict[str, str]) -> dict[str, str]:
    """Turn ``granted="rate_limit bulkhead"`` around: a kind to the name that the number has there."""
    return {kind: field.replace("__", ".") for field, kinds in kinds_of.items() for kind in kinds.split()}


_LINES = "rate_limit redis_rate_limit bulkhead adaptive"
_JOBS = "scope background"

PATTERN_SERIES = (
    _counter(
        "granted",
        "Calls, tasks or retries that were let through.",
        granted=_LINES,
        admitted="breaker load_shedder",
        allowed="retry_budget",
        started=_JOBS,
        requests_num="pool",
        acquired="keyed_lock rwlock",
    ),
    _counter(
        "rejected",
        "Those that were refused.",
        rejected=f"{_LINES} breaker load_shedder keyed {_JOBS}",
        refused="retry_budget hedge",
        requests_errors="pool",
    ),
    _counter(
        "cancelled", "Those that gave up, or came back uncounted.", cancelled=f"{_LINES} breaker {_JOBS}"
    ),
    _counter(
        "waited",
        "Those that had to wait before they were let through.",
        wait__count="rate_limit bulkhead adaptive",
        requests_queued="pool",
        contended="keyed_lock rwlock",
    ),
    _counter(
        "wait",
        "Their waits together.",
        "seconds",
        wait__total="rate_limit bulkhead adaptive",
        requests_wait_ms="pool",
    ),
    _counter("succeeded", "Calls or jobs that ended well.", succeeded=f"breaker {_JOBS}"),
    _counter(
        "failed",
        "Calls, runs or jobs that failed.",
        failed=f"breaker single_flight periodic {_JOBS}",
        failures="supervisor",
    ),
    _counter("late", "Results of calls that began in an older state, and were dropped.", late="breaker"),
    _counter(
        "calls", "Calls that were made of it.", calls="retry_budget hedge single_flight", asked="debounce"
    ),
    _counter(
        "runs", "Runs of its function.", runs="supervisor periodic", started="single_flight", made="debounce"
    ),
    _counter("shared", "Calls that got the result of another one.", shared="single_flight"),
    _counter("hedged", "Second attempts that were made.", hedged="hedge"),
    _counter("hedges_won", "Second attempts that answered first.", won="hedge"),
    _counter("skipped", "Beats that were left out because a run was under way.", skipped="periodic"),
    _counter("missed", "Beats that came while the loop was held.", missed="periodic"),
    _counter("sent", "Items that were sent.", sent="channel"),
    _counter("received", "Items that were received.", received="channel"),
    _counter("dropped", "Items that were dropped.", dropped="channel"),
    _counter("send_wait", "Time that senders waited for room.", "seconds", send_wait_s="channel"),
    _counter("receive_wait", "Time that receivers waited for items.", "seconds", receive_wait_s="channel"),
    _counter("created", "Resources that were made.", resources_num="pool", made="keyed"),
    _counter("create", "Time that making them took.", "seconds", resources_ms="pool"),
    _counter("create_errors", "Times that making one failed.", resources_errors="pool"),
    _counter("lost", "Resources that were found broken or thrown away.", resources_lost="pool"),
    _counter("usage", "Time for which resources were lent.", "seconds", usage_ms="pool"),
    _counter("leaks", "Leases that were held for too long.", leaks="pool"),
    _counter("expired", "Keys that were forgotten because nobody used them.", expired="keyed"),
    _counter("evicted", "Keys that were forgotten to make room.", evicted="keyed"),
    _counter("deaths", "Worker processes that died.", deaths="processes"),
    _counter("store_calls", "Questions to the shared store.", store_calls="redis_rate_limit"),
    _counter("store_errors", "Those that it did not answer.", store_errors="redis_rate_limit"),
    _gauge(
        "waiting",
        "Tasks that wait now.",
        waiting=f"{_LINES} {_JOBS} keyed_lock rwlock single_flight latch value_event processes",
        requests_waiting="pool",
    ),
    _gauge(
        "in_use",
        "Places, locks or workers that are taken now.",
        in_use="bulkhead adaptive",
        running=_JOBS,
        held="keyed_lock",
        busy="processes",
        in_flight="single_flight",
    ),
    _gauge(
        "limit",
        "How many there may be at once.",
        limit=f"bulkhead adaptive {_JOBS}",
        pool_max="pool",
        workers="processes",
        maxsize="channel",
    ),
    _gauge(
        "size",
        "Resources, keys or items that there are now.",
        pool_size="pool",
        keys="keyed",
        depth="channel",
    ),
    _gauge("idle", "Resources that nobody has now.", pool_available="pool"),
    _gauge(
        "available",
        "Units that could be taken at once now.",
        available="rate_limit",
        spare="redis_rate_limit",
        balance="retry_budget",
    ),
    _gauge("paused", "How long a pause still lasts.", "seconds", paused_for="rate_limit"),
    _gauge("window_calls", "Calls in the window by which a breaker judges.", calls="breaker"),
    _gauge("window_failures", "Those of them that failed.", failures="breaker"),
    _gauge("window_slow", "Those of them that were slow.", slow="breaker"),
    _gauge("retry_after", "When a call may pass again, if that is known.", "seconds", retry_after="breaker"),
    _gauge("shedding", "Whether work is shed now: 1 or 0.", shedding="load_shedder"),
    _gauge("delay", "How long ready tasks wait for their turn.", "seconds", delay="load_shedder"),
    PatternSeries(
        "state",
        "1 for the state that it is in now.",
        False,
        {"breaker": "state", "supervisor": "state"},
        label="state",
    ),
)

KINDS = frozenset(kind for series in PATTERN_SERIES for kind in series.fields)
"""The kinds of pattern that have anything to export."""
