"""What patterns do, as marks on the timeline of a recording.

Waits, grants and tasks are on a timeline anyway, as waits and tasks; everything else is marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maypole import marks

if TYPE_CHECKING:
    from maypole.patterns.events import PatternEvent

SOURCE = "maypole.patterns"
"""Who writes these marks, as the timeline names it."""

ON_THE_TIMELINE_ANYWAY = frozenset({"wait", "grant", "start", "end", "share"})
"""What a wait or a task shows already."""

TOLD = ("state", "policy", "part", "reason", "error")
"""The first of these that an event has is told with it."""

TEXT_MAX = 120
"""So many characters of an event's text are kept."""


def mark(event: PatternEvent) -> None:
    """Write an event onto the timeline."""
    if event.what not in ON_THE_TIMELINE_ANYWAY:
        marks.write(SOURCE, text_of(event))


def text_of(event: PatternEvent) -> str:
    """One line about an event. Equal events have equal texts: times and sizes are left out.

    >>> from maypole.patterns.events import PatternEvent
    >>> change = {"from": "open", "to": "half_open", "reason": "open_time_over"}
    >>> text_of(PatternEvent("breaker", "mail", "transition", 0.0, change))
    'breaker mail: open → half-open (open time over)'
    >>> text_of(PatternEvent("rate_limit", None, "reject", 0.0, {"n": 1, "reason": "no unit in 0.2 s"}))
    'rate limit: reject'
    """
    detail = event.detail
    called = event.kind.replace("_", " ") + (f" {event.name}" if event.name else "")
    if event.what == "transition":
        text = f"{called}: {_word(detail['from'])} → {_word(detail['to'])} ({_word(detail['reason'])})"
    else:
        text = f"{called}: {event.what.replace('_', ' ')}"
        told = next((_word(detail[key]) for key in TOLD if detail.get(key) is not None), "")
        # A reason may say how long somebody waited, and that is new each time.
        if told and not any(sign.isdigit() for sign in told):
            text += f" ({told})"
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _word(value: object) -> str:
    if isinstance(value, BaseException):
        return type(value).__name__
    return str(value).replace("half_open", "half-open").replace("_", " ")
