"""`Stall`: what a watchdog tells about one time that a loop was held."""

from __future__ import annotations

import linecache
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from maypole import stacks

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["step", "callback", "turn"]

SHOWN_MAX = 5
"""How many contributors a text names; the record carries all of them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A line that ran: its file, its number, and the qualified name of its function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """Say it as it stands in messages."""
        return f"{stacks.shown(self.file)}:{self.line} in {self.function}"

    @property
    def source(self) -> str:
        """The text of the line, without its indentation; empty where it cannot be read."""
        return linecache.getline(self.file, self.line).strip()


@dataclass(frozen=True, slots=True)
class Contributor:
    """What was seen running in the turn: the line, the task (None: a callback), and in how many of the
    samples.
    """

    frame: Frame
    task: str | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One turn that held its loop for longer than the watchdog's threshold.

    `kind` says what took the time: one step of a task, one callback, or many short ones in one turn.
    `began_ns` is on the clock of `time.monotonic_ns()`. `task`, `coroutine`, `parents` (who made the task,
    and who made that, the nearest first), `stack` (the innermost line first, without the loop's own) and
    `context` (the variables that were asked for, by name, as text) are as they were when the threshold was
    passed. `contributors` are sorted by how often they were seen in the turn, out of `samples` looks.
    """

    kind: Kind
    began_ns: int
    duration_s: float
    threshold_s: float
    task: str | None
    coroutine: str | None
    parents: tuple[str, ...]
    stack: tuple[Frame, ...]
    context: Mapping[str, str] = field(hash=False)
    contributors: tuple[Contributor, ...]
    samples: int

    @property
    def where(self) -> Frame | None:
        """The line to look at: the innermost of the program's own, else of a library, else of anything."""
        return guilty(self.stack)

    def __str__(self) -> str:
        """Say it in one line."""
        text = f"{self.duration_s:.3f} s: {self.who}"
        return f"{text} at {self.where}" if self.where is not None else text

    @property
    def who(self) -> str:
        """Name what held the loop."""
        if self.kind == "turn":
            return "many callbacks in one turn"
        return f"task {self.task!r}" if self.task is not None else "a callback"

    def details(self) -> str:
        """Return all that is known in lines: ancestry, context, stack, contributors."""
        lines = []
        if self.coroutine is not None:
            lines.append(f"  runs {self.coroutine}")
        if self.parents:
            lines.append("  made by " + ", made by ".join(f"task {name!r}" for name in self.parents))
        lines += [f"  {name} = {value}" for name, value in self.context.items()]
        for frame in self.stack:
            lines.append(f"  {frame}" + (f": {frame.source}" if frame.source else ""))
        if self.kind == "turn":
            if not self.contributors:
                lines.append("  no Python code was seen in it: a call into C kept the interpreter lock")
            else:
                lines.append(f"  seen in {self.samples} looks at the turn:")
            for one in self.contributors[:SHOWN_MAX]:
                who = f"task {one.task!r}" if one.task is not None else "a callback"
                lines.append(f"  {one.samples} x {who} at {one.frame}")
        return "\n".join(lines)


def guilty(stack: tuple[Frame, ...]) -> Frame | None:
    """Return the innermost line of the program's own code, else of a library, else of anything."""
    ranks = [stacks.file_rank(frame.file) for frame in stack]
    return stack[ranks.index(max(ranks))] if stack else None
