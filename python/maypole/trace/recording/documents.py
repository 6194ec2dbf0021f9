"""Documents of the trace format: what the native half leaves out, and several of them as one.

The format is described in docs/reference/trace-format.md.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from typing import Any

from maypole._maypole import build_info

GROUPS = {
    "tasks": ("id", "parent"),
    "steps": ("task", "waker_task"),
    "waits": ("task", "on_task"),
    "callbacks": ("waker_task",),
    "turns": (),
    "polls": (),
    "timers": ("task",),
    "io": (),
    "executor": ("task",),
    "gc": (),
    "cancels": ("task", "by_task"),
    "stalls": ("task",),
    "marks": ("task",),
}
"""The groups of a document, and their columns that name a task."""

STRINGS = {
    ("tasks", "name"),
    ("tasks", "error"),
    ("callbacks", "name"),
    ("executor", "name"),
    ("waits", "operation"),
    ("marks", "text"),
    ("marks", "source"),
}
"""The columns whose numbers are places in ``strings``."""

SITES = {("tasks", "function"), ("tasks", "created_at"), ("waits", "site")}
"""The columns whose numbers are places in ``sites``."""

_HEAD_BYTES = 4_096
_PROGRAM = re.compile(rb'"program":\s*\{\s*\}')
_ENDED = re.compile(rb'"ended":\s*"(\w+)"')
_COMPLETE = re.compile(rb'"complete":\s*true')


def program(started_unix_ns: int, ended: str, clock: str = "monotonic") -> dict[str, Any]:
    """Describe this process as a document does.

    Args:
        started_unix_ns: when the recording began, in nanoseconds since 1970.
        ended: how the program ended: returned, raised, exited, killed, or running.
        clock: the loop's clock: monotonic or virtual.
    """
    return {
        "argv": list(sys.argv),
        "python": platform.python_version(),
        "maypole": build_info()["version"],
        "platform": platform.platform(),
        "pid": os.getpid(),
        "started_unix_ns": started_unix_ns,
        "clock": clock,
        "ended": ended,
    }


def with_program(document: bytes, about: dict[str, Any], *, complete: bool = True) -> bytes:
    """Put the program into a document that has ``"program": {}``; a large document is not parsed for it."""
    text = json.dumps(about, ensure_ascii=False).encode("utf-8", "surrogateescape")
    head, rest = document[:_HEAD_BYTES], document[_HEAD_BYTES:]
    head, found = _PROGRAM.subn(lambda _: b'"program": ' + text, head, count=1)
    if found and not complete:
        head, found = _COMPLETE.subn(b'"complete": false', head, count=1)
    if found:
        return head + rest
    whole = json.loads(document)
    whole.update(program=about, complete=complete)
    return json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogateescape")


def ended(document: bytes) -> str:
    """Return how the program of a document ended, "" if it does not say; a large one is not parsed for it.

    >>> ended(b'{"format": "maypole-trace", "program": {"argv": ["a"], "ended": "running"}}')
    'running'
    """
    # Within a text of JSON the quotation marks would be escaped.
    found = _ENDED.search(document, 0, 16 * _HEAD_BYTES)
    return "" if found is None else found[1].decode()


def empty() -> bytes:
    """Return the document of a recording in which no loop ran."""
    return json.dumps(
        {
            "format": "maypole-trace",
            "version": 1,
            "program": {},
            "duration_ns": 0,
            "complete": True,
            "dropped_events": 0,
            "strings": [],
            "sites": {"file": [], "line": [], "function": []},
        }
    ).encode()


def merged(documents: list[tuple[int, bytes]]) -> bytes:
    """Put the documents of several loops on one time axis.

    Args:
        documents: for each, how many nanoseconds after the first it began, and the document.

    Returns:
        One document: times are those of the first, tasks are numbered through, the rows of each group stand
        in the order of their ends. Loops that ran at the same time lie over each other.
    """
    if len(documents) == 1:
        return documents[0][1]
    whole = json.loads(empty())
    numbers = _Numbers(whole)
    last_task = 0
    for offset_ns, text in documents:
        one = json.loads(text)
        numbers.take(one)
        for group, task_columns in GROUPS.items():
            columns = one.get(group, {})
            into = whole.setdefault(group, {})
            for column, values in columns.items():
                into.setdefault(column, []).extend(
                    numbers.moved(group, column, values, offset_ns, last_task, column in task_columns)
                )
        last_task = max([last_task, *whole["tasks"].get("id", [])])
        whole["duration_ns"] = max(whole["duration_ns"], offset_ns + one["duration_ns"])
        whole["dropped_events"] += one["dropped_events"]
        whole["complete"] = whole["complete"] and one["complete"]
    for group in GROUPS:
        _sort(whole[group])
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def merged_as_they_are(documents: list[dict[str, Any]]) -> bytes:
    """Put documents with their "program" on one time axis, by when each began."""
    began = [one["program"]["started_unix_ns"] for one in documents]
    texts = [json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogateescape") for one in documents]
    if len(texts) == 1:
        return texts[0]
    whole = merged([(at_ns - min(began), text) for at_ns, text in zip(began, texts, strict=True)])
    return with_program(whole, documents[0]["program"])


class _Numbers:
    """Gives the numbers of one document those that they have in the whole."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole
        self._strings: dict[str, int] = {}
        self._sites: dict[tuple[int, int, int], int] = {}
        self._string_of: list[int] = []
        self._site_of: list[int] = []

    def take(self, one: dict[str, Any]) -> None:
        """Take in the texts and places of a document."""
        strings, sites = self._whole["strings"], self._whole["sites"]
        self._string_of = []
        for text in one["strings"]:
            if text not in self._strings:
                self._strings[text] = len(strings)
                strings.append(text)
            self._string_of.append(self._strings[text])
        self._site_of = []
        for file, line, function in zip(
            *(one["sites"][name] for name in ("file", "line", "function")), strict=True
        ):
            site = (self._string(file), line, self._string(function))
            if site not in self._sites:
                self._sites[site] = len(self._sites)
                for name, value in zip(("file", "line", "function"), site, strict=True):
                    sites[name].append(value)
            self._site_of.append(self._sites[site])

    def _string(self, number: int) -> int:
        return self._string_of[number] if number >= 0 else -1

    def _site(self, number: int) -> int:
        return self._site_of[number] if number >= 0 else -1

    def moved(
        self, group: str, column: str, values: list[Any], offset_ns: int, last_task: int, names_task: bool
    ) -> list[Any]:
        """Return a column with the numbers and times of the whole."""
        if column.endswith("_ns"):
            return [value + offset_ns if value >= 0 else value for value in values]
        if names_task:
            return [value + last_task if value else 0 for value in values]
        if (group, column) in STRINGS:
            return [self._string(value) for value in values]
        if (group, column) in SITES:
            return [self._site(value) for value in values]
        if (group, column) == ("stalls", "stack"):
            return [[self._site(site) for site in stack] for stack in values]
        return values


def _sort(columns: dict[str, list[Any]]) -> None:
    """Put the rows of a group in the order of their ends."""
    key = columns.get("end_ns") or columns.get("at_ns") or columns.get("begin_ns")
    if key:
        order = sorted(range(len(key)), key=key.__getitem__)
        for column, values in columns.items():
            columns[column] = [values[row] for row in order]
