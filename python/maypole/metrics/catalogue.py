"""What is exported of a snapshot, and how it is called; Prometheus and OpenTelemetry are two spellings of
this list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maypole.metrics.histogram import Histogram
    from maypole.metrics.snapshot import Snapshot

Unit = Literal["", "seconds", "bytes"]


@dataclass(frozen=True, slots=True)
class Series:
    """A number, or one number for each value of a label."""

    name: str
    text: str
    counts: bool
    value: Callable[[Snapshot], float | Mapping[str, float]]
    unit: Unit = ""
    label: str | None = None

    def values(self, snapshot: Snapshot) -> Mapping[str, float]:
        """The numbers by label; a single one has the label ""."""
        value = self.value(snapshot)
        return {"": value} if isinstance(value, (int, float)) else value


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram."""

    name: str
    text: str
    histogram: Callable[[Snapshot], Histogram]
    unit: Unit = ""


def counter(name: str, text: str, value: Callable[[Snapshot], float], unit: Unit = "") -> Series:
    """A number that only grows."""
    return Series(name, text, True, value, unit)


def gauge(name: str, text: str, value: Callable[[Snapshot], float]) -> Series:
    """A number as it is now."""
    return Series(name, text, False, value)


SERIES = (
    counter("wall", "Time since the loop was made.", lambda one: one.wall_s, "seconds"),
    counter("busy", "Time in which the loop ran callbacks and tasks.", lambda one: one.busy_s, "seconds"),
    counter("polling", "Time in the poller, waiting or not.", lambda one: one.polling_s, "seconds"),
    counter("turns", "Turns of the loop.", lambda one: one.turns),
    counter("polls", "Times that the poller was asked.", lambda one: one.polls),
    counter("callbacks", "Callbacks that ran.", lambda one: one.callbacks),
    counter("task_steps", "Steps of native tasks that ran.", lambda one: one.steps),
    counter("tasks_created", "Native tasks that were made.", lambda one: one.tasks.created),
    Series(
        "tasks_ended",
        "Native tasks that have ended, by outcome.",
        True,
        lambda one: {
            "returned": one.tasks.returned,
            "raised": one.tasks.raised,
            "cancelled": one.tasks.cancelled,
            "destroyed": one.tasks.destroyed,
        },
        label="outcome",
    ),
    counter("connections_opened", "Connections of native transports.", lambda one: one.transports.opened),
    counter("connections_closed", "Those that were closed.", lambda one: one.transports.closed),
    counter("read", "Bytes that native transports read.", lambda one: one.transports.bytes_read, "bytes"),
    counter("written", "Bytes that they sent.", lambda one: one.transports.bytes_written, "bytes"),
    gauge("ready", "Callbacks and tasks in the queue.", lambda one: one.ready),
    gauge("timers", "Timers that wait.", lambda one: one.timers),
    gauge("watched_descriptors", "Descriptors that are watched.", lambda one: one.watched),
    gauge("tasks_alive", "Native tasks that have not ended.", lambda one: one.tasks_alive),
)

DISTRIBUTIONS = (
    Distribution("turn_duration", "How long a turn ran.", lambda one: one.turn_duration, "seconds"),
    Distribution("ready_depth", "How many items a turn ran.", lambda one: one.ready_depth),
    Distribution("queue_wait", "From ready to running; sampled.", lambda one: one.queue_wait, "seconds"),
    Distribution("timer_lateness", "How late timers fired.", lambda one: one.timer_lateness, "seconds"),
    Distribution("poll_duration", "How long the poller was in.", lambda one: one.poll_time, "seconds"),
)
