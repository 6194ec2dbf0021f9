"""What a scenario came to, in a form that two loops can be compared by."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.kinds import Loop

# Things that differ between two runs of the same loop, or between two loops, and mean nothing.
ACCIDENTS = (
    (re.compile(r' *File "[^"\n]*/(?:site-packages|asyncio|maypole/loop)/[^\n]*\n *[^\n]*\n'), ""),
    (re.compile(r"'source_traceback': \[.*?\]"), "'source_traceback': […]"),
    (re.compile(r"0x[0-9a-fA-F]+"), "0x…"),
    (re.compile(r"\bwhen=\d+\.\d{5,}"), "when=…"),
    (re.compile(r"\bfd=\d+"), "fd=…"),
    (re.compile(r"\bTask-\d+"), "Task-…"),
    (re.compile(r"\bBaseEventLoop\.(?=\w+\(\))|\bmaypole\._maypole\."), ""),
    (re.compile(r"<(?:_SelectorSocketTransport|StreamTransport)\b"), "<Transport"),
    (re.compile(r"<(?:\w+\.)*(?:_UnixSelectorEventLoop|EventLoop) "), "<Loop "),
    (re.compile(r"\b(?:\w+\.)*(?:_UnixSelectorEventLoop|EventLoop)\b"), "Loop"),
)


def plain(text: str) -> str:
    """Leave out addresses, descriptor numbers, task numbers and the name of the loop's class."""
    for pattern, replacement in ACCIDENTS:
        text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True)
class Outcome:
    """A value, or the type and text of an exception; and what the ``asyncio`` logger said meanwhile."""

    value: Any = None
    error: type[BaseException] | None = None
    text: str = ""
    logged: tuple[str, ...] = ()


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """Call, and say what came of it; ``KeyboardInterrupt`` and ``SystemExit`` are outcomes too."""
    try:
        return Outcome(value=call())
    except BaseException as error:
        return Outcome(error=type(error), text=plain(str(error)))


# The fixture `same_as_asyncio`: run a scenario on asyncio and on the loop under test, and compare.
SameAsAsyncio = Callable[[Callable[[Loop], Any]], Outcome]
